"""`auto`: exits spread by multiply-adds over the ends of blocks."""

from math import prod

from offramp.errors import InputError
from offramp.graphs.boundaries import Boundaries, Boundary

LATE = 0.9  # share of the network


def choose_exits(found: Boundaries, count: int = 3) -> tuple[Boundary, ...]:
    """Choose the boundaries of `count` exits, the last of which is the network's own: `count - 1` of them.

    Exit k of n wants k/n of the multiply-adds before it, and takes the boundary nearest to that: of ends of blocks
    where less is carried beside the features than the features are, if there are enough; else of all ends, or of all.
    Behind LATE of the multiply-adds an exit saves next to nothing: there one stands only where nothing is left before.
    """
    if count < 2:
        raise InputError(f"exits {count}: expected 2 or more, the network's own among them.")
    if len(found.offered) < count - 1:
        raise InputError(
            f"exits {count}: this network has {len(found.offered)} boundaries, room for {len(found.offered) + 1}. "
            "See them with: offramp boundaries MODEL"
        )
    ends = [one for one in found.offered if one.at == "end"]
    slim = [one for one in ends if carried(one) <= prod(one.tensors[one.main])]
    # Of several places with the same work before them one will do, the end of a block where there is one.
    apart = {one.macs_before: one for one in sorted(found.offered, key=lambda one: one.at == "end")}
    spread = sorted(apart.values(), key=lambda one: one.number)
    early = [[one for one in group if one.macs_before <= LATE * found.macs] for group in (slim, ends, spread)]
    pool = next(group for group in (*early, slim, ends, list(found.offered)) if len(group) >= count - 1)
    chosen: list[Boundary] = []
    for exit_ in range(1, count):
        after = len(chosen) and pool.index(chosen[-1]) + 1
        room = pool[after : len(pool) - (count - 1 - exit_)]
        wanted = found.macs * exit_ / count
        chosen.append(min(room, key=lambda one: (abs(one.macs_before - wanted), one.number)))
    return tuple(chosen)


def carried(boundary: Boundary) -> int:
    """Values of a sample that cross beside the features."""
    return sum(prod(shape) for name, shape in boundary.tensors.items() if name != boundary.main)
