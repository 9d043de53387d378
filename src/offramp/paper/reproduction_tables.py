"""A reproduction's tables as text, cell by cell: the paper's Table 1 and its numbers beside ours, and every row."""

from typing import NamedTuple

from offramp.artifacts.outcome import Over
from offramp.paper import stated as paper
from offramp.paper.contest import at_rates
from offramp.paper.families import Family
from offramp.paper.reproduced import TIERS, bytes_a_sample, cloud_ms, mean_ms, name, percent
from offramp.paper.reproduction import Reproduction, Row, Section
from offramp.paper.view import Point, View

NONE = "–"
TITLES: dict[Section, str] = {
    "paper": "The paper's setups",
    "baselines": "Baselines",
    "drop": "Drop threshold",
    "cores": "Cores of the edge",
    "bandwidth": "Bandwidth",
    "reply": "Way of the answers",
    "planner": "The planner's choice",
}


class Beside(NamedTuple):
    """One number of the paper's and ours at the same point."""

    section: str
    what: str
    paper: str
    ours: str
    spread: str  # of the repeats' medians
    difference: str


class Parameter(NamedTuple):
    """One of training."""

    name: str
    paper: str
    ours: str


class Choice(NamedTuple):
    """What the planner chose for a link: predicted, measured, and beside it the paper's plans."""

    link: str
    plan: str
    predicted: str
    measured: str
    off: str
    paper: str
    accuracy: str


class TableRow(NamedTuple):
    """One row."""

    cells: tuple[str, ...]
    starts_group: bool


class Rate(NamedTuple):
    """Who is fastest at one rate of the link."""

    rate: str
    best: str
    close: str
    local: str
    other: str
    verdict: str


COLUMNS = (
    "what", "T", "sent", "link", "cores", "remarks", "exited", "forwarded", "dropped", "edge", "cloud", "overall",
    "edge", "cloud", "overall", "bytes a sample", "cloud ms a sample",
)  # fmt: skip


def beside(view: View) -> list[Beside]:
    """Every number that the paper's text states, ours where the same point was measured."""
    rows = []
    for stated in paper.STATED:
        where, ours, spread = _ours(view, stated)
        unit, digits = ("ms", 3) if stated.quantity == "overall latency" else ("%", 2)
        rows.append(
            Beside(
                section=stated.section,
                what=f"{where}: {stated.quantity}",
                paper=f"{stated.value:.{digits}f} {unit}",
                ours=NONE if ours is None else f"{ours:.{digits}f} {unit}",
                spread=spread,
                difference=NONE if ours is None else f"{ours - stated.value:+.{digits}f}",
            )
        )
    return rows


def _ours(view: View, stated: paper.Stated) -> tuple[str, float | None, str]:
    """Where a number is from, ours there, and the spread of the repeats' medians."""
    family = Family(stated.family)
    if stated.quantity in ("all at the local exit", "all at the last exit"):
        models = view.models[family]
        key = stated.exit or min(models, default=0)
        at = max(models[key].exits) if key in models and stated.quantity == "all at the last exit" else key
        ours = percent(models[key].test_accuracy.get(at)) if key in models else None
        return (f"{family} exit {stated.exit}" if stated.exit else str(family)), ours, ""
    where = f"{family} exit {stated.exit}, T = {paper.THRESHOLD:g}"
    row = view.rows.get(Point(family, stated.exit or 0, paper.THRESHOLD))
    if row is None:
        return where, None, ""
    if stated.quantity == "forwarded":
        return where, 100 * row.outcome.count("cloud") / row.outcome.n if row.outcome.n else None, ""
    if stated.quantity == "overall latency":
        ends = row.p50_range("overall")
        return where, row.p50("overall"), "" if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}"
    (tier,) = (tier for tier, accuracy in paper.ACCURACY.items() if accuracy == stated.quantity)
    return where, percent(row.outcome.right(tier)), ""


def table_1(reproduction: Reproduction) -> list[Parameter]:
    """The paper's training parameters beside ours, and what else ours was trained by."""
    trained, recipe = reproduction.trained, reproduction.trained.recipe
    stated = {key: f"{value:g}" for key, value in paper.TRAINING.items()}
    rows = [Parameter(key.replace("_", " "), value, _said(recipe.get(key))) for key, value in stated.items()]
    samples, weights = NONE if trained.samples is None else f"{trained.samples:,}", _said(recipe.get("loss_weights"))
    rows += [
        Parameter("training samples", f"{paper.TRAINING_SAMPLES:,}", samples),
        Parameter("test samples", f"{paper.TEST_SAMPLES:,}", f"{reproduction.test_samples:,}"),
        Parameter("weights of the exits' losses", "all equal", f"{weights}; {trained.regime}"),
        Parameter("trained on", paper.TRAINED_ON, trained.hardware),
    ]
    rest = {key: value for key, value in recipe.items() if key not in {*stated, "loss_weights", "regime", "name"}}
    return rows + [Parameter(key.replace("_", " "), NONE, _said(value)) for key, value in rest.items()]


def lines(reproduction: Reproduction, section: Section) -> list[TableRow]:
    """Every row of a section."""
    rows = reproduction.section(section)
    setups = [row.setup for row in rows]
    groups = [(s.contender, s.link, s.edge_cores, s.model if section == "drop" else None) for s in setups]
    starts = (one != before for one, before in zip(groups, groups[:1] + groups, strict=False))
    return [TableRow(_cells(row), new) for row, new in zip(rows, starts, strict=True)]


def pays(reproduction: Reproduction) -> list[Rate]:
    """For each rate: who is fastest, who cannot be told from it, and whether a local exit is worth it."""
    verdicts = {None: NONE, "for": "pays", "against": "does not pay", "within noise": "not told apart"}
    return [
        Rate(
            rate=f"{contest.rate:g}",
            best=name(contest.best.setup),
            close=", ".join(name(row.setup) for row in contest.close) or NONE,
            local=_contender(contest.local),
            other=_contender(contest.other),
            verdict=verdicts[contest.pays],
        )
        for contest in at_rates(reproduction)
    ]


def choices(reproduction: Reproduction) -> list[Choice]:
    """For each link: the plan that was chosen, what was predicted of it and measured, and the paper's fastest."""
    found = []
    for one in reproduction.planned:
        rows = [row for row in reproduction.section("planner") if row.setup.link == one.link]
        mine = next((row for row in rows if row.setup.contender == "planned"), None)
        if mine is None:
            continue
        theirs = [row for row in rows if row.setup.contender == "local exit" and mean_ms(row) is not None]
        measured = mean_ms(mine)
        found.append(
            Choice(
                link=one.link,
                plan=one.said,
                predicted=f"{one.latency_ms:.2f} ms",
                measured=NONE if measured is None else f"{measured:.2f} ms",
                off=NONE if measured is None else f"{100 * (one.latency_ms / measured - 1):+.0f} %",
                paper=_told(min(theirs, key=lambda row: mean_ms(row) or 0.0)) if theirs else NONE,
                accuracy=f"{100 * one.accuracy:.1f} %, {_number(percent(mine.outcome.overall))} %",
            )
        )
    return found


def _told(row: Row) -> str:
    return f"{name(row.setup)}: {_number(mean_ms(row))} ms, {_number(percent(row.outcome.overall))} %"


def _cells(row: Row) -> tuple[str, ...]:
    setup = row.setup
    total = bytes_a_sample(row)
    computing = cloud_ms(row)
    return (
        name(setup),
        f"{setup.plan.threshold:g}" if setup.plan.active else NONE,
        f"{setup.samples:,}",
        setup.link,
        "all" if setup.edge_cores is None else f"{setup.edge_cores:g}",
        _remarks(row),
        f"{row.outcome.local:,}",
        f"{row.outcome.count('cloud'):,}",
        f"{row.outcome.dropped:,}",
        *(_number(percent(row.outcome.right(tier))) for tier in TIERS),
        *(_latency(row, tier) for tier in TIERS),
        NONE if total is None else f"{total:,.0f}",
        NONE if computing is None else f"{computing:.3f}",
    )


def _remarks(row: Row) -> str:
    setup = row.setup
    remarks = []
    if setup.contender in ("local exit", "fixed split", "planned"):
        remarks = [f"cut at {setup.plan.cut}"] * (setup.plan.cut != setup.place) + [setup.plan.codec]
    elif setup.contender == "cascade":
        remarks = [f"images to {setup.cloud_model}"]
    if setup.plan.drop_threshold is not None:
        remarks.append(f"drop above {setup.plan.drop_threshold:g}")
    if setup.reply == "direct":
        remarks.append("direct reply")
    return ", ".join(remarks)


def _contender(row: Row | None) -> str:
    if row is None:
        return NONE
    return f"{name(row.setup)}: {_number(row.p50('overall'))} ms, {_number(percent(row.outcome.overall))} %"


def _latency(row: Row, tier: Over) -> str:
    middle, ends = row.p50(tier), row.p50_range(tier)
    if middle is None or ends is None:
        return NONE
    return f"{middle:.2f}" + (f" [{ends[0]:.2f}, {ends[1]:.2f}]" if len(row.repeats) > 1 else "")


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def _said(value: object) -> str:
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, int | float) else str(value)
