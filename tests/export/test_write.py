"""From a checkpoint to a bundle, and what is refused on the way."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from offramp.artifacts.bundle import MANIFEST, SELF_TEST, Bundle
from offramp.artifacts.manifest import GRAPH
from offramp.artifacts.preprocessing import Preprocessing
from offramp.data.image_set import Splits
from offramp.errors import ArtifactError, InputError, OfframpError, ParityError
from offramp.export.write import PARITY_SAMPLES, TOLERANCE, check_parity, export
from offramp.models.checkpoint import Checkpoint
from offramp.models.cnn import standard_cnn
from offramp.models.count import count


def altered(graph: bytes, operator: str, position: int, value: float | None = None) -> bytes:
    """The graph with a weight of its `position`th operator of this kind changed: by a half, or to `value`.

    One for each of its outputs: whatever one alone feeds, the ReLU behind it may cut off.
    """
    model = onnx.load_model_from_string(graph)
    name = [node for node in model.graph.node if node.op_type == operator][position].input[1]
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    values = numpy_helper.to_array(weights).copy()
    rows = values.reshape(len(values), -1)
    rows[:, 0] = rows[:, 0] + 0.5 if value is None else value
    weights.CopyFrom(numpy_helper.from_array(values, name))
    changed: bytes = model.SerializeToString()
    return changed


def other_exits(checkpoint: Checkpoint, exits: tuple[int, ...]) -> Checkpoint:
    """An untrained network with other exits, under the same card."""
    architecture = checkpoint.card.architecture.model_copy(update={"exits": exits})
    card = checkpoint.card.model_copy(update={"architecture": architecture})
    return Checkpoint(checkpoint.path, card, standard_cnn(architecture).eval())


@pytest.fixture(scope="module")
def image(digits: Splits) -> np.ndarray:
    """Images to compare on."""
    return Preprocessing(channels=1, height=16, width=16, reading="reduced").from_uint8(digits.calibration.images[:16])


def test_the_manifests_numbers_are_those_of_the_count(checkpoint: Checkpoint, bundle: Bundle) -> None:
    """MACs, parameters and shapes of every stage and head."""
    stages, heads = count(checkpoint.net, checkpoint.card.architecture.shape)
    manifest = bundle.manifest
    assert {s.index: (s.macs, s.parameters, s.shape) for s in manifest.stages} == {
        index: (cost.macs, cost.parameters, cost.shape) for index, cost in stages.items()
    }
    assert {h.exit: (h.macs, h.parameters) for h in manifest.heads} == {
        exit_: (cost.macs, cost.parameters) for exit_, cost in heads.items()
    }


def test_the_manifest_says_what_the_weights_are_and_how_they_came_about(
    checkpoint: Checkpoint, bundle: Bundle, digits: Splits
) -> None:
    """Model, classes, input and origin are the checkpoint's."""
    manifest, card = bundle.manifest, checkpoint.card
    assert (manifest.model, manifest.classes, manifest.exits) == ("mem", digits.train.classes, tuple(range(1, 10)))
    assert manifest.preprocessing == Preprocessing(channels=1, height=16, width=16, reading="reduced")
    assert manifest.origin.model_dump() == {
        "checkpoint_sha256": card.weights_sha256,
        "data": card.data,
        "recipe": "digits",
        "seed": card.seed,
        "epochs": card.epochs,
        "commit": card.commit,
        "record": card.record and card.record.model_dump(),
    }
    assert card.record is not None


def test_the_gate_lets_a_real_network_pass_and_writes_down_by_how_much(bundle: Bundle) -> None:
    """The largest difference over 64 calibration samples, far below what is tolerated."""
    parity = bundle.manifest.parity
    assert (parity.samples, parity.tolerance) == (PARITY_SAMPLES, TOLERANCE) == (64, 1e-4)
    assert 0 < parity.max_difference < 1e-5


def test_what_is_written_is_what_opens(bundle: Bundle) -> None:
    """A manifest, one graph whose hash it holds and what that gave; nothing else."""
    opened = Bundle.open(bundle.path)
    assert opened == bundle
    written = sorted(path.name for path in bundle.path.iterdir() if path.suffix != ".parquet")
    assert written == [GRAPH, MANIFEST, SELF_TEST]
    content = (bundle.path / GRAPH).read_bytes()
    assert opened.manifest.files[GRAPH].sha256 == hashlib.sha256(content).hexdigest()


def test_a_bundle_has_the_exits_and_cuts_of_its_network(checkpoint: Checkpoint, digits: Splits, tmp_path: Path) -> None:
    """A network with fewer exits than stages keeps all its stages."""
    manifest = export(other_exits(checkpoint, (2, 5, 9)), tmp_path, digits.calibration.rows(slice(8))).manifest
    assert manifest.model == "exits-2-5"
    assert manifest.exits == (2, 5, 9)
    assert [stage.index for stage in manifest.stages] == list(range(1, 10))
    assert [cut.boundary for cut in manifest.cuts] == [0, 2, 5]
    assert manifest.parity.samples == 8


def test_a_bundle_reads_pictures_as_its_network_learnt_them(
    checkpoint: Checkpoint, digits: Splits, tmp_path: Path
) -> None:
    """The checkpoint's record says how; where it has none, plainly and stretched, as before there were records."""
    alone = other_exits(checkpoint, (9,))
    record = alone.card.record
    assert record is not None
    cropped = record.model_copy(update={"source": record.source.model_copy(update={"fit": "crop"})})
    for said, expected in ((cropped, ("reduced", "crop")), (None, ("plain", "stretch"))):
        asked = replace(alone, card=alone.card.model_copy(update={"record": said}))
        found = export(asked, tmp_path, digits.calibration.rows(slice(8))).manifest.preprocessing
        assert (found.reading, found.fit) == expected


def test_exporting_over_a_bundle_replaces_it(checkpoint: Checkpoint, digits: Splits, tmp_path: Path) -> None:
    """Twice the same checkpoint gives the same bundle; another one gives another."""
    calibration = digits.calibration.rows(slice(16))
    first = export(checkpoint, tmp_path, calibration)
    again = export(checkpoint, tmp_path, calibration)
    assert again.id == first.id == Bundle.open(tmp_path).id
    other = export(other_exits(checkpoint, (3, 9)), tmp_path, calibration)
    assert other.id != first.id
    assert Bundle.open(tmp_path).id == other.id


@pytest.mark.parametrize(
    ("operator", "position", "name"),
    [
        ("Conv", 0, "features_1"),
        ("Conv", 7, "features_4"),
        ("Conv", 17, "features_9"),
        ("Gemm", 0, "logits_1"),
        ("Gemm", 8, "logits_9"),
        ("Sub", 0, "features_1"),
        ("Div", 0, "features_1"),
    ],
)
def test_the_gate_refuses_a_graph_with_a_changed_weight(
    checkpoint: Checkpoint, bundle: Bundle, image: np.ndarray, operator: str, position: int, name: str
) -> None:
    """In any stage, any head or the standardization; the message names the first tensor that differs."""
    with pytest.raises(ParityError) as caught:
        check_parity(checkpoint.net, altered(bundle.graph, operator, position), image, TOLERANCE)
    message = str(caught.value)
    assert message.startswith(f"{name}: the exported graph differs from the network by ")
    assert message.endswith(
        " of its largest value, tolerance 1e-04, over 16 samples. No bundle was written. "
        "Try the other exporter (--exporter), or report the network."
    )


def test_the_gate_refuses_values_that_are_not_numbers(
    checkpoint: Checkpoint, bundle: Bundle, image: np.ndarray
) -> None:
    """A NaN is not within any tolerance."""
    with pytest.raises(ParityError, match=r"^logits_3: the exported graph differs from the network by nan "):
        check_parity(checkpoint.net, altered(bundle.graph, "Gemm", 2, float("nan")), image, float("inf"))


def test_the_gates_tolerance_is_a_share_of_the_largest_value(
    checkpoint: Checkpoint, bundle: Bundle, image: np.ndarray
) -> None:
    """The same change passes a wider gate, and the difference is the one that a hand computation gives."""
    changed = altered(bundle.graph, "Gemm", 8)
    parity = check_parity(checkpoint.net, changed, image, 1.0)
    with torch.inference_mode():
        features = checkpoint.net.features(torch.from_numpy(image))[8].mean(dim=(2, 3)).numpy()
        largest = max(1.0, float(checkpoint.net(torch.from_numpy(image))[9].abs().max()))
    assert parity.max_difference == pytest.approx(0.5 * np.abs(features[:, 0]).max() / largest, rel=1e-3)


@pytest.mark.parametrize("existing", [True, False])
def test_nothing_is_written_where_the_gate_refuses(
    checkpoint: Checkpoint, digits: Splits, tmp_path: Path, existing: bool
) -> None:
    """A new folder does not come to be, and a bundle that was there stays byte for byte."""
    out = tmp_path / "bundle"
    calibration = digits.calibration.rows(slice(16))
    if existing:
        export(other_exits(checkpoint, (3, 9)), out, calibration)
    before = {path.name: path.read_bytes() for path in out.iterdir()} if existing else None
    with pytest.raises(ParityError):
        export(checkpoint, out, calibration, tolerance=1e-12)
    assert ({path.name: path.read_bytes() for path in out.iterdir()} if out.exists() else None) == before


def test_a_folder_with_other_files_is_refused(checkpoint: Checkpoint, digits: Splits, tmp_path: Path) -> None:
    """Somebody's work is not mixed with a bundle."""
    (tmp_path / "thesis.tex").write_text("years of work")
    assert refusal(checkpoint, tmp_path, digits, ArtifactError) == (
        f"{tmp_path}: holds other files than a bundle. Choose an empty or a new folder."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_not_a_folder_to_export_into(checkpoint: Checkpoint, digits: Splits, tmp_path: Path) -> None:
    """`--out model.onnx` is a habit from elsewhere."""
    out = tmp_path / "model.onnx"
    out.write_text("somebody's")
    assert refusal(checkpoint, out, digits, ArtifactError) == (
        f"{out}: is a file, and a bundle is a folder. Choose an empty or a new one."
    )
    assert out.read_text() == "somebody's"


def test_an_empty_folder_is_taken(checkpoint: Checkpoint, digits: Splits, tmp_path: Path) -> None:
    """Made by hand beforehand, say."""
    export(other_exits(checkpoint, (9,)), tmp_path, digits.calibration.rows(slice(2)))
    assert Bundle.open(tmp_path).manifest.model == "standard"


def test_without_images_there_is_no_gate_and_no_bundle(checkpoint: Checkpoint, digits: Splits, tmp_path: Path) -> None:
    """A comparison on nothing would always hold."""
    with pytest.raises(InputError) as caught:
        export(checkpoint, tmp_path / "bundle", digits.calibration.rows(slice(0)))
    assert str(caught.value) == "calibration: the parity gate needs at least one image to compare on."
    assert not (tmp_path / "bundle").exists()


def refusal(checkpoint: Checkpoint, out: Path, digits: Splits, kind: type[OfframpError]) -> str:
    """The message with which an export does not begin."""
    with pytest.raises(kind) as caught:
        export(checkpoint, out, digits.calibration)
    return str(caught.value)
