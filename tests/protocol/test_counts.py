"""Numbers in memory that processes share."""

import os
import threading
from collections.abc import Iterator

import pytest

from offramp.protocol.counts import LOST, NOWHERE, WIDEST, Counts, shared_memory


@pytest.fixture
def memory() -> Iterator[int]:
    """That of two processes."""
    descriptor = shared_memory(2)
    yield descriptor
    os.close(descriptor)


def test_what_two_count_is_added_up_and_each_reads_it(memory: int) -> None:
    """Whatever each of them counts, and in whatever order it began to."""
    one, other = Counts(memory, 0, 2), Counts(memory, 1, 2)
    one.values[one.slot(("a", "x"))] += 2
    other.values[other.slot(("b",), 3) + 1] += 5
    other.values[other.slot(("a", "x"))] += 3
    expected = {LOST: [0], ("a", "x"): [5], ("b",): [0, 5, 0]}
    assert one.read({}) == other.read({}) == expected


def test_a_number_may_be_merged_in_another_way_than_by_adding_it_up(memory: int) -> None:
    """As the later of two times is."""
    for place, value in enumerate((7.0, 4.0)):
        counts = Counts(memory, place, 2)
        counts.values[counts.slot(("last", "x"))] = value
    assert counts.read({"last": max})["last", "x"] == [7]


def test_a_successor_goes_on_where_the_one_before_was_killed(memory: int) -> None:
    """Nothing is lost and nothing counted twice; what is new to it stands behind."""
    killed, other = Counts(memory, 0, 2), Counts(memory, 1, 2)
    for counts in (killed, other):
        counts.values[counts.slot(("a",))] += 4
    killed.slot(("wide",), 5)
    successor = Counts(memory, 0, 2)
    successor.values[successor.slot(("a",))] += 1
    successor.values[successor.slot(("new",))] += 9
    assert other.read({}) == {LOST: [0], ("a",): [9], ("wide",): [0] * 5, ("new",): [9]}


def test_a_key_without_room_is_said_to_be_missing_and_takes_nobody_s(memory: int) -> None:
    """No request fails of it."""
    counts = Counts(memory)
    number = 0
    while (slot := counts.slot((str(number),), WIDEST)) != NOWHERE:
        number += 1
    counts.values[slot + WIDEST - 1] += 7
    found = counts.read({})
    assert found.pop(LOST) == [1]
    assert len(found) == number
    assert not any(map(sum, found.values()))


def test_threads_that_find_a_key_new_find_the_same_place() -> None:
    """Or one would count where nobody reads."""
    counts = Counts()
    start = threading.Barrier(8)
    found: list[list[int]] = []

    def look() -> None:
        start.wait(30)
        found.append([counts.slot((str(key),)) for key in range(200)])

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 8
    assert all(slots == found[0] for slots in found)
    assert len(set(found[0])) == 200
