"""Each boundary really cut, and the halves compared with the whole.

On real-valued noise in batches of 1 and of 5, by the same extraction that nodes cut spans with. All boundaries at once:
a chain of stages that ends where the whole does. Where that differs, each by itself, and what differs is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from offramp.errors import InputError, OfframpError
from offramp.graphs.boundary import Boundaries, Boundary
from offramp.graphs.look import Noise, are_numbers, run, session
from offramp.graphs.refusals import Refused
from offramp.graphs.source import GraphSource
from offramp.graphs.stages import chain, input_names
from offramp.graphs.tensors import Array
from offramp.runtime.cut import pieces

TOLERANCE = 1e-4  # of the largest value
BATCHES = (1, 5)


def checked(source: GraphSource, found: Boundaries) -> Boundaries:
    """The same, each boundary with the difference that it was found to make; without those that make too much."""
    if not found.offered:
        return found
    whole = _Whole(source)
    at_once, _ = _tried(whole, found.offered)
    if at_once <= TOLERANCE:
        offered = tuple(replace(one, tolerance=at_once) for one in found.offered)
        return replace(found, offered=offered)
    kept: list[Boundary] = []
    refused = list(found.refused)
    for one in found.offered:
        difference, why = _tried(whole, [one])
        if difference <= TOLERANCE:
            kept.append(replace(one, number=len(kept) + 1, tolerance=difference))
        else:
            said = why or f"its halves differ from the whole by {difference:.1e} of the largest value"
            refused.append(Refused(one.name, f"{said}, and {TOLERANCE:.0e} is borne"))
    return replace(found, offered=tuple(kept), refused=tuple(refused))


class _Whole:
    """The whole network's answers to the batches that the halves get."""

    def __init__(self, source: GraphSource) -> None:
        self.source = source
        noise = Noise.for_(source.model.graph, source.inputs)
        ready = session(source.model.SerializeToString(), source.origin)
        for unit in (False, True):
            self.fed = [noise.batch(size, seed=size, unit=unit) for size in BATCHES]
            self.answers = [run(ready, [source.output], fed, source.origin)[0] for fed in self.fed]
            every = np.concatenate(self.answers)
            apart = float(np.ptp(every, axis=0).max()) / max(float(np.abs(every).max()), 1e-30)
            if are_numbers(every) and apart > TOLERANCE:
                return
        if apart <= TOLERANCE:  # halves of anything would agree with it
            raise InputError(
                f"{source.origin}: answers every input alike ({', '.join(f'{value:g}' for value in every[0, :3])}…; "
                f"they differ by {apart:.0e} of the largest): no wrong cut would be seen. Some weights are 0, or "
                "so small that nothing reaches its end. Give the trained network, or look without cutting (--no-check)."
            )


def _tried(whole: _Whole, chosen: Sequence[Boundary]) -> tuple[float, str]:
    """The largest difference of a network cut at boundaries; infinity where it cannot be run, and why."""
    source, names = whole.source, input_names(whole.source)
    ends = [tuple(one.crossing(stage)) for stage, one in enumerate(chosen, start=1)]
    ends.append((f"features_{len(chosen) + 1}",))
    starts = [tuple(names.values()), *ends[:-1]]
    try:
        graph = chain(source, chosen).SerializeToString()
        now: list[Mapping[str, Array]] = [
            {names[name]: array.astype(np.float32) for name, array in fed.items()} for fed in whole.fed
        ]
        for piece, end in zip(pieces(graph, list(zip(starts, ends, strict=True)), source.origin), ends, strict=True):
            ready = session(piece.SerializeToString(), source.origin)
            taken = [value.name for value in ready.get_inputs()]
            now = [
                dict(zip(end, run(ready, list(end), {name: fed[name] for name in taken}, source.origin), strict=True))
                for fed in now
            ]
    except OfframpError as error:
        return float("inf"), f"its halves do not run ({error})"
    last = ends[-1][0]
    return max(_apart(found[last], truth) for found, truth in zip(now, whole.answers, strict=True)), ""


def _apart(found: Array, truth: Array) -> float:
    if found.shape != truth.shape:
        return float("inf")
    difference = float(np.abs(found - truth).max()) / max(float(np.abs(truth).max()), 1e-30)
    return difference if np.isfinite(difference) else float("inf")
