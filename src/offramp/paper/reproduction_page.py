"""The report of a reproduction: one HTML page that stands alone, figures as files, and the rows as CSV.

Takes a reproduction and a folder. The page loads nothing: style, figures, their points and the script are inside it.
"""

from collections import Counter
from pathlib import Path
from typing import Any

from offramp._version import __version__
from offramp.artifacts.document import write_bytes
from offramp.charts.live import Drawing, live
from offramp.charts.sheet import Figure, as_png
from offramp.charts.svg import inline
from offramp.paper import tiers_page
from offramp.paper.answers import ANSWERS
from offramp.paper.captions import OPEN_CAPTIONS, STATED, caption
from offramp.paper.comparison import Verdict
from offramp.paper.conditions import conditions
from offramp.paper.costs import costs
from offramp.paper.figures import FIGURES
from offramp.paper.finding import finding
from offramp.paper.findings import Finding, findings, signed
from offramp.paper.open_figures import OPEN_FIGURES
from offramp.paper.reproduced import FEW, comparable, widest
from offramp.paper.reproduction import REPRODUCTION, Reproduction, Section
from offramp.paper.reproduction_tables import COLUMNS, TITLES, beside, choices, lines, pays, table_1
from offramp.paper.rows_csv import rows_csv
from offramp.paper.tiers import TIERS, ThreeTiers
from offramp.paper.view import View
from offramp.report.template import Markup, render, unbroken

ROWS_CSV = "rows.csv"


def write_report(folder: Path, out: Path | None = None) -> list[Path]:
    """Write the report on what lies in a folder, into it or elsewhere: the reproduction, and chains of its networks."""
    reproduction, file = Reproduction.read(folder / REPRODUCTION), folder / TIERS
    tiers = ThreeTiers.read(file) if file.is_file() else None
    if tiers is not None and tiers.bundle not in {one.bundle for one in reproduction.models}:
        tiers = None
    return write_reproduction(reproduction, out or folder, tiers)


def write_reproduction(reproduction: Reproduction, folder: Path, tiers: ThreeTiers | None = None) -> list[Path]:
    """Write `report.html`, `rows.csv` and every figure as SVG and PNG, each whole or not at all; give their paths.

    What nothing was measured of is not drawn; `tiers` were measured in a run of their own. Files of an earlier report
    that are no longer drawn stay.
    """
    figures = draw_reproduction(reproduction)
    if tiers is not None:
        figures[tiers_page.NAME] = tiers_page.picture(tiers)
    drawn = {name: live(figure) for name, figure in figures.items()}
    contents = {"report.html": reproduction_page(reproduction, drawn, tiers).encode()}
    contents[ROWS_CSV] = rows_csv(reproduction).encode()
    for name, figure in figures.items():
        contents[f"figures/{name}.svg"] = drawn[name].svg.encode()
        contents[f"figures/{name}.png"] = as_png(figure)
    for path, content in contents.items():
        write_bytes(folder / path, content)
    return [folder / path for path in contents]


def draw_reproduction(reproduction: Reproduction) -> dict[str, Figure]:
    """Every figure that the reproduction holds something of, the paper's numbers beside ours where they compare."""
    view, compared = View.of(reproduction), comparable(reproduction)
    figures = {name: plate.draw(view, beside=compared) for name, plate in FIGURES.items() if plate.holds(view)}
    return figures | {name: draw(reproduction) for name, draw in OPEN_FIGURES.items() if _rows(reproduction, name)}


def reproduction_page(reproduction: Reproduction, drawn: dict[str, Drawing], tiers: ThreeTiers | None = None) -> str:
    """Give the report as HTML text. Every value is escaped; only our own drawings and their points are not."""
    view = View.of(reproduction)
    held = findings(reproduction)
    chains = None if tiers is None else tiers_page.section(tiers, drawn[tiers_page.NAME].svg)
    sections = {name: title for name, title in TITLES.items() if name != "paper" and reproduction.section(name)}
    contents = [
        ("findings", "Findings"), ("conditions", "Conditions"), ("table-1", "Table 1"), ("paper", "Figures 5 to 10"),
        ("beside", "Beside the paper"), *sections.items(), *([("tiers", "A third tier")] if chains else []),
        ("reading", "How to read"),
    ]  # fmt: skip
    return render(
        "reproduction.html",
        __package__,
        version=__version__,
        reproduction=reproduction,
        comparable=comparable(reproduction),
        finding=unbroken(finding(view)),
        findings=held,
        signed=signed,
        verdicts=_verdicts(held),
        contents=contents,
        left=", ".join(f"{section} {n}" for section, n in Counter(s.section for s in reproduction.left).items()),
        conditions=conditions(reproduction),
        table_1=table_1(reproduction),
        beside=beside(view),
        figures={name: _plate(view, name, figure) for name, figure in drawn.items() if name != tiers_page.NAME},
        sections=sections,
        tiers=chains,
        answers={"paper": []} | {name: [unbroken(s) for s in answer(reproduction)] for name, answer in ANSWERS.items()},
        spreads={section: _spread(reproduction, section) for section in TITLES},
        rows={section: lines(reproduction, section) for section in TITLES},
        columns=COLUMNS,
        pays=pays(reproduction),
        choices=choices(reproduction),
        costs=costs(reproduction.models, reproduction.image_bytes),
        image_bytes=reproduction.image_bytes,
        few=FEW,
        loopback=any(row.setup.link.startswith("loopback") for row in reproduction.rows),
    )


def _plate(view: View, name: str, drawn: Drawing) -> dict[str, Any]:
    numbered = name.startswith("figure-")
    text = OPEN_CAPTIONS[name] if name in OPEN_CAPTIONS else caption(name, view)
    if name in FIGURES and comparable(view.reproduction):
        text += f" {STATED}; dashes: those of the last exits." if name == "figure-10" else f" {STATED}."
    return {
        "title": name.replace("-", " ").capitalize() if numbered else "",
        "caption": unbroken(text),
        "drawing": Markup(inline(drawn.svg, name, text)),
        "points": Markup(drawn.points),
    }


def _verdicts(held: list[Finding]) -> str:
    counted = Counter(each.verdict for each in held)
    words: dict[Verdict, str] = {
        "holds": "hold", "does not hold": "do not hold", "depends": "depend", "not measured": "were not measured",
    }  # fmt: skip
    said = ", ".join(f"{counted[verdict]} {word}" for verdict, word in words.items() if counted[verdict])
    return f"Of {len(held)}, {said}."


def _spread(reproduction: Reproduction, section: Section) -> str:
    apart = widest(reproduction, section)
    if apart is None:
        return "One repeat: how far the medians would spread is not known." if reproduction.section(section) else ""
    middle, most = (f"{100 * share:.1f} %" for share in apart)
    return (
        f"Over {reproduction.repeats} repeats the overall medians of a setup lie apart by {middle} of their median in "
        f"the middle setup, and by {most} in the worst."
    )


def _rows(reproduction: Reproduction, name: str) -> bool:
    return any(row.setup.section == name and row.repeats for row in reproduction.rows)
