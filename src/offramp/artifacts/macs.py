"""The multiply-adds of one sample, from those of stages and heads: the one sum behind every claim of cost."""

from collections.abc import Iterable, Mapping


def macs_until(exit_: int, stages: Mapping[int, int], heads: Mapping[int, int], active: Iterable[int] = ()) -> int:
    """Multiply-adds of a sample that leaves at `exit_`, having passed the heads `active` before it.

    `stages` and `heads` give the multiply-adds of each by its number.

    >>> macs_until(2, {1: 100, 2: 100, 3: 100}, {1: 1, 2: 2, 3: 3}, (1, 2, 3))
    203
    """
    passed = {exit_, *active}
    return sum(macs for stage, macs in stages.items() if stage <= exit_) + sum(heads[k] for k in passed if k <= exit_)
