"""A budget of time: how it is read, and when a training within it stops."""

import pytest

from offramp.errors import InputError
from offramp.suite.budget import Clock, OutOfTimeError, parse_budget
from offramp.train.observe import EpochRecord


class Hands:
    """A clock's hands, moved by the test."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.time


def record(epoch: int, of: int = 10) -> EpochRecord:
    """An epoch that is over."""
    return EpochRecord(
        epoch=epoch, of=of, loss=1.0, learning_rate=0.1, validation_accuracy={}, seconds=1.0, images_per_second=1.0
    )


@pytest.mark.parametrize(
    ("text", "seconds"), [("9m", 540), ("90s", 90), ("1h", 3600), ("1h30m", 5400), ("0.5m", 30), ("1h1m1s", 3661)]
)
def test_a_budget_is_hours_minutes_and_seconds(text: str, seconds: float) -> None:
    """In this order, any of them."""
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "9", "m", "nine minutes", "9m1h", "-1m", "0s", "9 m"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """With examples of what is."""
    with pytest.raises(InputError) as caught:
        parse_budget(text)
    assert str(caught.value) == f"budget {text!r}: expected a time above 0 like 9m, 90s or 1h30m."


def test_a_training_stops_before_the_epoch_that_would_not_fit() -> None:
    """Epochs of 10 s and 5 s of reserve in 40 s: after the second, 20 are left; after the third, 10 are too few."""
    hands = Hands()
    clock = Clock(40, reserve=5, now=hands)
    clock.start()
    for epoch in (1, 2):
        hands.time += 10
        clock.epoch(record(epoch))
    hands.time += 10
    with pytest.raises(OutOfTimeError):
        clock.epoch(record(3))


def test_a_first_epoch_that_took_long_is_forgotten() -> None:
    """It compiled for 30 s. After one more of 10 s, 25 s are left: enough for another such, and not for two."""
    hands = Hands()
    clock = Clock(65, now=hands)
    clock.start()
    hands.time += 30
    clock.epoch(record(1))
    hands.time += 10
    clock.epoch(record(2))
    hands.time += 15
    with pytest.raises(OutOfTimeError):
        clock.epoch(record(3))


def test_a_training_that_is_over_is_not_stopped() -> None:
    """Its checkpoint is written, however late it is."""
    hands = Hands()
    clock = Clock(15, now=hands)
    clock.start()
    hands.time += 14
    clock.epoch(record(10, of=10))


def test_no_training_begins_when_time_is_up() -> None:
    """The reserve belongs to what follows a training."""
    hands = Hands()
    clock = Clock(15, reserve=5, now=hands)
    clock.start()
    hands.time += 10
    with pytest.raises(OutOfTimeError):
        clock.start()


def test_without_a_budget_nothing_stops() -> None:
    """A thousand hours are as good as one."""
    hands = Hands()
    clock = Clock(None, now=hands)
    clock.start()
    hands.time += 3.6e6
    clock.epoch(record(1))
