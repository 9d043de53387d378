"""The bundle: reading it back, its id, and every way in which it can be damaged."""

import json
import pickle
import re
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.artifacts.bundle import MANIFEST, Bundle, digest
from offramp.artifacts.codec import Codec
from offramp.artifacts.cut import CodecResult
from offramp.artifacts.manifest import GRAPH, FileDigest, Manifest
from offramp.artifacts.plan import Plan
from offramp.artifacts.pretrained import pretrained
from offramp.artifacts.stages import features_name, logits_name
from offramp.errors import ArtifactDamagedError, ArtifactError, ArtifactMissingError, ArtifactVersionError, InputError

NAMES = st.text("abcdefghij._-", min_size=1).filter(lambda name: name not in (".", ".."))
DIGESTS = st.builds(
    FileDigest, bytes=st.integers(0, 2**40), sha256=st.text("0123456789abcdef", min_size=64, max_size=64)
)


def rewritten(bundle: Bundle, **changes: Any) -> Path:
    """Overwrite fields of a bundle's manifest on disk; its folder."""
    path = bundle.path / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return bundle.path


def test_a_bundle_reads_back_as_it_was_written(small_bundle: Bundle, manifest: Manifest, graph: bytes) -> None:
    """Manifest, graph and id are the same after a round trip over the disk."""
    opened = Bundle.open(str(small_bundle.path))
    assert opened.manifest == manifest
    assert opened.graph == graph
    assert opened.id == manifest.id == small_bundle.id
    assert opened.path == small_bundle.path


def test_a_bundle_is_shown_by_its_name_and_not_by_its_bytes(small_bundle: Bundle) -> None:
    """As a prompt prints it; of a graph of megabytes nothing."""
    assert repr(small_bundle) == f"<Bundle {small_bundle.manifest.model} {small_bundle.id[:16]} of {small_bundle.path}>"


def test_the_graph_that_is_read_is_onnx_with_the_named_boundaries(small_bundle: Bundle) -> None:
    """Every boundary and every exit of the manifest is a tensor of the graph under its documented name."""
    opened = Bundle.open(small_bundle.path)
    made = onnx.load_from_string(opened.graph).graph
    tensors = {name for node in made.node for name in (*node.input, *node.output)}
    assert {features_name(k) for k in (0, 1, 2)} | {logits_name(k) for k in opened.manifest.exits} <= tensors


def test_names_of_boundaries() -> None:
    """Boundary 0 is the image; the others are numbered as their stages are."""
    assert [features_name(0), features_name(3), logits_name(9)] == ["image", "features_3", "logits_9"]


def test_an_id_is_32_hexadecimal_digits(manifest: Manifest) -> None:
    """The id has the length and the alphabet that nodes exchange."""
    assert re.fullmatch("[0-9a-f]{32}", manifest.id)


@given(files=st.dictionaries(NAMES, DIGESTS, max_size=3), own=DIGESTS)
def test_a_manifest_survives_json(manifest: Manifest, files: dict[str, FileDigest], own: FileDigest) -> None:
    """Whatever files it lists, a manifest read from its own text is equal and has the same id."""
    written = manifest.model_copy(update={"files": {**files, GRAPH: own}})
    parsed = Manifest.parse(written.to_json(), "text")
    assert parsed == written
    assert parsed.id == written.id


def test_an_id_is_made_once_and_changes_nothing_of_its_manifest(manifest: Manifest) -> None:
    """What is written, told and compared is as if nobody had asked; a copy with something changed has its own."""
    asked = manifest.model_copy()
    said = manifest.to_json(), repr(manifest), manifest.model_dump(), manifest.model_fields_set
    assert asked.id is asked.id
    assert (asked.to_json(), repr(asked), asked.model_dump(), asked.model_fields_set) == said
    assert asked == manifest == pickle.loads(pickle.dumps(asked))
    assert manifest == asked
    for deep in (False, True):
        other = asked.model_copy(update={"model": "another"}, deep=deep)
        assert other.id == Manifest.parse(other.to_json(), "text").id != asked.id
        assert asked.model_copy(deep=deep).id == asked.id


@given(first=DIGESTS, second=DIGESTS)
def test_the_id_follows_every_files_digest(manifest: Manifest, first: FileDigest, second: FileDigest) -> None:
    """Two manifests that differ in one file's digest alone have the same id only if that digest is the same."""
    ids = [manifest.model_copy(update={"files": {GRAPH: one}}).id for one in (first, second)]
    assert (ids[0] == ids[1]) == (first == second)


@settings(max_examples=30)
@given(data=st.data())
def test_the_id_follows_one_changed_character_of_a_digest(manifest: Manifest, data: st.DataObject) -> None:
    """A single other hexadecimal digit in a file's sha256 gives the bundle another id."""
    one = manifest.files[GRAPH]
    at = data.draw(st.integers(0, 63))
    other = data.draw(st.sampled_from("0123456789abcdef").filter(lambda character: character != one.sha256[at]))
    changed = one.model_copy(update={"sha256": one.sha256[:at] + other + one.sha256[at + 1 :]})
    assert manifest.model_copy(update={"files": {GRAPH: changed}}).id != manifest.id


def test_the_id_does_not_follow_the_order_of_fields(manifest: Manifest) -> None:
    """A manifest whose JSON was rewritten with sorted keys is the same bundle."""
    assert Manifest.parse(json.dumps(json.loads(manifest.to_json()), sort_keys=True), "text").id == manifest.id


def test_the_id_of_the_packaged_bundle_is_the_one_that_it_was_published_with() -> None:
    """Files of predictions and results name it: what a later program knows of bundles does not enter."""
    assert Bundle.open(pretrained() / "bundle").id == "a638335af6d27a2af5d5ece44a473d80"


def of_two_tensors(manifest: Manifest, **changes: Any) -> dict[str, Any]:
    """The manifest of a network that leaves two tensors at boundary 1, as a document."""
    made = json.loads(manifest.to_json()) | {"version": 2}
    made["stages"][0]["shape"] = {"a": [2, 4, 4], "b": [5]}
    made["cuts"][1]["scale"] = {"a": [0.01, 0.02], "b": [0.03]}
    return made | changes


def test_a_boundary_may_have_several_tensors(manifest: Manifest) -> None:
    """By name, in the order of the document, each with a scale of its own; the document is of version 2 then."""
    two = Manifest.parse(json.dumps(of_two_tensors(manifest)), "text")
    assert list(two.tensors(1).items()) == [("a", (2, 4, 4)), ("b", (5,))]
    assert [two.cut(1).scale_of(name) for name in two.tensors(1)] == [(0.01, 0.02), (0.03,)]
    assert [stage.bytes_fp32 for stage in two.stages] == [4 * (32 + 5), 256]
    written = json.loads(two.to_json())
    assert (written["version"], json.loads(manifest.to_json())["version"]) == (2, 1)
    assert Manifest.parse(two.to_json(), "text") == two
    assert two.id != manifest.id


@pytest.mark.parametrize("scale", [[0.01, 0.02], {"a": [0.01]}, {"a": [0.01], "b": [0.03], "c": [0.1]}])
def test_each_tensor_of_a_boundary_needs_a_scale(manifest: Manifest, scale: Any) -> None:
    """And no other has one."""
    cuts = of_two_tensors(manifest)["cuts"]
    cuts[1]["scale"] = scale
    found = sorted(scale) if isinstance(scale, dict) else ["features_1"]
    message = f"cut 1: a scale for each of a, b is needed, got {found} (offramp.bundle)."
    with pytest.raises(ArtifactDamagedError, match=f"{re.escape(message)}$"):
        Manifest.parse(json.dumps(of_two_tensors(manifest, cuts=cuts)), "text")


def test_a_digest_is_size_and_sha256() -> None:
    """The digest of `abc` is the one that FIPS 180-2 publishes."""
    published = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest(b"abc") == FileDigest(bytes=3, sha256=published)


def test_a_folder_without_a_manifest_is_not_a_bundle(tmp_path: Path) -> None:
    """The message names the folder, what is missing, and the command that writes one."""
    message = f"{tmp_path}: not a bundle, it has no manifest.json. Write one with: offramp export CHECKPOINT --out "
    with pytest.raises(ArtifactMissingError, match=f"^{re.escape(message + str(tmp_path))}$"):
        Bundle.open(tmp_path)


def test_a_bundle_without_its_graph_is_refused(small_bundle: Bundle) -> None:
    """The message names the file that is missing."""
    path = small_bundle.path / GRAPH
    path.unlink()
    message = f"{path}: no such file. Check the path, or run the step that writes it."
    with pytest.raises(ArtifactMissingError, match=f"^{re.escape(message)}$"):
        Bundle.open(small_bundle.path)


def test_a_truncated_graph_is_refused(small_bundle: Bundle) -> None:
    """The message gives both sizes and both hashes, and what to do."""
    path, whole = small_bundle.path / GRAPH, small_bundle.graph
    path.write_bytes(whole[:-10])
    expected, found = digest(whole), digest(whole[:-10])
    message = (
        f"{path}: expected {len(whole)} bytes with sha256 {expected.sha256[:16]}…, found {len(whole) - 10} bytes with "
        f"sha256 {found.sha256[:16]}…. The bundle was changed or cut short: copy or export it again."
    )
    with pytest.raises(ArtifactDamagedError, match=f"^{re.escape(message)}$"):
        Bundle.open(small_bundle.path)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_one_changed_byte_of_the_graph_is_found(small_bundle: Bundle, share: float) -> None:
    """One flipped bit at the start, in the middle or at the end is enough."""
    changed = bytearray(small_bundle.graph)
    changed[round(share * (len(changed) - 1))] ^= 1
    (small_bundle.path / GRAPH).write_bytes(changed)
    with pytest.raises(ArtifactDamagedError, match="The bundle was changed or cut short: copy or export it again"):
        Bundle.open(small_bundle.path)


def test_every_listed_file_is_checked(small_bundle: Bundle, manifest: Manifest) -> None:
    """A file beside the graph that does not agree with the manifest is an error too."""
    note = small_bundle.path / "note.txt"
    note.write_bytes(b"changed")
    files = {GRAPH: manifest.files[GRAPH].model_dump(), "note.txt": digest(b"written").model_dump()}
    rewritten(small_bundle, files=files)
    with pytest.raises(ArtifactDamagedError, match=f"^{re.escape(str(note))}: expected 7 bytes"):
        Bundle.open(small_bundle.path)


@pytest.mark.parametrize("name", ["../elsewhere", "/etc/hostname", "folder/file", "..", ""])
def test_a_manifest_cannot_name_a_file_outside_its_folder(small_bundle: Bundle, manifest: Manifest, name: str) -> None:
    """A bundle from somebody else never makes a node read another place of its disk."""
    files = {GRAPH: manifest.files[GRAPH].model_dump(), name: digest(b"").model_dump()}
    message = f"files: {name!r} is not the name of a file in the bundle's own folder (offramp.bundle)."
    with pytest.raises(ArtifactDamagedError, match=f"{re.escape(message)}$"):
        Bundle.open(rewritten(small_bundle, files=files))


def test_an_unknown_version_is_refused(small_bundle: Bundle) -> None:
    """A bundle of a later program says so, and how to go on."""
    message = (
        f"{small_bundle.path / MANIFEST}: offramp.bundle version 5, and this program reads version 4, 3, 2 and 1. "
        "Write it again with this program, or read it with the one that wrote it."
    )
    with pytest.raises(ArtifactVersionError, match=f"^{re.escape(message)}$"):
        Bundle.open(rewritten(small_bundle, version=5))


def test_a_document_of_another_kind_is_refused(small_bundle: Bundle) -> None:
    """A plan that lies where the manifest should be is told from one."""
    message = f"{small_bundle.path / MANIFEST}: expected a document of format 'offramp.bundle', found 'offramp.plan'."
    with pytest.raises(ArtifactDamagedError, match=f"^{re.escape(message)}$"):
        Bundle.open(rewritten(small_bundle, format="offramp.plan"))


def test_a_truncated_manifest_is_refused(small_bundle: Bundle) -> None:
    """Half a manifest is a damaged artifact, and the message names the file."""
    path = small_bundle.path / MANIFEST
    path.write_text(path.read_text()[:100])
    with pytest.raises(ArtifactDamagedError, match=f"^{re.escape(str(path))}: not a JSON document "):
        Bundle.open(small_bundle.path)


def test_a_field_that_is_not_known_is_refused(small_bundle: Bundle) -> None:
    """The message says where in the document the field stands."""
    message = f"{small_bundle.path / MANIFEST}: colour: Extra inputs are not permitted (offramp.bundle)."
    with pytest.raises(ArtifactDamagedError, match=f"^{re.escape(message)}$"):
        Bundle.open(rewritten(small_bundle, colour="red"))


def test_writing_over_a_bundle_that_is_interrupted_leaves_none(small_bundle: Bundle, manifest: Manifest) -> None:
    """The old manifest goes first: a write that fails at the graph leaves none beside a new graph."""
    (small_bundle.path / GRAPH).unlink()
    (small_bundle.path / GRAPH).mkdir()  # a folder in the way: the rename over it fails
    with pytest.raises(ArtifactError, match="cannot be written"):
        Bundle.write(small_bundle.path, manifest, b"new")
    assert not (small_bundle.path / MANIFEST).exists()


INCONSISTENT: list[tuple[dict[str, Any], str]] = [
    ({"classes": []}, "classes: at least one class is needed"),
    ({"files": {}}, "files: graph.onnx is not listed"),
    ({"heads": []}, "exits must rise and end at the last stage 2, got []"),
    ({"heads": [{"exit": 1, "macs": 1, "parameters": 1}]}, "exits must rise and end at the last stage 2, got [1]"),
    ({"heads": [{"exit": k, "macs": 1, "parameters": 1} for k in (2, 1)]},
     "exits must rise and end at the last stage 2, got [2, 1]"),
    ({"heads": [{"exit": k, "macs": 1, "parameters": 1} for k in (0, 2)]},
     "exits must rise and end at the last stage 2, got [0, 2]"),
    ({"stages": [{"index": k, "shape": [1], "macs": 1, "parameters": 1} for k in (2, 1)]},
     "stages must be numbered 1 to 2 in order"),
    ({"cuts": []}, "cuts must be at 0 and at every exit but the last, got []"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "reason"), INCONSISTENT, ids=[reason for _, reason in INCONSISTENT])
def test_a_manifest_that_contradicts_itself_is_refused(
    small_bundle: Bundle, changes: dict[str, Any], reason: str
) -> None:
    """Stages, exits, cuts, classes and files have to fit one another."""
    message = f"{small_bundle.path / MANIFEST}: document: {reason} (offramp.bundle)."
    with pytest.raises(ArtifactDamagedError, match=f"^{re.escape(message)}$"):
        Bundle.open(rewritten(small_bundle, **changes))


def test_exits_and_the_last_one(manifest: Manifest) -> None:
    """The exits are the heads' places; the last is the number of stages."""
    assert manifest.exits == (1, 2)
    assert manifest.last == 2


def test_an_exit_that_is_there_is_given_back(manifest: Manifest) -> None:
    """A known exit passes the check."""
    assert manifest.check_exit(1) == 1


@pytest.mark.parametrize("exit_", [0, 3, -1])
def test_an_exit_that_is_lacking_is_refused(manifest: Manifest, exit_: int) -> None:
    """The message names the exits that there are."""
    message = f"exit {exit_}: small has the exits 1, 2. Choose one of them."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        manifest.check_exit(exit_)


@pytest.mark.parametrize("boundary", [0, 1, 2])
def test_a_network_can_be_cut_at_its_cuts_and_at_its_end(manifest: Manifest, boundary: int) -> None:
    """Boundary 0, every exit but the last, and the end itself, where nothing is left to send."""
    assert manifest.check_cut(boundary) == boundary


@pytest.mark.parametrize("boundary", [-1, 3])
def test_a_cut_that_is_lacking_is_refused(manifest: Manifest, boundary: int) -> None:
    """The message names the cuts that there are."""
    message = f"cut {boundary}: small can be cut at 0, 1. Choose one of them."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        manifest.check_cut(boundary)


@pytest.mark.parametrize(
    ("codec", "others", "found"),
    [
        ("uint8", ("fp32", "fp16"), "at cut 1 small was exported without it. Export it again"),
        ("fp16", ("fp32", "uint8"), "at cut 1 the features of small go beyond 65504, which is the most that it holds"),
    ],
)
def test_a_codec_that_a_cut_lacks_is_refused(
    manifest: Manifest, codec: Codec, others: tuple[Codec, ...], found: str
) -> None:
    """The message says why, and which there are."""
    result = CodecResult(bytes_per_sample=4, accuracy=None)
    cut = manifest.cuts[1].model_copy(update={"codecs": dict.fromkeys(others, result)})
    lacking = manifest.model_copy(update={"cuts": (manifest.cuts[0], cut)})
    with pytest.raises(InputError) as caught:
        Plan.of(1, 0.5, codec=codec).check(lacking)
    assert str(caught.value) == f"codec {codec}: {found}. Choose {' or '.join(others)}."
    assert Plan.of(1, 0.5, codec=others[-1]).check(lacking).codec == others[-1]
    assert (lacking.lacks(1, "fp32"), manifest.lacks(1, "uint8")) == ("", "")


def test_the_cut_of_a_boundary_is_the_one_measured_there(manifest: Manifest) -> None:
    """`cut` finds by boundary, not by position."""
    assert [manifest.cut(boundary).scale for boundary in (1, 0)] == [(0.01, 0.02), (1 / 255,)]


def test_shapes_at_the_boundaries(manifest: Manifest) -> None:
    """Boundary 0 has the input's shape, boundary i the one that stage i leaves."""
    assert [manifest.tensors(boundary) for boundary in (0, 1, 2)] == [
        {"image": (1, 4, 4)},
        {"features_1": (2, 4, 4)},
        {"features_2": (4, 4, 4)},
    ]


def test_bytes_of_features(manifest: Manifest) -> None:
    """Four bytes for each of 2 x 4 x 4 and 4 x 4 x 4 values."""
    assert [stage.bytes_fp32 for stage in manifest.stages] == [128, 256]


@pytest.mark.parametrize(
    ("exit_", "active", "macs"), [(1, (), 294), (1, (1,), 294), (2, (), 1452), (2, (1,), 1458), (1, (1, 2), 294)]
)
def test_multiply_adds_until_an_exit(manifest: Manifest, exit_: int, active: tuple[int, ...], macs: int) -> None:
    """Stages up to the exit, its head, and the heads passed on the way; none counts twice and none after it counts."""
    assert manifest.macs(exit_, active) == macs
