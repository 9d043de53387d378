"""What a network's exits say of some samples, taken once: the table that every plan is priced from.

Takes predictions, gives scores and who is right. Knows neither costs nor plans; labels are in `right` alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from offramp.artifacts.codec import Codec
from offramp.artifacts.manifest import Manifest
from offramp.artifacts.predictions import Predictions
from offramp.exits.answers import Judged
from offramp.exits.score import Floats

Bools = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.intp]

THRESHOLDS = 256  # of a grid, where no more are asked for
DIGITS = 3  # that a threshold of the grid is rounded to: it is typed and read


class Crossing(NamedTuple):
    """Where samples that do not leave cross to the next node, and how; at the network's end they do not.

    `other` is the id of another bundle, whose network finishes with the image: a cascade of two models.
    """

    cut: int
    codec: Codec
    other: str = ""

    @property
    def input(self) -> str:
        """What crosses at cut 0, in a word: images do so as the 8 bits that they are, and nothing else does."""
        return "image" if self.codec == "uint8" else "input"


@dataclass(frozen=True)
class Table:
    """Scores and rightness of `N` samples at each local exit, and at the end by each crossing.

    A crossing that is not in `ends` was not measured, and no plan has it.
    """

    exits: tuple[int, ...]  # local ones, rising
    last: int
    scores: Floats  # (exits, N)
    right: Bools  # (exits, N)
    ends: dict[Crossing, Bools]  # of each (N,): whether the answer of the end is right

    def __len__(self) -> int:
        return int(self.scores.shape[1])

    @classmethod
    def of(
        cls, plain: Predictions, manifest: Manifest, others: Sequence[Predictions] = (), score: str = "entropy"
    ) -> Self:
        """Take the table from predictions of the graph in one piece; `others` are of the last exit by lossy crossings.

        Features cross in fp32 unchanged at any cut, and 8-bit images cross as what they are: for these the plain
        predictions stand. All are of the same samples in the same order (`plan.inputs` sees to it).
        """
        last, local = plain.last, plain.header.exits[:-1]
        judged = [Judged.of(plain.at(exit_), score) for exit_ in local]
        right = [one.probabilities.argmax(axis=1) == plain.labels for one in judged]
        at_end = plain.at(last).argmax(axis=1) == plain.labels
        cuts = [cut.boundary for cut in manifest.cuts]
        ends = {Crossing(cut, "fp32"): at_end for cut in cuts if cut} | {Crossing(last, "fp32"): at_end}
        ends |= {Crossing(0, "uint8"): at_end} if "uint8" in manifest.cut(0).codecs else {Crossing(0, "fp32"): at_end}
        for other in others:
            crossing = Crossing(other.header.cut, other.header.codec)
            ends[crossing] = other.at(last).argmax(axis=1) == other.labels
        empty = (0, len(plain))
        scores = np.stack([one.scores for one in judged]) if judged else np.empty(empty)
        return cls(local, last, scores, np.stack(right) if right else np.empty(empty, np.bool_), ends)

    def row(self, exit_: int) -> int:
        """Where an exit stands in `scores` and `right`."""
        return self.exits.index(exit_)

    def with_end(self, crossing: Crossing, right: Bools) -> Self:
        """The same with one more way to finish."""
        return type(self)(self.exits, self.last, self.scores, self.right, {**self.ends, crossing: right})

    def grid(self, most: int = THRESHOLDS) -> Floats:
        """Thresholds in (0, 1], rising: quantiles of the scores of all exits together, rounded to be typed and read.

        The last one is above every score but 1, so that all leave that ever can.
        """
        if not self.scores.size:
            return np.ones(1)
        found = np.quantile(self.scores, np.linspace(0, 1, most))
        place = 10.0 ** (DIGITS - 1 - np.floor(np.log10(np.maximum(found, 1e-12))))
        rounded = np.minimum(np.round(found * place) / place, 1.0)
        return np.unique(np.append(rounded[rounded > 0], 1.0))


def bins(scores: Floats, grid: Floats) -> Counts:
    """The first threshold of the grid by which each score leaves, `len(grid)` where none: exact, equal ones stay."""
    return np.searchsorted(grid, scores, side="right")
