"""Gathering views of samples, by a clock that stands still until it is moved."""

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.errors import InputError, OverloadedError
from offramp.nodes.gathering import Gather, Gathering
from standing_clock import Clock

VIEWS = ("a", "b", "c")


@pytest.fixture
def clock() -> Clock:
    return Clock(100.0)


def gathering(clock: Clock, **settings: float) -> Gathering[str]:
    return Gathering(VIEWS, clock=clock, **{"wait": 1.0, **settings})  # type: ignore[arg-type]


def test_a_sample_is_ready_when_all_of_its_views_are_there(clock: Clock) -> None:
    """Whatever the order in which they come; they are joined in the order of the views."""
    known = gathering(clock)
    first = known.add("s", "c", "C")
    assert not first.ready
    assert not known.add("s", "a", "A").ready
    last = known.add("s", "b", "B")
    assert last.ready
    assert last.gather is first.gather
    assert known.take(last.gather) == {"a": "A", "b": "B", "c": "C"}
    assert not last.gather.views
    assert last.gather.had == VIEWS
    assert known.told == {"whole": 1, "repeated": 0}
    assert known.next() is None


def test_samples_are_kept_apart(clock: Clock) -> None:
    """Views of one never come into another's gather."""
    known = gathering(clock)
    one, two = known.add("one", "a", "1a").gather, known.add("two", "b", "2b").gather
    known.add("two", "a", "2a")
    clock.now += 1
    assert known.due() == [one, two]
    assert known.take(one) == {"a": "1a"}
    assert known.take(two) == {"a": "2a", "b": "2b"}


def test_a_quorum_is_enough(clock: Clock) -> None:
    """The rest is late, and is told apart from what the answer was made of."""
    known = gathering(clock, quorum=2)
    known.add("s", "b", "B")
    ready = known.add("s", "a", "A")
    assert ready.ready
    assert ready.gather.had == ("a", "b")
    late = known.add("s", "c", "C")
    assert (late.ready, late.late) == (False, True)
    assert late.gather is ready.gather
    assert known.told == {"quorum": 1, "late": 1, "repeated": 0}


def test_of_a_quorum_of_one_nobody_waits(clock: Clock) -> None:
    """The first view is joined alone, at once."""
    came = gathering(clock, quorum=1).add("s", "b", "B")
    assert came.ready
    assert came.gather.had == ("b",)


def test_what_is_there_is_joined_when_the_time_is_over(clock: Clock) -> None:
    """Not before, once, and counted as short of its quorum."""
    known = gathering(clock)
    gather = known.add("s", "a", "A").gather
    clock.now += 0.4
    assert known.due() == []
    assert known.next() == pytest.approx(0.6)
    clock.now += 0.6
    assert known.next() == 0
    assert known.due() == [gather]
    assert known.due() == []
    assert known.next() is None
    assert known.told == {"short": 1, "repeated": 0}


def test_half_of_a_callers_time_is_for_the_answer(clock: Clock) -> None:
    """The caller with the least time left decides when its sample is joined, and by when it is answered."""
    known = gathering(clock)
    gather = known.add("s", "a", "A", timeout=1.0).gather
    assert (gather.end, gather.due(clock(), 0.01)) == (100.5, 101.0)
    known.add("s", "b", "B", timeout=0.4)
    assert (gather.end, gather.due(clock(), 0.01)) == (100.2, 100.4)
    clock.now += 0.1
    known.add("s", "b", "B", timeout=60.0)
    assert (gather.end, gather.due(clock(), 0.01)) == (100.2, 100.4)


def test_who_cannot_be_answered_in_time_costs_the_others_nothing(clock: Clock) -> None:
    """The sample is joined early for such a caller, and answered by when the next of them goes."""
    known = gathering(clock)
    gather = known.add("s", "a", "A", timeout=0.02).gather
    known.add("s", "b", "B", timeout=10.0)
    assert (gather.end, gather.due(clock(), 0.03)) == (100.01, 110.0)
    known.add("s", "c", "C")
    assert gather.due(clock(), 0.03) == 110.0
    assert gather.due(109.99, 0.03) == math.inf
    assert known.add("t", "a", "A", timeout=0.02).gather.due(clock(), 0.03) == 100.02


def test_a_sample_that_got_no_answer_begins_anew(clock: Clock) -> None:
    """Who sends its view again is not told of an error of before; another sample of that name is left alone."""
    known = gathering(clock)
    first, *_ = [known.add("s", view, view).gather for view in "abc"]
    known.drop(first)
    second = known.add("s", "a", "again")
    assert (second.gather is first, second.late) == (False, False)
    known.drop(first)
    assert known.add("s", "b", "B").gather is second.gather


def test_a_view_without_time_is_joined_at_once(clock: Clock) -> None:
    """It would be answered too late otherwise."""
    came = gathering(clock).add("s", "a", "A", timeout=0.0)
    assert came.ready


def test_a_restarted_device_takes_its_own_place(clock: Clock) -> None:
    """What it sends again stands in for what it sent, and is counted."""
    known = gathering(clock)
    known.add("s", "a", "old")
    came = known.add("s", "a", "new")
    clock.now += 1
    known.due()
    assert known.take(came.gather) == {"a": "new"}
    assert known.told == {"repeated": 1, "short": 1}


def test_a_view_of_a_joined_sample_is_never_mixed_into_another(clock: Clock) -> None:
    """It finds the answer that was made, late or repeated, until that is forgotten; then the sample is a new one."""
    known = gathering(clock, keep=5.0)
    joined = known.add("s", "a", "A").gather
    clock.now += 1
    known.due()
    clock.now += 4.9
    assert known.add("s", "b", "B") == (joined, False, True)
    assert known.add("s", "a", "A") == (joined, False, True)
    assert (known.told["late"], known.told["repeated"]) == (1, 1)
    clock.now += 0.2
    again = known.add("s", "b", "B")
    assert not again.late
    assert again.gather is not joined


def test_as_many_samples_are_known_as_were_allowed(clock: Clock) -> None:
    """Joined ones are forgotten for new ones, the oldest first; where all are under way the new one is refused."""
    known = gathering(clock, quorum=2, most=2)
    known.add("one", "a", "")
    joined = known.add("one", "b", "").gather
    known.add("two", "a", "")
    known.add("three", "a", "")
    assert list(known.known) == ["two", "three"]
    assert joined not in known.known.values()
    with pytest.raises(OverloadedError, match="overloaded: 2 samples wait for views, and no more may"):
        known.add("four", "a", "")
    assert list(known.known) == ["two", "three"]


@pytest.mark.parametrize(
    ("sample", "view", "said"),
    [
        ("s", "z", "view 'z': unknown. The network was trained on a, b, c."),
        ("", "a", "sample: an id of 1 to 256 characters is expected, got 0."),
        ("x" * 257, "a", "sample: an id of 1 to 256 characters is expected, got 257."),
    ],
)
def test_what_cannot_be_gathered_is_refused(clock: Clock, sample: str, view: str, said: str) -> None:
    """And nothing is known of it then."""
    known = gathering(clock)
    with pytest.raises(InputError, match=f"^{re.escape(said)}$"):
        known.add(sample, view, "")
    assert not known.known


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"quorum": 0}, "quorum 0: expected 1 to 3"),
        ({"quorum": 4}, "quorum 4: expected 1 to 3"),
        ({"wait": -1.0}, "wait -1 and keep 10: expected seconds, 0 or more"),
        ({"wait": float("nan")}, "wait nan"),
        ({"most": 0}, "samples 0: expected at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(clock: Clock, settings: dict[str, float], said: str) -> None:
    """When it is made."""
    with pytest.raises(InputError, match=f"^{re.escape(said)}"):
        gathering(clock, **settings)


STEPS = st.lists(
    st.tuples(st.sampled_from("xyz"), st.sampled_from(VIEWS), st.sampled_from([0.0, 0.3, 2.0])), max_size=40
)


@settings(max_examples=200)
@given(steps=STEPS, quorum=st.integers(1, 3), keep=st.sampled_from([0.0, 1.0, 5.0]), most=st.integers(1, 3))
def test_every_view_is_in_one_gather_and_every_gather_is_joined_once(
    steps: list[tuple[str, str, float]], quorum: int, keep: float, most: int
) -> None:
    """Whatever comes when: of its own sample, with views of that alone, inside its time; nothing is lost uncounted."""
    clock = Clock(100.0)
    known, joined = gathering(clock, quorum=quorum, keep=keep, most=most), list[Gather[str]]()
    came = late = refused = 0
    for number, (sample, view, pause) in enumerate(steps):
        clock.now += pause
        joined += known.due()
        try:
            found = known.add(sample, view, f"{sample}{view}{number}")
        except OverloadedError:
            refused += 1
            continue
        came += not found.late
        late += found.late
        joined += [found.gather] if found.ready else []
        assert found.gather.sample == sample
    clock.now += 1.0
    joined += known.due()
    assert known.next() is None
    assert len(set(map(id, joined))) == len(joined)
    for gather in joined:
        taken = known.take(gather)
        assert tuple(taken) == gather.had
        assert all(given.startswith(f"{gather.sample}{view}") for view, given in taken.items())
    told = known.told
    assert told["whole"] + told["quorum"] + told["short"] == len(joined)
    assert sum(len(gather.had) for gather in joined) + told["repeated"] + told["late"] == came + late
    assert came + late + refused == len(steps)
