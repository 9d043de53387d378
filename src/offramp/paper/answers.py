"""What the open questions came to, a sentence or a few each, computed from a reproduction's rows."""

from offramp.paper.comparison import time, times
from offramp.paper.contest import at_rates
from offramp.paper.reproduced import bytes_a_sample, cloud_ms, fastest_first, links, mean_ms, name, percent
from offramp.paper.reproduction import Reproduction, Row


def baselines(of: Reproduction) -> list[str]:
    """For each link, the fastest and the most accurate."""
    said = []
    for link in links(of.section("baselines")):
        rows = fastest_first(row for row in of.section("baselines") if row.setup.link == link)
        if rows:
            fastest = rows[0]
            best = max(rows, key=lambda row: row.outcome.overall or 0.0)
            both = fastest.outcome.overall == best.outcome.overall
            accurate = ", and none is more accurate" if both else f"; the most accurate is {_told(best)}"
            said.append(f"{link}: the fastest is {_told(fastest)}{accurate}.")
    return said


def drop(of: Reproduction) -> list[str]:
    """For each network, what the lowest drop threshold saves and costs against none."""
    rows, said = of.section("drop"), []
    for model in dict.fromkeys(row.setup.model for row in rows):
        own = [row for row in rows if row.setup.model == model]
        without = next((row for row in own if row.setup.plan.drop_threshold is None), None)
        dropping = [row for row in own if row.setup.plan.drop_threshold is not None]
        if without is None or not dropping:
            continue
        with_ = min(dropping, key=lambda row: row.setup.plan.drop_threshold or 0.0)
        said.append(
            f"{name(without.setup)}, dropping above {with_.setup.plan.drop_threshold:g} against not dropping: "
            f"{_less(bytes_a_sample(without), bytes_a_sample(with_))} bytes to the cloud, "
            f"{_less(cloud_ms(without), cloud_ms(with_))} cloud computing, {_points(without, with_)} of overall "
            "accuracy."
        )
    return said


def cores(of: Reproduction) -> list[str]:
    """For each number of cores, the fastest local exit and what has none."""
    rows, said = of.section("cores"), []
    for share in dict.fromkeys(row.setup.edge_cores for row in rows):
        here = [row for row in rows if row.setup.edge_cores == share and row.p50("overall") is not None]
        local = fastest_first(row for row in here if row.setup.contender == "local exit")
        others = [row for row in here if row.setup.contender != "local exit"]
        if local:
            beside = ", ".join(f"{name(row.setup)} {row.p50('overall'):.2f} ms" for row in others)
            amount = "all cores" if share is None else f"{share:g} core{'s' * (share > 1)}"
            said.append(f"{amount}: the fastest exit is {_told(local[0])}{'; beside it ' * bool(beside)}{beside}.")
    return said


def bandwidth(of: Reproduction) -> list[str]:
    """Which exit is best at which rates, and at which a local exit pays."""
    contests = at_rates(of)
    if not contests:
        return []
    best: dict[str, list[str]] = {}
    for contest in contests:
        if contest.local is not None:
            best.setdefault(name(contest.local.setup), []).append(f"{contest.rate:g}")
    said = [f"The fastest local exit: {'; '.join(f'{who} at {_and(rates)} Mbit/s' for who, rates in best.items())}."]
    known = [contest for contest in contests if contest.pays is not None]
    for outcome, words in (
        ("for", "A local exit is faster than everything at the edge and everything in the cloud at"),
        ("against", "It is slower than one of them at"),
        ("within noise", "It cannot be told from the faster of them at"),
    ):
        rates = [f"{contest.rate:g}" for contest in known if contest.pays == outcome]
        if rates:
            said.append(f"{words} {_and(rates)} Mbit/s.")
    return said


def reply(of: Reproduction) -> list[str]:
    """For each link, at how many exits the direct way is faster for what the cloud answers."""
    rows, said = of.section("reply"), []
    for link in links(rows):
        ways = {
            way: {r.setup.place: r for r in rows if (r.setup.link, r.setup.reply) == (link, way)}
            for way in ("edge", "direct")
        }
        pairs = [(ways["edge"][k], ways["direct"][k]) for k in ways["edge"] if k in ways["direct"]]
        compared = [times("", time("", through, "cloud"), time("", direct, "cloud")) for through, direct in pairs]
        held = [pair.outcome for pair in compared if pair is not None]
        if held:
            said.append(
                f"{link}: what the cloud answers comes faster straight from it at {held.count('for')} of {len(held)} "
                f"exits, slower at {held.count('against')}, not told apart at {held.count('within noise')}."
            )
    return said


def planner(of: Reproduction) -> list[str]:
    """For each link, the choice against the fastest of the paper's plans, in the mean over samples."""
    said = []
    for one in of.planned:
        rows = [row for row in of.section("planner") if row.setup.link == one.link]
        timed = {row.setup: found for row in rows if (found := mean_ms(row)) is not None}
        mine = next((row for row in rows if row.setup.contender == "planned" and row.setup in timed), None)
        theirs = [row for row in rows if row.setup.contender == "local exit" and row.setup in timed]
        if mine is None or not theirs:
            continue
        best = min(theirs, key=lambda row: timed[row.setup])
        took, against = timed[mine.setup], timed[best.setup]
        said.append(
            f"{one.link}: the choice, {one.said}, took {took:.2f} ms in the mean, {100 * (took / against - 1):+.0f} % "
            f"against the fastest of the paper's, {name(best.setup)} ({against:.2f} ms); {_points(best, mine)} of "
            f"accuracy on {mine.setup.samples} samples. Predicted were {one.latency_ms:.2f} ms."
        )
    return said


ANSWERS = {
    "baselines": baselines,
    "drop": drop,
    "cores": cores,
    "bandwidth": bandwidth,
    "reply": reply,
    "planner": planner,
}


def _told(row: Row) -> str:
    accuracy = percent(row.outcome.overall)
    right = "" if accuracy is None else f" at {accuracy:.2f} %"
    return f"{name(row.setup)}, {row.p50('overall'):.2f} ms{right}"


def _less(without: float | None, with_: float | None) -> str:
    if not without or with_ is None:
        return "no change of"
    return f"{100 * (with_ / without - 1):+.0f} %"


def _points(without: Row, with_: Row) -> str:
    if without.outcome.overall is None or with_.outcome.overall is None:
        return "an unknown change"
    return f"{100 * (with_.outcome.overall - without.outcome.overall):+.2f} points"


def _and(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
