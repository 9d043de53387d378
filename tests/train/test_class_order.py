"""Outputs in another order than the data's classes are seen by what the network answers."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from offramp.errors import DataError
from offramp.train.class_order import check_order

CLASSES = ("cat", "dog", "owl")


class Answered:
    """A network's answers to labelled samples, as heads' training reads them."""

    def __init__(self, answers: list[int], labels: list[int]) -> None:
        self.labels = np.array(labels, np.int64)
        self.logits = torch.eye(len(CLASSES))[answers]

    def read(self, rows: npt.NDArray[np.intp]) -> dict[int, Tensor]:
        """Exit 1 reads noise; exit 2 is the network's own."""
        return {1: torch.zeros(len(rows), 5), 2: self.logits[torch.from_numpy(rows)]}


def test_another_order_that_is_right_far_more_often_is_said() -> None:
    """By the names in the outputs' order, which are those to be given."""
    with pytest.raises(DataError) as caught:
        check_order(Answered([1, 1, 2, 2, 0, 0, 0, 0], [0, 0, 1, 1, 2, 2, 2, 0]), CLASSES)
    assert str(caught.value) == (
        "the network's own answers are right of 12% of 8 validation samples, and of 88% if its outputs stand for the "
        "classes in another order than the data's. If so, say it: --classes owl,cat,dog; if not, --classes cat,dog,owl."
    )


@pytest.mark.parametrize(
    ("answers", "labels"),
    [
        ([0, 0, 1, 1, 2, 0, 1, 2], [0, 0, 1, 1, 2, 2, 2, 0]),  # right of most
        ([0, 0, 0, 0, 0, 0, 0, 0], [0, 1, 2, 1, 2, 1, 2, 0]),  # right of few, and by no order of more
        ([1, 2, 0], [0, 1, 2]),  # too few to tell
    ],
)
def test_a_network_that_is_right_or_merely_bad_is_let_be(answers: list[int], labels: list[int]) -> None:
    check_order(Answered(answers, labels), CLASSES)
