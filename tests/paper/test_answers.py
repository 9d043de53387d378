"""What the open questions came to, in words and in the contest of contenders by rate."""

from collections.abc import Callable

from offramp.paper import answers
from offramp.paper.contest import at_rates
from offramp.paper.reproduced import name
from offramp.paper.reproduction import Reproduction, Row

Build = Callable[..., Reproduction]


def slowed(reproduction: Reproduction, ms: float, rate: str) -> Reproduction:
    """With every local exit slower by so much at one rate."""

    def slow(row: Row) -> Row:
        if row.setup.contender != "local exit" or not row.setup.link.startswith(rate):
            return row
        repeats = []
        for repeat in row.repeats:
            overall = repeat.latency_ms["overall"]
            later = overall.model_copy(update={"p50": overall.p50 + ms})
            latency = repeat.latency_ms | {"overall": later}
            repeats.append(repeat.model_copy(update={"latency_ms": latency}))
        return row.model_copy(update={"repeats": tuple(repeats)})

    return reproduction.model_copy(update={"rows": tuple(map(slow, reproduction.rows))})


def test_the_fastest_at_each_rate(reproduction: Reproduction) -> None:
    """With those that cannot be told from it: none here, and all local exits where the repeats lie far apart."""
    slow, fast = at_rates(reproduction)
    assert [(c.rate, name(c.best.setup), c.close, c.pays) for c in (slow, fast)] == [
        (1.0, "SEM-6", (), "for"),
        (1000.0, "SEM-3", (), "for"),
    ]


def test_contenders_within_the_spread_are_named(reproduce: Build) -> None:
    """Every exit is as fast as the other, and the network without one 20 ms slower."""
    first, _ = at_rates(reproduce(side=0))
    assert [name(row.setup) for row in first.close] == [f"SEM-{k}" for k in range(2, 9)]


def test_where_a_local_exit_stops_paying(reproduction: Reproduction) -> None:
    """At the rate at which it became slower than all at the edge."""
    assert answers.bandwidth(slowed(reproduction, 90.0, "1000mbit")) == [
        "The fastest local exit: SEM-6 at 1 Mbit/s; SEM-3 at 1000 Mbit/s.",
        "A local exit is faster than everything at the edge and everything in the cloud at 1 Mbit/s.",
        "It is slower than one of them at 1000 Mbit/s.",
    ]


def test_an_exit_that_cannot_be_told_apart_does_not_pay(reproduce: Build) -> None:
    """Of one repeat the spread is not known."""
    assert answers.bandwidth(reproduce(repeats=1))[1:] == [
        "It cannot be told from the faster of them at 1 and 1000 Mbit/s."
    ]


def test_the_fastest_and_the_most_accurate_over_each_link(reproduction: Reproduction) -> None:
    """By name, latency and accuracy."""
    assert answers.baselines(reproduction)[0] == (
        "loopback: the fastest is SEM-5, 2.85 ms at 83.50 %; the most accurate is all at the edge, 23.40 ms at 89.00 %."
    )


def test_what_dropping_saves_and_costs(reproduction: Reproduction) -> None:
    """The lowest drop threshold against none."""
    assert answers.drop(reproduction)[1] == (
        "SEM-5, dropping above 0.5 against not dropping: -50 % bytes to the cloud, -50 % cloud computing, -2.00 points "
        "of overall accuracy."
    )


def test_fewer_cores_one_by_one(reproduction: Reproduction) -> None:
    """The fastest exit, and what has none beside it."""
    assert answers.cores(reproduction)[1] == (
        "0.25 core: the fastest exit is SEM-5, 2.85 ms at 83.50 %; beside it all at the edge 23.40 ms, all in the "
        "cloud, uint8 23.40 ms."
    )


def test_ways_of_the_answers_by_link(reproduce: Build) -> None:
    """Faster, slower, or not told apart."""
    said = {side: answers.reply(reproduce(side=side, sections=("reply",)))[1] for side in (1, -1, 0)}
    start = "wifi: what the cloud answers comes faster straight from it at"
    words = start + " {} of 2 exits, slower at {}, not told apart at {}."
    assert said == {1: words.format(2, 0, 0), -1: words.format(0, 2, 0), 0: words.format(0, 0, 2)}


def test_nothing_measured_is_nothing_said(reproduce: Build) -> None:
    """Of any question."""
    empty = reproduce(sections=())
    assert [answer(empty) for answer in answers.ANSWERS.values()] == [[]] * len(answers.ANSWERS)
