"""The Triton repository: its configs are read by Triton's own schema, and its graphs do what a tail does."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

from kinds import VALUES, bundle_of
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.suite import SUITE
from offramp.artifacts.views import ViewsFolder
from offramp.errors import ArtifactError, InputError
from offramp.export.triton import Repository, _text, model_config, tails_of, write_repository
from offramp.nodes.cloud import Tail
from offramp.nodes.features import boundary_specs
from suites import build_suite

schema = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="tritonclient is not installed")
DTYPES = {schema.TYPE_FP32: np.float32, schema.TYPE_FP16: np.float16, schema.TYPE_UINT8: np.uint8}


@pytest.fixture(scope="module")
def repository(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every tail, as version 3."""
    path = tmp_path_factory.mktemp("triton") / "repository"
    write_repository(path, bundle, tails_of(bundle), Repository(version=3, max_batch=32))
    return path


def config(repository: Path, name: str) -> Any:
    """A model's config, by Triton's schema."""
    return text_format.Parse((repository / name / "config.pbtxt").read_text(), schema.ModelConfig())


def test_there_is_a_model_for_each_tail_in_each_codec(repository: Path, bundle: Bundle) -> None:
    """By the names that an edge asks for."""
    names = {Tail(bundle, cut.boundary, codec).name for cut in bundle.manifest.cuts for codec in cut.codecs}
    assert {path.name for path in repository.iterdir()} == names
    assert len(names) == 27


def test_each_model_says_what_it_is_of(repository: Path, bundle: Bundle) -> None:
    """And how it is served."""
    found = config(repository, "tail-3-uint8")
    assert (found.name, found.backend, found.default_model_filename) == ("tail-3-uint8", "onnxruntime", "model.onnx")
    assert list(found.version_policy.specific.versions) == [3]
    assert (found.max_batch_size, list(found.dynamic_batching.preferred_batch_size)) == (32, [32])
    assert found.dynamic_batching.default_queue_policy.max_queue_size == 256
    assert {key: value.string_value for key, value in found.parameters.items()} == {
        "bundle": bundle.id,
        "model": "mem",
        "boundary": "3",
        "codec": "uint8",
    }
    assert (repository / "tail-3-uint8" / found.output[0].label_filename).read_text().splitlines() == [
        str(digit) for digit in range(10)
    ]


@pytest.mark.parametrize("name", ["tail-0-uint8", "tail-3", "tail-3-fp16", "tail-8-uint8"])
def test_a_model_takes_what_its_config_says_and_does_what_the_tail_does(
    repository: Path, bundle: Bundle, name: str
) -> None:
    """Bit for bit, at a batch size that no config names."""
    session = ort.InferenceSession(str(repository / name / "3" / "model.onnx"), providers=["CPUExecutionProvider"])
    found, drawn = config(repository, name), np.random.default_rng(0)
    assert [one.name for one in session.get_inputs()] == [one.name for one in found.input]
    assert [one.name for one in session.get_outputs()] == [one.name for one in found.output]
    dtypes = [DTYPES[one.data_type] for one in found.input]
    sent = [
        (drawn.random((5, *one.dims)) * (200 if dtype is np.uint8 else 1)).astype(dtype)
        for one, dtype in zip(found.input, dtypes, strict=True)
    ]
    (logits,) = session.run(None, {one.name: array for one, array in zip(found.input, sent, strict=True)})
    assert list(logits.shape[1:]) == list(found.output[0].dims)
    (tail,) = (tail for tail in tails_of(bundle) if tail.name == name)
    np.testing.assert_array_equal(logits, Tail(bundle, tail.boundary, tail.codec).finish(*sent))


def test_a_boundary_of_another_kind_is_described_too(tmp_path: Path) -> None:
    """A network of values: the input has a shape of its own, and crosses in fp32."""
    bundle = bundle_of(VALUES, tmp_path / "bundle")
    write_repository(tmp_path / "repository", bundle, tails_of(bundle))
    found = config(tmp_path / "repository", "tail-0")
    assert [(one.name, one.data_type, list(one.dims)) for one in found.input] == [
        (name, schema.TYPE_FP32, list(shape)) for name, shape in bundle.manifest.tensors(0).items()
    ]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_word_is_read_back(word: str) -> None:
    """A model may be called what its owner likes."""
    read = text_format.Parse(f"name: {_text(word)}", schema.ModelConfig())
    assert read.name == word


def test_only_the_tails_named_are_written(
    bundle: Bundle, tmp_path: Path, offramp: Callable[..., Any], refusal: Callable[..., str]
) -> None:
    """And one that there is not leaves nothing."""
    out = tmp_path / "repository"
    asked = ("export", str(bundle.path), "--triton", str(out))
    message = refusal(*asked, "--tail", "tail-9")
    assert message.startswith("tail 'tail-9': mem has tail-0, tail-0-fp16, tail-0-uint8, tail-1, ")
    assert not list(tmp_path.iterdir())
    done = offramp(*asked, "--tail", "tail-3-uint8", "--tail", "tail-3", "--triton-version", "2")
    assert done.stdout == f"{out}: tail-3, tail-3-uint8, version 2, of bundle {bundle.id}\n", done.stderr
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.onnx")) == [
        "tail-3-uint8/2/model.onnx",
        "tail-3/2/model.onnx",
    ]
    assert stat.S_IMODE(out.stat().st_mode) == 0o755  # read by a server that is another user


def test_what_is_there_stays(bundle: Bundle, tmp_path: Path, refusal: Callable[..., str]) -> None:
    """A folder that holds something, or a file, is refused."""
    (mine := tmp_path / "mine").mkdir()
    (mine / "note").write_text("mine")
    asked = ("export", str(bundle.path), "--tail", "tail-3", "--triton")
    assert refusal(*asked, str(mine)) == (
        f"{mine}: holds note, and a model repository is written whole. Choose an empty or a new folder."
    )
    assert refusal(*asked, str(mine / "note")) == (
        f"{mine / 'note'}: is a file, and a model repository is a folder. Choose an empty or a new one."
    )
    assert [path.name for path in mine.iterdir()] == ["note"]


@pytest.mark.parametrize("there", [False, True])
def test_a_repository_that_is_not_finished_is_not_there(bundle: Bundle, tmp_path: Path, there: bool) -> None:
    """A tail that cannot be cut leaves none of those before it, whether the folder was there or not."""
    out = tmp_path / "repository"
    if there:
        out.mkdir()
    good = tails_of(bundle, ["tail-3"])
    damaged = Bundle(bundle.path, bundle.manifest, b"")
    with pytest.raises(ArtifactError):
        write_repository(out, damaged, good)
    assert [path.name for path in tmp_path.iterdir()] == (["repository"] if there else [])
    write_repository(out, bundle, good)
    assert [path.name for path in out.iterdir()] == ["tail-3"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "is a bundle already. Give the CHECKPOINT that it is of, or write the bundle's tails for another server "
             "with --triton DIR or --kserve FILE."),
        (("--int8", "--triton", "{}"), "is a bundle, and --int8 is of making one. Give a CHECKPOINT, or leave it."),
        (("--data", "digits", "--triton", "{}"),
         "is a bundle, and --data is of making one. Give a CHECKPOINT, or leave it."),
    ],
)  # fmt: skip
def test_what_a_bundle_cannot_be_asked_is_said(
    bundle: Bundle, tmp_path: Path, refusal: Callable[..., str], options: tuple[str, ...], expected: str
) -> None:
    """It is not made again."""
    given_ = [option.format(tmp_path / "out") for option in options]
    assert refusal("export", str(bundle.path), *given_) == f"{bundle.path}: {expected}"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--tail", "tail-3"), "tail 'tail-3': a choice of what --triton DIR writes. Name that too."),
        (
            ("--triton", "new", "--triton-version", "0"),
            f"version 0: Triton's models are numbered from 1 to {2**31 - 1}.",
        ),
        (("--triton", "new", "--max-batch", "0"), "batch of 0: a request holds one sample at least."),
    ],
)
def test_options_that_make_no_sense_are_said(
    bundle: Bundle, refusal: Callable[..., str], options: tuple[str, ...], expected: str
) -> None:
    """Before anything is read."""
    assert refusal("export", str(bundle.path), *options) == expected


def test_a_suite_is_refused(tmp_path: Path, refusal: Callable[..., str]) -> None:
    """Its bundles are many, and a repository is of one."""
    suite = tmp_path / "suite"
    build_suite().write(suite / SUITE)
    message = refusal("export", str(suite), "--triton", str(tmp_path / "out"))
    assert message == f"{suite}: is a suite, and a repository or a service is of one network. Name one of its bundles."


def test_an_unknown_version_is_an_input_error() -> None:
    """Of the writer as well."""
    with pytest.raises(InputError):
        Repository(version=0)


def test_bits_stand_in_a_config_as_they_travel(views: ViewsFolder) -> None:
    """Eight values to a number: the shape that the graph takes, not that of the features."""
    bundle = next(iter(views.devices.values()))
    (tail,) = tails_of(bundle, ["tail-1-1bit"])
    found = text_format.Parse(model_config(bundle, tail, Repository()), schema.ModelConfig())
    (one,), (spec,) = found.input, boundary_specs(bundle.manifest, 1, "1bit")
    assert (one.data_type, list(one.dims)) == (schema.TYPE_UINT8, list(spec.shape[1:]))
    assert tuple(one.dims) != bundle.manifest.tensors(1)[one.name]
