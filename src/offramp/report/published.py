"""What others state of networks like a suite's, as far as its report has a place for it: numbers and claims.

Whoever knows them hands them in; of a suite that nobody said anything of, the report stands alone.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Claim(NamedTuple):
    """One claim, held against the suite under one regime of MEM."""

    says: str
    in_paper: str
    regime: str
    found: str
    holds: bool
    settled: bool  # several seeds say the same


class Published(NamedTuple):
    """Numbers in percent, by exit, of all samples answered there; empty where they are of other data."""

    claims: Sequence[Claim] | None = None  # none of nobody
    comparable: bool = True
    sem: Mapping[int, float] | None = None
    mem: Mapping[int, float] | None = None
    mem_last: float | None = None  # at MEM's last exit
    frontier: tuple[str, Sequence[tuple[float, float]]] | None = None  # whose, and million multiply-adds with accuracy
    captions: Mapping[str, str] | None = None  # what a figure's caption says of them


NOTHING = Published()
