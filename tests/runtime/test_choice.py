"""Which runtime and precision a node computes with."""

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Engine
from offramp.errors import ArtifactError, InputError, ParityError
from offramp.machine import processor_kind
from offramp.runtime.choice import LARGEST, Choice, choose, has_bf16_matrix_units, precision_here
from offramp.runtime.kept import CACHE, Choices, Chosen, Circumstances, cache_folder
from offramp.runtime.open import open_span
from offramp.runtime.span import Span, SpanSpec
from offramp.runtime.timing import served

needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")


def test_the_default_is_what_every_node_has(bundle: Bundle) -> None:
    """Asked for, onnxruntime in fp32 is taken without a look at anything else."""
    assert Choice().engine == Engine("onnxruntime", "fp32")
    assert choose(bundle, "onnxruntime", "fp32") == Choice(Engine(), "as asked")
    assert choose(bundle, "onnxruntime", "auto").engine == Engine()


@needs_openvino
def test_what_is_asked_for_is_taken(bundle: Bundle, int8_bundle: Bundle) -> None:
    """A name and no auto: nothing is timed."""
    assert choose(bundle, "openvino", "fp32") == Choice(Engine("openvino", "fp32"), "as asked")
    for runtime in ("onnxruntime", "openvino"):
        found = choose(int8_bundle, runtime, "int8")
        assert (found.engine.runtime, found.engine.precision, found.why) == (runtime, "int8", "as asked")


@needs_openvino
def test_auto_times_both_and_says_what_it_found(bundle: Bundle) -> None:
    """The reason holds the figures of both runtimes at every batch size, and where they are kept."""
    found = choose(bundle, precision="fp32", threads=1, largest=2)

    assert found.engine.threads == 1
    first, second, kept = found.why.split("; ")
    assert first.startswith("batch 1: ")
    assert second.startswith("batch 2: ")
    assert first.count(" ms on ") == 2
    assert kept == f"kept in {cache_folder()}/{bundle.id}.json"
    assert found.engine.precision == "fp32"
    assert found.config == {
        "runtime": found.engine.release,
        "precision": found.engine.precision,
        "runtime_choice": found.why,
        "hardware": processor_kind(),
    }


@needs_openvino
def test_a_choice_is_made_once(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a start the next one times nothing and answers as the file says, also where that is the slower runtime."""
    monkeypatch.setenv(CACHE, str(tmp_path))
    first = choose(bundle, precision="fp32", threads=1, largest=1)
    path = tmp_path / "engines" / f"{bundle.id}.json"
    kept = Choices.read(path)
    (chosen,) = kept.choices
    assert chosen.runtime == first.engine.runtime
    other = "openvino" if chosen.runtime == "onnxruntime" else "onnxruntime"
    Choices(bundle=bundle.id, choices=(chosen.model_copy(update={"runtime": other}),)).write(path)
    for _ in range(2):
        again = choose(bundle, precision="fp32", threads=1, largest=1)
        assert (again.engine.runtime, again.why) == (other, f"{chosen.timings[0]}; chosen before")
    elsewhere = choose(bundle, precision="fp32", threads=2, largest=1)  # other threads are timed for themselves
    assert "kept in" in elsewhere.why
    assert [one.made_in.threads for one in Choices.read(path).choices] == [1, 2]
    before = chosen.model_copy(update={"made_in": chosen.made_in.model_copy(update={"held": ()})})
    Choices(bundle=bundle.id, choices=(before,)).write(path)  # when nobody looked whether both compute the network
    assert "kept in" in choose(bundle, precision="fp32", threads=1, largest=1).why


@needs_openvino
def test_predict_chooses_for_its_threads(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offramp: Callable[..., Any]
) -> None:
    """From the command line: as many go to the runtime that was found the faster on so many."""
    monkeypatch.setenv(CACHE, str(tmp_path))
    here = Circumstances(
        precision="fp32", threads=1, batches=served(LARGEST), hardware=processor_kind(),
        onnxruntime=Engine("onnxruntime").release, openvino=Engine("openvino").release, held=bundle.manifest.exits,
    )  # fmt: skip
    chosen = tuple(
        Chosen(runtime=runtime, made_in=here.model_copy(update={"threads": threads}), timings=())
        for threads, runtime in ((1, "onnxruntime"), (2, "openvino"), (3, "onnxruntime"))
    )
    path = tmp_path / "engines" / f"{bundle.id}.json"
    path.parent.mkdir()
    Choices(bundle=bundle.id, choices=chosen).write(path)
    for one in chosen:
        options = ("--precision", "fp32", "--threads", str(one.made_in.threads), "--out", str(tmp_path / "p.parquet"))
        assert f", {one.runtime} fp32\n" in offramp("predict", str(bundle.path), *options).stdout


@needs_openvino
def test_a_cache_that_cannot_be_written_is_said_and_no_failure(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file where the folder should be; and none at all where none is wanted."""
    (tmp_path / "engines").write_text("")
    monkeypatch.setenv(CACHE, str(tmp_path))
    said = choose(bundle, precision="fp32", threads=1, largest=1).why
    assert said.endswith(f"; not kept, {tmp_path}/engines/{bundle.id}.json: File exists")
    monkeypatch.setenv(CACHE, "none")
    assert choose(bundle, precision="fp32", threads=1, largest=1).why.endswith(" ms on onnxruntime; not kept")


@needs_openvino
def test_auto_takes_onnxruntime_where_openvino_cannot_run_the_network(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of one with an operator that it does not have; the node says why."""

    def opened(bundle: Bundle, spec: SpanSpec, engine: Engine) -> Span:
        if engine.runtime == "openvino":
            raise ArtifactError("openvino: cannot run the span: it has no Scaler.")
        return open_span(bundle, spec, engine)

    monkeypatch.setenv(CACHE, str(tmp_path))
    monkeypatch.setattr("offramp.runtime.timing.open_span", opened)
    choice = choose(bundle, "auto", "fp32", 1)
    assert (choice.engine.runtime, choice.why) == ("onnxruntime", "openvino: cannot run the span: it has no Scaler.")


@needs_openvino
def test_auto_leaves_bf16_where_what_comes_of_it_is_another_network(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node starts in fp32 then, and not at all only where bf16 was asked for; it is looked at once."""
    looked: list[str] = []
    wrong: set[str] = set()

    def check(bundle: Bundle, engine: Engine) -> None:
        looked.append(engine.precision)
        if engine.precision in wrong:
            raise ParityError(f"{engine.precision} is off.")

    monkeypatch.setattr("offramp.runtime.choice.has_bf16_matrix_units", lambda: True)
    monkeypatch.setattr("offramp.runtime.timing.check_engine", check)
    monkeypatch.setenv(CACHE, str(tmp_path / "right"))
    for _ in range(2):
        found = choose(bundle, threads=1, largest=1)
        assert (found.engine, found.why) == (Engine("openvino", "bf16", 1), "this processor has bf16 matrix units")
    assert looked == ["bf16"]
    wrong.add("bf16")
    monkeypatch.setenv(CACHE, str(tmp_path / "wrong"))
    for _ in range(2):
        found = choose(bundle, threads=1, largest=1)
        assert found.engine.precision == "fp32"
        assert found.why.startswith("bf16 is off. batch 1: ")
    assert looked == ["bf16", "bf16", "fp32"]
    wrong.add("fp32")
    monkeypatch.setenv(CACHE, str(tmp_path / "both"))
    for _ in range(2):
        found = choose(bundle, threads=1, largest=1)
        assert (found.engine, found.why) == (Engine(threads=1), "bf16 is off. fp32 is off.")
    assert len(looked) == 5
    assert choose(bundle, "openvino", threads=1).engine.precision == "bf16"  # who asks for it is told by its start


@pytest.mark.parametrize("openvino", [True, False])
@pytest.mark.parametrize("matrix_units", [True, False])
def test_the_precision_is_never_chosen_by_a_figure(openvino: bool, matrix_units: bool) -> None:
    """bf16 where both the runtime and the units for it are there, and no time is asked for."""
    assert precision_here(openvino, matrix_units) == ("bf16" if openvino and matrix_units else "fp32")


@needs_openvino
def test_auto_starts_in_the_precision_of_the_machine(bundle: Bundle) -> None:
    """On either runtime's name but onnxruntime's, which multiplies in fp32."""
    expected = precision_here(True, has_bf16_matrix_units())
    assert {choose(bundle, runtime, threads=1, largest=1).engine.precision for runtime in ("auto", "openvino")} == {
        expected
    }
    assert choose(bundle, "onnxruntime", threads=1).engine.precision == "fp32"


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
        choose(bundle, runtime, precision)
    assert str(caught.value) == message


def test_int8_without_its_graph(bundle: Bundle) -> None:
    """A bundle that was exported without it says how to export it."""
    with pytest.raises(InputError) as caught:
        choose(bundle, "onnxruntime", "int8")
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
        "from offramp.runtime.choice import choose\n"
        f"print(choose(Bundle.open({str(bundle.path)!r})))"
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
