"""A tensor that is alone among the features, and whether a boundary can be there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from offramp.graphs.carried import carried
from offramp.graphs.flow import Flow
from offramp.graphs.layout import Kind, kind_of
from offramp.graphs.liveness import Moment
from offramp.graphs.macs import macs_of
from offramp.graphs.tensors import Seen, Shape


@dataclass(frozen=True)
class Candidate:
    """A tensor that is alone among the features, and why no boundary can be there; nothing where one can."""

    place: int
    tensor: str
    names: tuple[str, ...]
    why: str
    tensors: dict[str, Shape]
    kind: Kind | None
    macs_before: int
    macs_after: int

    @property
    def name(self) -> str:
        """What a user calls it."""
        return self.names[0]

    @classmethod
    def of(
        cls, flow: Flow, tensors: Mapping[str, Seen], moment: Moment, names: tuple[str, ...], needed: Mapping[str, int],
        axes: Mapping[str, int], macs: Sequence[int],
    ) -> "Candidate":  # fmt: skip
        """Look at the tensor that is left at a moment."""
        (tensor,) = moment.alive
        seen = tensors.get(tensor)
        shape = None if seen is None else seen.sample
        axis = axes.get(tensor)
        if seen is not None and shape is not None and axis is not None:
            axis = seen.batch_first().index(axis)
        kind = None if shape is None else kind_of(shape, axis)
        before = sum(macs[: moment.place + 1])
        after = sum(macs[moment.place + 1 :])
        still = [one for one, place in needed.items() if place > moment.place]
        more, lacking = carried(flow, tensors, still)
        why = ""
        if seen is None or shape is None:
            axes_told = "" if seen is None else f": its axes are ({', '.join(_told(axis) for axis in seen.axes)})"
            why = f"it has no entry for each sample{axes_told}"
        elif seen.dtype not in ("float", "float16", "double"):
            why = f"it holds {seen.dtype}, and features are floats"
        elif kind is None:
            why = f"it has {len(shape) + 1} axes, and a head stands on 2 to 4"
        elif not before:
            why = "nothing is multiplied before it: an exit there would know no more than the input"
        elif not after:
            why = "nothing is multiplied after it: a cut there would save nothing"
        elif lacking:
            why = lacking
        return cls(moment.place, tensor, names, why, {tensor: shape or ()} | more, kind, before, after)


def _told(axis: tuple[int, int]) -> str:
    each, fixed = axis
    grown = "" if not each else "N" if each == 1 else f"{each}N"
    return f"{grown}{'+' if each and fixed > 0 else ''}{fixed or ''}" or "0"


def node_macs(flow: Flow, tensors: Mapping[str, Seen]) -> list[int]:
    """Multiply-adds of one sample in each node; of those that depend on the input alone."""
    sizes = {tensor.name: tuple(tensor.dims) for tensor in flow.graph.initializer}
    sizes |= {name: seen.at(1) for name, seen in tensors.items()}
    return [
        macs_of(node, [sizes.get(name, ()) for name in node.input], [sizes.get(name, ()) for name in node.output])
        if flow.learned_outputs(node)
        else 0
        for node in flow.graph.node
    ]
