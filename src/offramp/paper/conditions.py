"""What an experiment was measured under, in words: in full for the page, in short for a figure."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from offramp.paper.experiment import Experiment
from offramp.paper.families import as_in_the_paper
from offramp.paper.reproduced import as_experiment, links
from offramp.paper.reproduction import Reproduction, Row


def conditions(experiment: Experiment) -> dict[str, str]:
    """Name every condition; where measurements differ in one, all its values are named."""
    of = [m.conditions for m in experiment.measurements]
    return {
        "Data": f"{experiment.data}, {experiment.test_samples:,} test samples",
        "Network": f"preset {experiment.preset}, {len(experiment.models)} models",
        "Training": f"recipe {experiment.recipe}, {experiment.epochs} epochs, seed {experiment.seed}",
        "Hardware": _all(f"{c.hardware}, cores: {c.cores}" for c in of),
        "Batch size": _all(str(c.batch_size) for c in of),
        "Link": _all(c.link for c in of),
        "Runtime": _all(f"{c.runtime}, {c.dtype}" for c in of),
        "Cut": _all(
            "at the exit, fp32 features" if as_in_the_paper(m) else f"at boundary {m.plan.cut}, {m.plan.codec}"
            for m in experiment.measurements
        ),
        "Commit": _all(c.commit for c in of),
        "Measured": _from_to(min(c.date for c in of), max(c.date for c in of)) if of else "nothing",
        "Duration": f"{experiment.seconds:,.0f} s for the measurements",
        "Agreement with offline evaluation": agreement(experiment),
    }


def agreement(experiment: Experiment) -> str:
    """Say how the running nodes' answers were held against the offline evaluation's."""
    held = experiment.agreement
    if not held.compared:
        return "not checked"
    differing = "none differs" if held.differing == 0 else f"{held.differing:,} DIFFER"
    return f"{held.compared:,} answers compared, {differing}; {held.ties:,} ties left out (score within 1e-5 of T)"


def in_short(experiment: Experiment, *, nodes: bool = True) -> list[str]:
    """The conditions that a figure carries with it wherever it is copied; without `nodes`, of training alone."""
    named = conditions(experiment)
    training = [named["Data"], named["Training"]]
    if not experiment.measurements:
        return training
    run = [f"batch {named['Batch size']}", f"link: {named['Link']}", named["Hardware"], named["Runtime"]]
    return [*training, *(run if nodes else [named["Network"]]), f"commit {named['Commit']}"]


def of_reproduction(reproduction: Reproduction) -> dict[str, str]:
    """Name every condition of a reproduction; what its sections vary stands with their rows."""
    trained = reproduction.trained
    named = conditions(as_experiment(reproduction))
    nodes = "processes of one machine" if reproduction.topology == "processes" else "containers of one machine"
    c = reproduction.conditions
    own = any(reproduction.section(section) for section in ("baselines", "bandwidth", "reply"))
    return named | {
        "Network": f"preset {trained.preset}, {trained.head} heads, {len(reproduction.models)} models",
        "Training": f"{named['Training']}, {trained.regime}, on {trained.hardware}",
        "Suite": trained.suite,
        "Hardware": f"{c.hardware}, cores: {c.cores}",
        "Batch size": str(c.batch_size),
        "Nodes": nodes,
        "Link": _all([c.link, *(row.setup.link for row in reproduction.section("paper"))])
        + ("; baselines, bandwidth and reply over their own" if own else ""),
        "Runtime": f"{c.runtime}, {c.dtype}",
        "Commit": c.commit,
        "Measured": _from_to(c.date, c.date),
        "Repeats": f"{reproduction.repeats} of each setup",
    }


def of_rows(reproduction: Reproduction, rows: Sequence[Row]) -> list[str]:
    """The conditions that a figure of some rows carries with it."""
    named, setups = of_reproduction(reproduction), [row.setup for row in rows]
    thresholds = _all(f"{s.plan.threshold:g}" for s in setups if s.plan.active)
    return [
        f"{named['Data']}, {_all(f'{s.samples:,}' for s in setups)} of them sent",
        f"T = {thresholds}",
        f"codec {_all(s.plan.codec for s in setups)}",
        f"link: {_links(rows)}",
        f"batch {named['Batch size']}",
        named["Repeats"],
        named["Network"],
        named["Training"],
        named["Hardware"],
        named["Runtime"],
        f"commit {named['Commit']}",
    ]


def _links(rows: Sequence[Row]) -> str:
    named = links(rows)
    return ", ".join(named) if len(named) < 5 else f"{named[0]} to {named[-1]}, {len(named)} of them"


def _from_to(first: str, last: str) -> str:
    """Say two moments in ISO 8601 shortly, to the minute."""
    try:
        start, end = (datetime.fromisoformat(moment).astimezone(UTC) for moment in (first, last))
    except ValueError:  # another program's document
        return " to ".join(dict.fromkeys((first, last)))
    if start.date() == end.date():
        clock = " to ".join(dict.fromkeys((f"{start:%H:%M}", f"{end:%H:%M}")))
        return f"{start:%Y-%m-%d}, {clock} UTC"
    return f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"


def _all(values: Iterable[str]) -> str:
    return ", ".join(sorted(set(values))) or "–"
