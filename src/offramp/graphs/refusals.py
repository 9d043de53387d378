"""What is no boundary, and why: said once for a stretch of the network, not for each of its tensors."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

from offramp.graphs.flow import Flow
from offramp.graphs.liveness import Moment
from offramp.graphs.names import Modules

SAID = 3  # tensors named in a reason


@dataclass(frozen=True)
class Refused:
    """A tensor, or several in a row, where the network cannot be cut; and why."""

    name: str
    why: str


class Unfit(Protocol):
    """A tensor that is alone among the features, and why it is no boundary for all that."""

    @property
    def place(self) -> int:
        """Of the node that gives it."""

    @property
    def name(self) -> str:
        """What a user calls it."""

    @property
    def why(self) -> str:
        """Why not; nothing where it is one."""


Placed = tuple[int, Refused]


def unfit(candidates: Sequence[Unfit]) -> list[Placed]:
    """Those that cannot be boundaries, the same reason in a row said once."""
    found: list[Placed] = []
    for why, group in groupby(candidates, key=lambda one: one.why):
        if why:
            first, *more = group
            found.append((first.place, Refused(_and_more(first.name, len(more)), why)))
    return found


def grouped(flow: Flow, modules: Modules, beside: Sequence[tuple[Moment, str]]) -> list[Placed]:
    """Stretches of the network where more than one tensor is needed past each."""
    stretches: list[list[tuple[Moment, str]]] = []
    for moment, name in beside:
        before = stretches[-1][-1][0] if stretches else None
        if before is not None and {*before.alive} & {*moment.alive}:
            stretches[-1].append((moment, name))
        else:
            stretches.append([(moment, name)])
    return [(stretch[0][0].place, _told(flow, modules, stretch)) for stretch in stretches]


def _told(flow: Flow, modules: Modules, stretch: Sequence[tuple[Moment, str]]) -> Refused:
    count, most = sum(len(moment.given) for moment, _ in stretch), max(len(moment.alive) for moment, _ in stretch)
    others: dict[str, int] = {}
    for moment, _ in stretch:
        for name in set(moment.alive) - set(moment.given):
            others[name] = others.get(name, 0) + 1
    longest = sorted(others, key=lambda name: -others[name])
    named = ", ".join(_called(flow, modules, name) for name in longest[:SAID])
    more = f" and {len(longest) - SAID} more" if len(longest) > SAID else ""
    common = _common(modules, [moment.place for moment, _ in stretch])
    name = common or _and_more(stretch[0][1], count - 1)
    at_once = "" if most == 2 else f", up to {most} at once"
    if not longest:
        return Refused(name, f"{count} tensors: a list of {most} that belong together (Split)")
    return Refused(name, f"{count} tensors: past each, others are needed too{at_once} ({named}{more})")


def _called(flow: Flow, modules: Modules, tensor: str) -> str:
    """A tensor with who needs it last."""
    ending = modules.ending(flow.giver[tensor])
    users = flow.data_users(tensor)
    until = flow.graph.node[max(users)] if users else None
    return f"{ending[0] if ending else tensor}{f' until {until.op_type}' if until is not None else ''}"


def _common(modules: Modules, places: Sequence[int]) -> str:
    """The innermost module that holds them all."""
    shared = set.intersection(*(set(modules.paths[place]) for place in places))
    return max(shared, key=len, default="")


def _and_more(name: str, count: int) -> str:
    return f"{name} and {count} more" if count > 0 else name
