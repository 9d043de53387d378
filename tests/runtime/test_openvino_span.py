"""Spans on OpenVINO compute what they compute on onnxruntime."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import CODECS, Codec, encode_image
from offramp.artifacts.engine import Engine
from offramp.artifacts.stages import features_name, logits_name
from offramp.data.image_set import Splits
from offramp.errors import ArtifactError, InputError
from offramp.runtime.onnx_span import OnnxSpan
from offramp.runtime.open import open_span
from offramp.runtime.span import SpanSpec, Tensors

pytestmark = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")

LAST = 9
OPENVINO = Engine("openvino")
EVERY_SPAN = [(start, end) for start in range(LAST) for end in range(start + 1, LAST + 1)]
CUTS = (1, 3, 6, 8)
DTYPES = {"fp32": np.float32, "fp16": np.float16, "uint8": np.uint8}


def agree(found: npt.NDArray[np.float32], expected: npt.NDArray[np.float32], name: str = "") -> None:
    """Equal to 1e-4 of the tensor's largest value."""
    assert found.dtype == expected.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max(), err_msg=name)


@pytest.fixture(scope="module")
def image(bundle: Bundle, digits: Splits) -> npt.NDArray[np.float32]:
    """A batch."""
    return bundle.manifest.preprocessing.from_uint8(digits.test.images[:32])


@pytest.fixture(scope="module")
def whole(bundle: Bundle, image: npt.NDArray[np.float32]) -> Tensors:
    """Every boundary and exit on onnxruntime, the image among them."""
    names = [*map(features_name, range(1, LAST + 1)), *map(logits_name, range(1, LAST + 1))]
    return {"image": image} | OnnxSpan(bundle.graph, ("image",), {name: name for name in names}).run(image)


@pytest.mark.parametrize(("start", "end"), EVERY_SPAN)
def test_every_span_gives_what_onnxruntime_gives(bundle: Bundle, whole: Tensors, start: int, end: int) -> None:
    """Features at its end and logits at each exit within it, to 1e-4 of their scale."""
    exits = tuple(range(max(start, 1), end + 1))
    found = open_span(bundle, SpanSpec(start, end, exits, "fp32"), engine=OPENVINO).run(whole[features_name(start)])

    assert list(found) == [*map(logits_name, exits), features_name(end)]
    for name, values in found.items():
        agree(values, whole[name], name)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("cut", CUTS)
def test_features_leave_in_their_codec_exactly(
    bundle: Bundle, image: npt.NDArray[np.float32], cut: int, codec: Codec
) -> None:
    """What leaves is the span's own fp32 features, cast or quantized; only a value half-way may go to either step."""
    plain = open_span(bundle, SpanSpec(0, cut, gives="fp32"), engine=OPENVINO).run(image)[features_name(cut)]
    sent = open_span(bundle, SpanSpec(0, cut, gives=codec), engine=OPENVINO).run(image)[features_name(cut)]

    assert sent.dtype == DTYPES[codec]
    if codec == "uint8":
        steps = plain / np.array(bundle.manifest.cut(cut).scale, np.float32)[:, None, None]
        expected = np.rint(steps).clip(0, 255)
        wrong = sent != expected
        assert np.abs(np.abs(steps - np.floor(steps))[wrong] - 0.5).max(initial=0) < 1e-4
        assert wrong.sum() <= 3  # of 8,192 and more
    else:
        np.testing.assert_array_equal(sent, plain.astype(DTYPES[codec]))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("cut", [0, *CUTS])
def test_features_arrive_in_their_codec(
    bundle: Bundle, image: npt.NDArray[np.float32], whole: Tensors, cut: int, codec: Codec
) -> None:
    """A tail that takes a codec gives the logits that onnxruntime's gives of the same bytes."""
    if cut == 0:
        sent = encode_image(image, codec)
    else:
        sent = open_span(bundle, SpanSpec(0, cut, gives=codec)).run(image)[features_name(cut)]
    spec = SpanSpec(cut, LAST, (LAST,), takes=codec)

    found = open_span(bundle, spec, engine=OPENVINO).run(sent)[logits_name(LAST)]

    agree(found, open_span(bundle, spec).run(sent)[logits_name(LAST)])
    if codec == "fp32":
        agree(found, whole[logits_name(LAST)])


def test_threads_share_a_span(bundle: Bundle, image: npt.NDArray[np.float32]) -> None:
    """Called from eight threads at once with batches of several sizes, each gets its own answer, bit for bit."""
    span = open_span(bundle, SpanSpec(0, LAST, (3, LAST)), Engine("openvino", threads=2))
    batches = [image[start : start + size] for start in range(16) for size in (1, 5, 16)]
    alone = [span.run(batch) for batch in batches]

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(span.run, batches * 3))

    for found, expected in zip(together, alone * 3, strict=True):
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values)


def test_an_answer_is_not_written_over_by_the_next(bundle: Bundle, image: npt.NDArray[np.float32]) -> None:
    """Outputs are the caller's own, and the input is left as it was."""
    span = open_span(bundle, SpanSpec(0, LAST, (LAST,)), engine=OPENVINO)
    before = image.copy()
    first = span.run(image[:1])[logits_name(LAST)]
    kept = first.copy()
    span.run(image[1:2])

    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(image, before)


def test_a_batch_need_not_lie_contiguous(bundle: Bundle, image: npt.NDArray[np.float32]) -> None:
    """Rows taken with a step are read as they are."""
    span = open_span(bundle, SpanSpec(0, LAST, (LAST,)), engine=OPENVINO)
    np.testing.assert_array_equal(
        span.run(image[::2])[logits_name(LAST)], span.run(image[::2].copy())[logits_name(LAST)]
    )


def test_bf16_is_near_and_fp32_is_not_bf16(bundle: Bundle, image: npt.NDArray[np.float32], whole: Tensors) -> None:
    """OpenVINO left to itself takes bf16 where it can: fp32 must be fp32, and bf16 must differ, by less than 3 %."""
    from offramp.runtime.openvino_span import multiplies_bf16

    if not multiplies_bf16():
        pytest.skip("this processor does not multiply in bf16")
    spec, expected = SpanSpec(0, LAST, (LAST,)), whole[logits_name(LAST)]
    scale = np.abs(expected).max()

    plain = open_span(bundle, spec, engine=OPENVINO).run(image)[logits_name(LAST)]
    rough = open_span(bundle, spec, engine=Engine("openvino", "bf16")).run(image)[logits_name(LAST)]

    assert np.abs(plain - expected).max() / scale < 1e-5
    assert 1e-4 < np.abs(rough - expected).max() / scale < 0.03


def test_onnxruntime_has_no_bf16(bundle: Bundle) -> None:
    """It says so, and does not run in fp32 instead."""
    with pytest.raises(InputError) as caught:
        open_span(bundle, SpanSpec(0, LAST, (LAST,)), engine=Engine("onnxruntime", "bf16"))
    assert str(caught.value) == ("precision bf16: onnxruntime multiplies in fp32 and int8. Choose --runtime openvino.")


def test_a_graph_that_openvino_cannot_run_is_an_error_of_ours() -> None:
    """Whatever it raises becomes an ArtifactError that names the span."""
    from offramp.runtime.openvino_span import OpenVinoSpan

    with pytest.raises(ArtifactError, match=r"^openvino: cannot run the span from image to logits_9 \("):
        OpenVinoSpan(b"nothing", ("image",), {"logits_9": "logits_9"})


def test_openvino_is_imported_without_telling_anybody(tmp_path: Path) -> None:
    """Its import sends a message to its maker and writes ~/intel; ours does neither."""
    code = (
        "import sys, offramp.runtime.openvino_span as span; "
        "assert 'openvino_telemetry' not in sys.modules; span.multiplies_bf16()"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=os.environ | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_openvino_is_imported_only_where_it_is_asked_for(bundle: Bundle) -> None:
    """A node on onnxruntime starts without the half second that it takes."""
    code = (
        "import sys\nfrom offramp.artifacts.bundle import Bundle\nfrom offramp.artifacts.plan import Plan\n"
        "from offramp.nodes.edge import Edge\nimport offramp.nodes.process\n"
        f"Edge(Bundle.open({str(bundle.path)!r}), Plan.checked(active=[], cut=9))\n"
        "assert 'openvino' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
