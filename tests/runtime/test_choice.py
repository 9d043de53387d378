"""Which runtime and precision a node computes with."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Engine
from offramp.errors import InputError
from offramp.machine import processor_kind
from offramp.runtime.choice import BATCHES, Choice, Timing, choose, faster, has_bf16_matrix_units, measure
from offramp.runtime.span import SpanSpec

LAST = 9
WHOLE = SpanSpec(0, LAST, (LAST,))
needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")
milliseconds = st.floats(1e-3, 1e4)


@pytest.mark.parametrize(
    ("timings", "expected"),
    [
        ([Timing(1, 1.0, 0.5), Timing(32, 10.0, 5.0)], "openvino"),
        ([Timing(1, 1.0, 1.0), Timing(32, 10.0, 10.0)], "onnxruntime"),
        ([Timing(1, 1.0, 0.95), Timing(32, 10.0, 9.5)], "onnxruntime"),  # gains, but 5 % is noise
        ([Timing(1, 1.1, 1.0), Timing(32, 11.1, 10.0)], "openvino"),
        ([Timing(1, 1.0, 1.01), Timing(32, 10.0, 2.0)], "onnxruntime"),  # never slower than what was there before
        ([Timing(1, 1.0, 0.99), Timing(32, 10.0, 2.0)], "openvino"),
        ([], "onnxruntime"),
    ],
)
def test_openvino_is_taken_only_where_it_gains_clearly(timings: list[Timing], expected: str) -> None:
    """A tenth over both batch sizes, and a loss at neither."""
    assert faster(timings) == expected


@given(st.lists(st.tuples(milliseconds, milliseconds), min_size=1, max_size=3), st.floats(1e-2, 1e2))
def test_the_choice_does_not_depend_on_the_unit_or_the_order(rows: list[tuple[float, float]], unit: float) -> None:
    """Figures decide by their ratios alone."""
    timings = [Timing(position, *row) for position, row in enumerate(rows)]
    gains = [timing.gain for timing in timings]
    if min(abs(gain - 1.0) for gain in gains) < 1e-6:
        return  # rounding decides
    scaled = [Timing(t.batch, t.onnxruntime * unit, t.openvino * unit) for t in timings]
    assert faster(timings[::-1]) == faster(timings)
    if faster(scaled) != faster(timings):
        product = 1.0
        for gain in gains:
            product *= gain
        assert product ** (1 / len(gains)) == pytest.approx(1.1)


@given(milliseconds, st.floats(1.0, 10.0))
def test_the_faster_openvino_is_the_sooner_it_is_taken(time: float, times: float) -> None:
    """Making OpenVINO faster never loses it the choice."""
    timing, better = Timing(1, time, time), Timing(1, time, time / times)
    assert not (faster([timing]) == "openvino" and faster([better]) == "onnxruntime")


def test_the_default_is_what_every_node_has(bundle: Bundle) -> None:
    """Asked for, onnxruntime in fp32 is taken without a look at anything else."""
    assert Choice().engine == Engine("onnxruntime", "fp32")
    assert choose(bundle, WHOLE, "onnxruntime", "fp32") == Choice(Engine(), "as asked")
    assert choose(bundle, WHOLE, "onnxruntime", "auto").engine == Engine()


@needs_openvino
def test_what_is_asked_for_is_taken(bundle: Bundle, int8_bundle: Bundle) -> None:
    """A name and no auto: nothing is timed."""
    assert choose(bundle, WHOLE, "openvino", "fp32") == Choice(Engine("openvino", "fp32"), "as asked")
    for runtime in ("onnxruntime", "openvino"):
        found = choose(int8_bundle, WHOLE, runtime, "int8")
        assert (found.engine.runtime, found.engine.precision, found.why) == (runtime, "int8", "as asked")


@needs_openvino
def test_auto_times_both_and_says_what_it_found(bundle: Bundle) -> None:
    """The reason holds the figures of both runtimes at both batch sizes; precision stays fp32 without matrix units."""
    found = choose(bundle, WHOLE, threads=1)

    assert found.engine.threads == 1
    first, second = found.why.split("; ")
    assert first.startswith("batch 1: ")
    assert second.startswith("batch 32: ")
    assert first.count(" ms on ") == 2
    if not has_bf16_matrix_units():
        assert found.engine.precision == "fp32"
    assert found.config == {
        "runtime": found.engine.release,
        "precision": found.engine.precision,
        "runtime_choice": found.why,
        "hardware": processor_kind(),
    }


@needs_openvino
def test_a_measurement_has_a_figure_for_each_batch_size(bundle: Bundle) -> None:
    """In milliseconds, above zero, for both runtimes; spans that take uint8 are timed on uint8."""
    spec = SpanSpec(3, LAST, (LAST,), takes="uint8")
    timings = measure(bundle, spec, Engine(threads=1), Engine("openvino", threads=1))
    assert tuple(timing.batch for timing in timings) == BATCHES
    assert all(timing.onnxruntime > 0 and timing.openvino > 0 for timing in timings)


@pytest.mark.parametrize(
    ("runtime", "precision", "message"),
    [
        ("tensorrt", "auto", "runtime 'tensorrt': unknown. Choose one of auto, onnxruntime, openvino."),
        ("auto", "fp8", "precision 'fp8': unknown. Choose one of auto, fp32, bf16, int8."),
        (
            "onnxruntime",
            "bf16",
            "precision bf16: onnxruntime multiplies in fp32 and int8. Choose --runtime openvino.",
        ),
    ],
)
def test_values_that_nobody_has(bundle: Bundle, runtime: str, precision: str, message: str) -> None:
    """Each is named with what there is."""
    with pytest.raises(InputError) as caught:
        choose(bundle, WHOLE, runtime, precision)
    assert str(caught.value) == message


def test_int8_without_its_graph(bundle: Bundle) -> None:
    """A bundle that was exported without it says how to export it."""
    with pytest.raises(InputError) as caught:
        choose(bundle, WHOLE, "onnxruntime", "int8")
    assert str(caught.value) == (
        f"precision int8: {bundle.path} holds no int8 graph. Export it with: offramp export CHECKPOINT --int8"
    )


WITHOUT = """
import sys
sys.modules["openvino"] = None  # as on a machine where it is not installed
from offramp.cli import main
sys.argv = ["offramp", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--runtime", "openvino"], "runtime openvino: openvino is not installed."),
        (["--precision", "bf16"], "precision bf16: openvino is not installed."),
    ],
)
def test_openvino_asked_for_and_not_there(bundle: Bundle, options: list[str], message: str) -> None:
    """A node does not start: exit code 2 and what to install, or to choose instead."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, "serve", "cloud", str(bundle.path), "--port", "0", *options],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"offramp: error: {message} Install it with: pip install 'offramp[openvino]', or choose "
        "--runtime onnxruntime --precision fp32.\n"
    )


def test_auto_without_openvino_is_onnxruntime(bundle: Bundle) -> None:
    """Nothing is timed, and nothing fails."""
    code = (
        "import sys\nsys.modules['openvino'] = None\nfrom offramp.artifacts.bundle import Bundle\n"
        "from offramp.runtime.choice import choose\nfrom offramp.runtime.span import SpanSpec\n"
        f"print(choose(Bundle.open({str(bundle.path)!r}), SpanSpec(0, 9, (9,))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{Engine().release} fp32 (openvino is not installed)\n", done.stderr


def test_matrix_units_are_read_from_the_processors_flags(tmp_path: Path) -> None:
    """avx512_bf16 is no matrix unit: it multiplies vectors."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor : 0\nflags : fpu avx512_bf16 amx_tile\n")
    assert not has_bf16_matrix_units(cpuinfo)
    cpuinfo.write_text("processor : 0\nflags : fpu avx512_bf16 amx_bf16 amx_tile\n")
    assert has_bf16_matrix_units(cpuinfo)
    assert not has_bf16_matrix_units(tmp_path / "missing")
