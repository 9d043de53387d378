"""Exits that cannot pay, known from multiply-adds before anything is trained."""

import pytest

from offramp.graphs.boundary import Boundary
from offramp.models.heads import GraphHead
from offramp.models.worth import dear, head_macs


def boundary(number: int, macs: int) -> Boundary:
    """An end of a block of a network of 100,000 multiply-adds, with features of 8 channels."""
    return Boundary(number, f"b{number}", {"features": (8, 4, 4)}, "nchw", macs, 100_000 - macs, "end", 0.0)


def test_a_head_costs_what_its_layers_multiply() -> None:
    """Eight channels in 17 windows each: 136 numbers to as many hidden ones, and those to ten classes."""
    assert head_macs(boundary(1, 0), 10, "linear") == 8 * 10
    assert head_macs(boundary(1, 0), 10, "mlp") == 136 * 136 + 136 * 10


@pytest.mark.parametrize(
    ("head", "before", "warned"),
    [("mlp", (10_000, 50_000), []), ("mlp", (60_000, 70_000), [2]), ("linear", (60_000, 70_000), [])],
)
def test_an_exit_that_saves_nothing_is_told_of(head: GraphHead, before: tuple[int, ...], warned: list[int]) -> None:
    """The heads before it are passed too."""
    chosen = [boundary(number, macs) for number, macs in enumerate(before, start=1)]
    said = dear(chosen, 100_000, 10, head)
    assert [int(line.split()[1]) for line in said] == warned
    if said:
        assert said[0] == (
            "exit 2 (b2): a sample that leaves there has cost 109,712 multiply-adds, 39,712 of them in heads, and the "
            "network without exits 100,000: it saves nothing. Try --head linear, or choose fewer or earlier exits."
        )


def test_without_a_cheaper_head_fewer_exits_are_what_is_left() -> None:
    """A linear head on the last block still saves nothing."""
    (line,) = dear([boundary(1, 99_950)], 100_000, 10, "linear")
    assert line.endswith("it saves nothing. Choose fewer or earlier exits.")
