"""What a reproduction was measured under, in words: in full for the page, in short for a figure."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from offramp.paper.reproduced import links
from offramp.paper.reproduction import Reproduction, Row
from offramp.paper.view import View, as_in_the_paper


def conditions(of: Reproduction) -> dict[str, str]:
    """Name every condition; what a reproduction's sections vary stands with their rows."""
    trained, c = of.trained, of.conditions
    own = any(of.section(section) for section in ("baselines", "bandwidth", "reply"))
    return {
        "Data": f"{of.data}, {of.test_samples:,} test samples",
        "Network": f"preset {trained.preset}, {trained.head} heads, {len(of.models)} models",
        "Training": f"{training(of)}, {trained.regime}, on {trained.hardware}",
        "Hardware": f"{c.hardware}, cores: {c.cores}",
        "Batch size": str(c.batch_size),
        "Link": _all([c.link, *links(of.section("paper"))])
        + ("; baselines, bandwidth and reply over their own" if own else ""),
        "Runtime": f"{c.runtime}, {c.dtype}",
        "Cut": "at the exit, fp32 features" if as_in_the_paper(of) else "–",
        "Commit": c.commit,
        "Measured": moment(c.date),
        "Duration": f"{of.seconds:,.0f} s for the measurements",
        "Agreement with offline evaluation": _agreement(of),
        "Suite": trained.suite,
        "Nodes": f"{of.topology} of one machine",
        "Repeats": f"{of.repeats} of each setup",
    }


def training(of: Reproduction) -> str:
    """The recipe with its epochs, and the seed."""
    recipe, epochs = of.trained.recipe, of.trained.recipe.get("epochs")
    shown = epochs if isinstance(epochs, int) else 0
    return f"recipe {recipe.get('name', 'unnamed')}, {shown} epochs, seed {of.trained.seed}"


def of_paper(view: View, *, nodes: bool = True) -> list[str]:
    """The conditions that a figure of the paper's part carries with it; without `nodes`, of training alone."""
    of = view.reproduction
    named, rows = conditions(of), as_in_the_paper(of)
    trained = [named["Data"], training(of)]
    if not rows:
        return trained
    run = [f"batch {named['Batch size']}", f"link: {_all(links(rows))}", named["Hardware"], named["Runtime"]]
    network = f"preset {of.trained.preset}, {len(of.models)} models"
    return [*trained, *(run if nodes else [network]), f"commit {named['Commit']}"]


def of_rows(reproduction: Reproduction, rows: Sequence[Row]) -> list[str]:
    """The conditions that a figure of some rows carries with it."""
    named, setups = conditions(reproduction), [row.setup for row in rows]
    thresholds = _all(f"{s.plan.threshold:g}" for s in setups if s.plan.active)
    return [
        f"{named['Data']}, {_all(f'{s.samples:,}' for s in setups)} of them sent",
        f"T = {thresholds}",
        f"codec {_all(s.plan.codec for s in setups)}",
        f"link: {_links(rows)}",
        f"batch {named['Batch size']}",
        *(named[name] for name in ("Repeats", "Network", "Training", "Hardware", "Runtime")),
        f"commit {named['Commit']}",
    ]


def _agreement(of: Reproduction) -> str:
    """Say how the running nodes' answers were held against the offline evaluation's."""
    held = of.agreement
    if not held.compared:
        return "not checked"
    differing = "none differs" if held.differing == 0 else f"{held.differing:,} DIFFER"
    return f"{held.compared:,} answers compared, {differing}; {held.ties:,} ties left out (score within 1e-5 of T)"


def _links(rows: Sequence[Row]) -> str:
    named = links(rows)
    return ", ".join(named) if len(named) < 5 else f"{named[0]} to {named[-1]}, {len(named)} of them"


def moment(iso: str) -> str:
    """Say a moment in ISO 8601 shortly, to the minute."""
    try:
        return f"{datetime.fromisoformat(iso).astimezone(UTC):%Y-%m-%d, %H:%M UTC}"
    except ValueError:  # another program's document
        return iso


def _all(values: Iterable[str]) -> str:
    return ", ".join(sorted(set(values))) or "–"
