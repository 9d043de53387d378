"""Which runtime and precision a node computes with: as asked, or chosen once for a machine and a bundle.

The precision goes by a rule and never by a figure, so that a node answers alike after every start. The runtime, which
in fp32 changes an answer by its rounding alone, is timed, and what came of it is kept (`runtime.kept`). OpenVINO is not
taken where it changes more: it ignores a Resize's antialias, for one (findings/openvino_resize_ignores_antialias.sh).
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import PORTABLE, PRECISIONS, RUNTIMES, Engine, Precision
from offramp.errors import ArtifactError, InputError, MissingExtraError, ParityError
from offramp.machine import CPUINFO, cores_to_use, instructions, processor_kind

Name = TypeVar("Name", bound=str)

if TYPE_CHECKING:
    from offramp.runtime.kept import Chosen

AUTO = "auto"
MATRIX_UNITS = "this processor has bf16 matrix units"
LARGEST = 256  # samples of a batch, where a node does not say


@dataclass(frozen=True)
class Choice:
    """What a node computes with, and why."""

    engine: Engine = PORTABLE
    why: str = "the default"

    @property
    def config(self) -> dict[str, str]:
        """What a node's models say of it."""
        return {
            "runtime": self.engine.release,
            "precision": self.engine.precision,
            "runtime_choice": self.why,
            "hardware": processor_kind(),
        }

    def __str__(self) -> str:
        return f"{self.engine.release} {self.engine.precision} ({self.why})"


DEFAULT = Choice()


def choose(
    bundle: Bundle, runtime: str = AUTO, precision: str = AUTO, threads: int = 0, largest: int = LARGEST
) -> Choice:
    """Settle what a node computes with; `auto` for either leaves it to this machine. `threads` go with it.

    An `auto` precision is fp32, or bf16 where OpenVINO is there, the processor has bf16 matrix units, and what comes of
    them is the network's still, unless onnxruntime was asked for. An `auto` runtime is the one that has the precision;
    where both have, the faster of the two for whole batches of up to `largest` samples, timed once and kept. Raises
    InputError for a value that is unknown or that this machine or bundle does not have, MissingExtraError where
    OpenVINO was asked for and is not installed.
    """
    asked_runtime, asked_precision = _known(runtime, RUNTIMES, "runtime"), _known(precision, PRECISIONS, "precision")
    installed = asked_runtime != "onnxruntime" and find_spec("openvino") is not None
    if asked_precision is not None:
        bundle.graph_for(asked_precision)  # an int8 graph that is not there is found before anything is timed
    if asked_runtime == "onnxruntime" and asked_precision == "bf16":
        raise InputError("precision bf16: onnxruntime multiplies in fp32 and int8. Choose --runtime openvino.")
    if not installed and (asked_runtime == "openvino" or asked_precision == "bf16"):
        raise MissingExtraError(
            f"{'runtime openvino' if asked_runtime else 'precision bf16'}: openvino is not installed. Install it with: "
            "pip install 'offramp[openvino]', or choose --runtime onnxruntime --precision fp32."
        )
    if asked_precision == "bf16":
        from offramp.runtime.openvino_span import multiplies_bf16

        if not multiplies_bf16():
            raise InputError("precision bf16: this processor does not multiply in bf16. Choose --precision fp32.")
    settled = asked_precision or precision_here(installed, has_bf16_matrix_units())
    here, there = (Engine(name, settled, threads) for name in RUNTIMES)
    if asked_runtime is not None and (asked_precision is not None or settled != "bf16"):
        return Choice(there if asked_runtime == "openvino" else here, "as asked")
    if not installed:
        return Choice(here, "openvino is not installed")
    if settled != "bf16":
        return _timed(bundle, here, there, largest)
    if asked_precision is None and asked_runtime is None:
        return _in_bf16(bundle, threads, largest)
    return Choice(there, MATRIX_UNITS if asked_precision is None else "the runtime that has bf16")


def precision_here(openvino: bool, matrix_units: bool) -> Precision:
    """What `auto` multiplies in: bf16 where OpenVINO may run and the processor has matrix units for it, else fp32.

    A rule and no figure: a node that starts again multiplies as it did before.
    """
    return "bf16" if openvino and matrix_units else "fp32"


def _in_bf16(bundle: Bundle, threads: int, largest: int) -> Choice:
    """OpenVINO in bf16, or fp32 where what it computes is another network, as it would be after every start."""
    here, there = (Engine(name, "bf16", threads) for name in RUNTIMES)
    wrong = _once(bundle, here, there, ())[0].failure
    if not wrong:
        return Choice(there, MATRIX_UNITS)
    here, there = (Engine(name, "fp32", threads) for name in RUNTIMES)
    found = _timed(bundle, here, there, largest)
    return Choice(found.engine, f"{wrong} {found.why}")


def _timed(bundle: Bundle, here: Engine, there: Engine, largest: int) -> Choice:
    """The faster of two runtimes in one precision."""
    from offramp.runtime.timing import served

    chosen, kept = _once(bundle, here, there, served(largest))
    why = chosen.failure or f"{'; '.join(map(str, chosen.timings))}; {kept}"
    return Choice(there if chosen.runtime == "openvino" else here, why)


def _once(bundle: Bundle, here: Engine, there: Engine, batches: tuple[int, ...]) -> "tuple[Chosen, str]":
    """Time two runtimes at these batch sizes, if that was not done before, and choose; with what became of the choice.

    OpenVINO is not taken where it gives other logits, and is where it gives the same and nothing is timed.
    """
    # A node with one runtime times nothing, and is ready sooner without these.
    from offramp.runtime.kept import Choices, Chosen, Circumstances, cache_folder, keep, read
    from offramp.runtime.timing import faster, measure

    circumstances = Circumstances(
        precision=there.precision,
        threads=cores_to_use(there.threads),
        batches=batches,
        hardware=processor_kind(),
        onnxruntime=here.release,
        openvino=there.release,
        held=bundle.manifest.exits,
    )
    folder = cache_folder()
    path = None if folder is None else folder / f"{bundle.id}.json"
    known = Choices(bundle=bundle.id) if path is None else read(path, bundle.id)
    if (before := known.in_(circumstances)) is not None:
        return before, "chosen before"
    try:
        timings = measure(bundle, here, there, batches)
        runtime = faster(timings, known.before(circumstances)) if timings else "openvino"
        chosen = Chosen(runtime=runtime, made_in=circumstances, timings=timings)
    except ParityError as failure:
        chosen = Chosen(runtime="onnxruntime", made_in=circumstances, timings=(), failure=str(failure))
    except ArtifactError as failure:  # of onnxruntime raised again where a node opens its spans
        chosen = Chosen(runtime="onnxruntime", made_in=circumstances, timings=(), failure=str(failure))
        return chosen, "not kept"
    if path is None:
        return chosen, "not kept"
    chosen, error = keep(path, bundle.id, chosen)
    return chosen, f"not kept, {path}: {error}" if error else f"kept in {path}"


def has_bf16_matrix_units(cpuinfo: Path = CPUINFO) -> bool:
    """Whether the processor multiplies bf16 matrices in units of their own (AMX), where the system tells."""
    return "amx_bf16" in instructions(cpuinfo)


def _known(value: str, names: tuple[Name, ...], what: str) -> Name | None:
    """The value as one of the names; None for auto."""
    if value == AUTO:
        return None
    for name in names:
        if name == value:
            return name
    raise InputError(f"{what} {value!r}: unknown. Choose one of {AUTO}, {', '.join(names)}.")
