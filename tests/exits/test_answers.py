"""Answers: taking rows, judging logits, putting parts back together."""

from dataclasses import fields

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.exits.answers import Answers, Judged, Tier, merge


def answers(count: int) -> Answers:
    """Answers of which no two rows are alike in any field that can hold many values."""
    row = np.arange(count)
    return Answers(
        probabilities=np.stack([row, -row], axis=1).astype(np.float32),
        label=row + 100,
        exit=row + 200,
        score=(row / 1000).astype(np.float32),
        tier=(row % 3).astype(np.int8),
        degraded=row % 2 == 0,
        dropped=row % 5 == 0,
    )


def assert_same(found: Answers, expected: Answers) -> None:
    """Every field is equal, dtypes included."""
    for field in fields(Answers):
        ours, theirs = getattr(found, field.name), getattr(expected, field.name)
        assert ours.dtype == theirs.dtype, field.name
        np.testing.assert_array_equal(ours, theirs, err_msg=field.name)


@given(part_of_row=st.lists(st.integers(0, 3), max_size=12), data=st.data())
def test_merge_puts_any_partition_back(part_of_row: list[int], data: st.DataObject) -> None:
    """However rows are dealt into parts, empty ones included, and in whatever order: the caller's order comes back."""
    whole = answers(len(part_of_row))
    parts = []
    for part in range(4):
        rows = [row for row, chosen in enumerate(part_of_row) if chosen == part]
        index = np.array(data.draw(st.permutations(rows)), np.intp)
        parts.append((index, whole.rows(index)))
    assert_same(merge(data.draw(st.permutations(parts)), len(part_of_row)), whole)


@pytest.mark.parametrize("index", [np.array([3, 0, 3]), np.array([], np.intp), slice(1, 3)])
def test_rows_come_in_the_order_of_the_index(index: npt.NDArray[np.intp] | slice) -> None:
    """Every field follows the same index: repeated, empty or a slice."""
    expected = np.arange(4)[index]
    found = answers(4).rows(index)
    assert (found.label - 100).tolist() == expected.tolist()
    assert (found.exit - 200).tolist() == expected.tolist()
    np.testing.assert_array_equal(found.probabilities[:, 0], expected)


def test_rows_can_be_chosen_by_a_mask() -> None:
    """A boolean index keeps the rows that are true."""
    assert answers(3).rows(np.array([True, False, True])).label.tolist() == [100, 102]


@pytest.mark.parametrize("count", [0, 3])
def test_length_is_the_number_of_samples(count: int) -> None:
    """One answer a sample."""
    assert len(answers(count)) == count


def test_an_exits_answer_is_its_most_probable_class() -> None:
    """Label, probabilities and score belong to the chosen rows; nothing is degraded or dropped unless said."""
    judged = Judged.of([[0.0, 0.0, 9.0], [9.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    found = judged.answers(4, Tier.EDGE, np.array([1, 0]))
    assert found.label.tolist() == [0, 2]
    assert found.exit.tolist() == [4, 4]
    assert found.tier.tolist() == [Tier.EDGE, Tier.EDGE]
    np.testing.assert_array_equal(found.score, judged.scores[[1, 0]].astype(np.float32))
    np.testing.assert_array_equal(found.probabilities, judged.probabilities[[1, 0]].astype(np.float32))
    assert not found.degraded.any()
    assert not found.dropped.any()


def test_an_exit_answers_all_rows_unless_told() -> None:
    """Without rows, the whole batch is answered in its order."""
    assert Judged.of([[0.0, 1.0], [1.0, 0.0]]).answers(2, Tier.CLOUD).label.tolist() == [1, 0]


def test_a_dropped_answer_is_marked() -> None:
    """What is answered because it was given up carries the mark, and only that one."""
    found = Judged.of([[0.0, 1.0]]).answers(2, Tier.EDGE, dropped=True)
    assert (found.dropped.tolist(), found.degraded.tolist()) == ([True], [False])


def test_equal_probabilities_give_the_first_class() -> None:
    """A tie between classes has one answer everywhere: the lower index."""
    assert Judged.of([[2.0, 2.0]]).answers(1, Tier.EDGE).label.tolist() == [0]


def test_some_rows_of_what_was_judged_are_those_rows() -> None:
    """Of the probabilities and of the scores, in the order asked for."""
    judged = Judged.of([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0]])
    found = judged.at(np.array([2, 0]))
    assert found.probabilities.tolist() == judged.probabilities[[2, 0]].tolist()
    assert found.scores.tolist() == judged.scores[[2, 0]].tolist()


def test_a_batch_is_judged_by_the_named_score() -> None:
    """The score's name reaches the score."""
    logits = np.log([[0.75, 0.25]])
    assert Judged.of(logits, "margin").scores[0] == pytest.approx(0.5)
    assert Judged.of(logits).scores[0] == pytest.approx(0.8112781)


def test_answers_have_the_dtypes_of_the_protocol() -> None:
    """Even no answer has them, so that parts can be joined."""
    found = Judged.of(np.zeros((0, 2))).answers(1, Tier.EDGE)
    dtypes = {field.name: getattr(found, field.name).dtype.name for field in fields(Answers)}
    assert dtypes == {
        "probabilities": "float32", "label": "int64", "exit": "int64", "score": "float32", "tier": "int8",
        "degraded": "bool", "dropped": "bool",
    }  # fmt: skip


def test_tiers_have_the_numbers_that_go_over_the_wire() -> None:
    """Other programs read these: they never change."""
    assert {tier.name: tier.value for tier in Tier} == {"DEVICE": 0, "EDGE": 1, "CLOUD": 2}
