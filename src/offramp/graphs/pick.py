"""Which boundaries a user means: by name, by number, by how many, or left to us."""

from collections.abc import Sequence
from difflib import get_close_matches
from itertools import pairwise

from offramp.errors import InputError
from offramp.graphs.boundary import Boundaries, Boundary
from offramp.graphs.choose import choose_exits

AUTO = "auto"
Wanted = str | int | Sequence[str | int]
NEAR = 5  # names offered in place of one that is unknown


def pick(found: Boundaries, wanted: Wanted = AUTO) -> tuple[Boundary, ...]:
    """Give the boundaries that exits shall stand at, but for the network's own; rising along the network.

    `auto` is three exits, a number so many, the network's own among them; a list, or text with commas, names them or
    gives their numbers. Raises InputError for one that is not there, that was refused, or that is out of order.
    """
    if wanted == AUTO:
        return choose_exits(found)
    if isinstance(wanted, int) or (isinstance(wanted, str) and wanted.strip().isdigit()):
        return choose_exits(found, int(wanted))
    listed = wanted.split(",") if isinstance(wanted, str) else wanted
    chosen = tuple(_one(found, one.strip() if isinstance(one, str) else one) for one in listed)
    for before, after in pairwise(chosen):
        if after.number <= before.number:
            what = "named twice" if after.number == before.number else f"before {before.name!r} in the network"
            raise InputError(
                f"exits: {after.name!r} is {what}. Name each once, in the order in which the network computes them."
            )
    if not chosen:
        raise InputError("exits: none is named. Name a boundary, or leave it to auto.")
    return chosen


def _one(found: Boundaries, wanted: str | int) -> Boundary:
    by_name = {also: boundary for boundary in found.offered for also in boundary.also}
    by_name |= {boundary.name: boundary for boundary in found.offered}
    if isinstance(wanted, str) and wanted in by_name:
        return by_name[wanted]
    if str(wanted).isdigit():
        if not 1 <= int(wanted) <= len(found.offered):
            raise InputError(
                f"exit {wanted}: boundaries are numbered 1 to {len(found.offered)}. See them with: "
                "offramp boundaries MODEL"
            )
        return found.offered[int(wanted) - 1]
    name = str(wanted)
    for refused in found.refused:
        if refused.name == name:
            raise InputError(f"exit {name!r}: no network can be cut there ({refused.why}). Choose another boundary.")
    near = get_close_matches(name, by_name, NEAR, 0.4) or list(by_name)[:NEAR]
    raise InputError(
        f"exit {name!r}: no such boundary. Near it are {', '.join(near)}. See all with: offramp boundaries MODEL"
    )
