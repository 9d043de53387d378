"""What is no boundary, and why: said once for a stretch of the network, not for each of its tensors."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Protocol

from offramp.graphs.flow import Flow
from offramp.graphs.liveness import Moment
from offramp.graphs.names import Modules

SAID = 2  # tensors named in a reason


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
    """Stretches of the network where more than one tensor is needed past each, those of one module together."""
    stretches: list[list[tuple[Moment, str]]] = []
    for moment, name in beside:
        before = stretches[-1][-1][0] if stretches else None
        if before is not None and {*before.alive} & {*moment.alive}:
            stretches[-1].append((moment, name))
        else:
            stretches.append([(moment, name)])
    found: list[Placed] = []
    for module, group in groupby(stretches, key=lambda stretch: _common(modules, stretch)):
        own = list(group)
        joined = [list(chain.from_iterable(own))] if module else own
        found.extend((stretch[0][0].place, _told(flow, modules, stretch, module)) for stretch in joined)
    return found


def _told(flow: Flow, modules: Modules, stretch: Sequence[tuple[Moment, str]], module: str) -> Refused:
    """Why nothing in a stretch can be cut at: what else is needed past it, the longest needed first."""
    count, most = sum(len(moment.given) for moment, _ in stretch), max(len(moment.alive) for moment, _ in stretch)
    others: dict[str, int] = {}
    for moment, _ in stretch:
        for name in set(moment.alive) - set(moment.given):
            others[name] = others.get(name, 0) + 1
    longest = sorted(others, key=lambda name: (-others[name], flow.giver[name]))
    name = module or _and_more(stretch[0][1], count - 1)
    if not longest:
        return Refused(name, f"{count} tensors of one list (a split), which belong together")
    named = " and ".join(_called(flow, modules, name) for name in longest[:SAID])
    more = f", and up to {most - 1} at once" if most > SAID + 1 else ""
    inside = "1 tensor inside is" if count == 1 else f"{count} tensors inside are"
    return Refused(name, f"{inside} not alone: {named} {'is' if len(longest) == 1 else 'are'} needed past it{more}")


def _called(flow: Flow, modules: Modules, tensor: str) -> str:
    """A tensor in the user's words, and what needs it last."""
    ending = modules.ending(flow.giver[tensor])
    users = flow.data_users(tensor)
    until = f" (until {flow.graph.node[max(users)].op_type})" if users else ""
    return f"{ending[0] if ending else tensor}{until}"


def _common(modules: Modules, stretch: Sequence[tuple[Moment, str]]) -> str:
    """The innermost module that holds a whole stretch; nothing where none does."""
    shared = set.intersection(*(set(modules.paths[moment.place]) for moment, _ in stretch))
    return max(shared, key=len, default="")


def _and_more(name: str, count: int) -> str:
    return f"{name} and {count} more" if count > 0 else name
