"""A reproduction's tables as text, cell by cell: the paper's Table 1 and its numbers beside ours, and every row."""

from typing import NamedTuple

from offramp.paper import stated as paper
from offramp.paper.contest import at_rates
from offramp.paper.families import Family, models
from offramp.paper.reproduced import as_experiment, bytes_a_sample, cloud_ms, name, points
from offramp.paper.reproduction import Reproduction, Row, Section
from offramp.paper.values import TIERS, Tier, percent
from offramp.paper.view import Point

NONE = "–"
TITLES: dict[Section, str] = {
    "paper": "The paper's setups",
    "baselines": "Baselines",
    "drop": "Drop threshold",
    "cores": "Cores of the edge",
    "bandwidth": "Bandwidth",
    "reply": "Way of the answers",
}


class Beside(NamedTuple):
    """One number of the paper's and ours at the same point."""

    section: str
    what: str
    paper: str
    ours: str
    spread: str  # of the repeats' medians
    difference: str


class Trained(NamedTuple):
    """One training parameter."""

    name: str
    paper: str
    ours: str


class Line(NamedTuple):
    """One row."""

    cells: tuple[str, ...]
    starts_group: bool


class Pays(NamedTuple):
    """One rate of the link."""

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


def beside(reproduction: Reproduction) -> list[Beside]:
    """Every number that the paper's text states, ours where the same point was measured."""
    rows, experiment = points(reproduction), as_experiment(reproduction)
    trained = {family: models(experiment, family) for family in Family}
    found = []
    for stated in paper.STATED:
        family = Family(stated.family)
        spread = ""
        if stated.quantity in ("all at the local exit", "all at the last exit"):
            where = f"{family} exit {stated.exit}" if stated.exit else str(family)
            key = stated.exit or min(trained[family], default=0)
            model = trained[family].get(key)
            last = stated.quantity == "all at the last exit"
            ours = None if model is None else percent(model.test_accuracy.get(max(model.exits) if last else key))
        else:
            where = f"{family} exit {stated.exit}, T = {paper.THRESHOLD:g}"
            row = rows.get(Point(family, stated.exit or 0, paper.THRESHOLD))
            ours = None if row is None else _quantity(row, stated.quantity)
            ends = row.p50_range("overall") if row is not None and stated.quantity == "overall latency" else None
            spread = "" if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}"
        unit, digits = ("ms", 3) if stated.quantity == "overall latency" else ("%", 2)
        found.append(
            Beside(
                section=stated.section,
                what=f"{where}: {stated.quantity}",
                paper=f"{stated.value:.{digits}f} {unit}",
                ours=NONE if ours is None else f"{ours:.{digits}f} {unit}",
                spread=spread,
                difference=NONE if ours is None else f"{ours - stated.value:+.{digits}f}",
            )
        )
    return found


def table_1(reproduction: Reproduction) -> list[Trained]:
    """The paper's training parameters beside ours, and what else ours was trained by."""
    trained, recipe = reproduction.trained, reproduction.trained.recipe
    rows = [
        Trained(key.replace("_", " "), f"{value:g}", _said(recipe.get(key))) for key, value in paper.TRAINING.items()
    ]
    samples = NONE if trained.samples is None else f"{trained.samples:,}"
    rows += [
        Trained("training samples", f"{paper.TRAINING_SAMPLES:,}", samples),
        Trained("test samples", f"{paper.TEST_SAMPLES:,}", f"{reproduction.test_samples:,}"),
        Trained("weights of the exits' losses", "all equal", f"{_said(recipe.get('loss_weights'))}; {trained.regime}"),
        Trained("trained on", paper.TRAINED_ON, trained.hardware),
    ]
    told = {*paper.TRAINING, "loss_weights", "regime", "name"}
    return rows + [
        Trained(key.replace("_", " "), NONE, _said(value)) for key, value in recipe.items() if key not in told
    ]


def lines(reproduction: Reproduction, section: Section) -> list[Line]:
    """Every row of a section."""
    found: list[Line] = []
    before = None
    for row in reproduction.section(section):
        setup = row.setup
        group = (setup.contender, setup.link, setup.edge_cores, setup.model if section == "drop" else None)
        found.append(Line(_cells(row), before is not None and group != before))
        before = group
    return found


def pays(reproduction: Reproduction) -> list[Pays]:
    """For each rate: who is fastest, who cannot be told from it, and whether a local exit is worth it."""
    verdicts = {
        None: NONE,
        "for": "pays",
        "against": "does not pay",
        "within noise": "not told apart",
    }
    return [
        Pays(
            rate=f"{found.rate:g}",
            best=name(found.best.setup),
            close=", ".join(name(row.setup) for row in found.close) or NONE,
            local=_contender(found.local),
            other=_contender(found.other),
            verdict=verdicts[found.pays],
        )
        for found in at_rates(reproduction)
    ]


def _quantity(row: Row, quantity: paper.Quantity) -> float | None:
    if quantity == "forwarded":
        return 100 * row.outcome.count("cloud") / row.setup.samples if row.setup.samples else None
    if quantity == "overall latency":
        return row.p50("overall")
    return percent(getattr(row, quantity.replace(" ", "_")))


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
    if setup.contender in ("local exit", "fixed split"):
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


def _latency(row: Row, tier: Tier) -> str:
    middle, ends = row.p50(tier), row.p50_range(tier)
    if middle is None or ends is None:
        return NONE
    return f"{middle:.2f}" + (f" [{ends[0]:.2f}, {ends[1]:.2f}]" if len(row.repeats) > 1 else "")


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def _words(key: str) -> str:
    return key.replace("_", " ")


def _said(value: object) -> str:
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, int | float) else str(value)
