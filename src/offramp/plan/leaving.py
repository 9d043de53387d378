"""Who leaves where by a set of exits, at each threshold of a grid that all of them share: exact, and for every set.

Takes a table. Knows neither what leaving costs nor what is wanted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from offramp.exits.score import Floats
from offramp.plan.table import Bools, Counts, Crossing, Table, bins


@dataclass(frozen=True)
class Leaving:
    """Shares of all samples, by a set of exits, at each of `G` thresholds."""

    exits: tuple[int, ...]
    left: Floats  # (exits, G)
    right: Floats  # (exits, G): leave there and are right
    onward: Floats  # (G,): leave at none
    ends: dict[Crossing, Floats]  # (G,): leave at none, and are right at the end by this crossing


class Node(NamedTuple):
    """A set of exits in the tree of them all."""

    exits: tuple[int, ...]
    least: Counts  # (N,): the first threshold by which a sample has left, somewhere
    left: tuple[Floats, ...]
    right: tuple[Floats, ...]


@dataclass(frozen=True)
class Tree:
    """A set with one exit more costs one minimum and a few counts.

    A sample has left by then exactly if the least of its scores is below the threshold.
    """

    table: Table
    size: int  # of the grid
    placed: Counts  # (exits, N): by which threshold of the grid a sample leaves there
    ways: dict[int, Bools]  # many crossings share who is right

    @classmethod
    def of(cls, table: Table, grid: Floats) -> Self:
        """Place all scores in a grid of rising thresholds."""
        ways = {id(right): right for right in table.ends.values()}
        return cls(table, len(grid), bins(table.scores, grid), ways)

    @property
    def root(self) -> Node:
        """No exit: nobody leaves."""
        return Node((), np.full(len(self.table), self.size, np.intp), (), ())

    def child(self, node: Node, exit_: int) -> Node:
        """The set with an exit more, behind all of its own."""
        row = self.table.row(exit_)
        placed, good = self.placed[row], self.table.right[row]
        here = placed < node.least  # leave here at some threshold: from their own on, until they left before
        mine, before, good = placed[here], node.least[here], good[here]
        left = self._shares(mine) - self._shares(before)
        right = self._shares(mine[good]) - self._shares(before[good])
        least = np.minimum(node.least, placed)
        return Node((*node.exits, exit_), least, (*node.left, left), (*node.right, right))

    def leaving(self, node: Node) -> Leaving:
        """What becomes of all samples by a set."""
        n, shape = len(self.table), (len(node.exits), self.size)
        still = {key: of.sum() / n - self._shares(node.least[of]) for key, of in self.ways.items()}
        ends = {crossing: still[id(of)] for crossing, of in self.table.ends.items()}
        onward = 1.0 - self._shares(node.least)
        return Leaving(node.exits, np.reshape(node.left, shape), np.reshape(node.right, shape), onward, ends)

    def _shares(self, at: Counts) -> Floats:
        return np.bincount(at, minlength=self.size + 1).cumsum()[: self.size] / len(self.table)


def walk(table: Table, grid: Floats, most: int) -> Iterator[Leaving]:
    """Every set of up to `most` local exits, the empty one first: the tree, depth first."""
    tree = Tree.of(table, grid)

    def step(node: Node) -> Iterator[Leaving]:
        yield tree.leaving(node)
        if len(node.exits) < most:
            for exit_ in table.exits:
                if not node.exits or exit_ > node.exits[-1]:
                    yield from step(tree.child(node, exit_))

    yield from step(tree.root)


def leaving(table: Table, grid: Floats, exits: Sequence[int]) -> Leaving:
    """The same of one set."""
    tree = Tree.of(table, grid)
    node = tree.root
    for exit_ in exits:
        node = tree.child(node, exit_)
    return tree.leaving(node)
