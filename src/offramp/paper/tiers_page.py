"""Three tiers, as a section of the report and as a page: when a third pays, a table a world, every sample as CSV."""

from pathlib import Path
from typing import Any

from offramp._version import __version__
from offramp.artifacts.document import write_bytes
from offramp.charts.chains import chains
from offramp.charts.sheet import Figure, as_png, as_svg
from offramp.charts.svg import inline
from offramp.paper.tiers import ALL, TIERS, ThreeTiers
from offramp.paper.tiers_words import COLUMNS, SAYS, answers, conditions, rows_of, samples_csv, sure
from offramp.report.plan_words import capital
from offramp.report.template import Markup, render, unbroken

NAME, SAMPLES = "tiers", "tiers-samples.csv"
TITLE = "Device, edge and cloud: when a third tier pays"
CAPTION = "Mean latency of a sample by each chain, in each world; shorter is better"


def write_tiers(found: ThreeTiers, folder: Path) -> list[Path]:
    """Write `tiers.html`, the document, the samples and the figure, each whole or not at all; give their paths."""
    figure = picture(found)
    svg = as_svg(figure)
    contents = {
        f"{NAME}.html": page(found, svg).encode(), TIERS: found.to_json().encode(),
        SAMPLES: samples_csv(found).encode(), f"figures/{NAME}.svg": svg.encode(),
        f"figures/{NAME}.png": as_png(figure),
    }  # fmt: skip
    for name, content in contents.items():
        write_bytes(folder / name, content)
    return [folder / name for name in contents]


def page(found: ThreeTiers, svg: str) -> str:
    """The page as HTML; every value is escaped, only our own drawing is not."""
    told = section(found, svg)
    shared = {name: told[name] for name in ("title", "finding", "conditions")}
    return render("tiers.html", __package__, version=__version__, tiers=told, figures=[], **shared)


def section(found: ThreeTiers, svg: str) -> dict[str, Any]:
    """What a page says of the chains, `chains.html` most of it: alone, or as a section of the whole report."""
    return {
        "title": TITLE,
        "finding": unbroken(_verdict(found)),
        "answers": [unbroken(sentence) for sentence in answers(found)],
        "conditions": conditions(found),
        "differing": found.differing,
        "caption": f"{CAPTION}.",
        "drawing": Markup(inline(svg, NAME, CAPTION)),
        "worlds": {str(world): rows_of(found.of(world)) for world in found.worlds},
        "columns": COLUMNS,
        "says": capital(SAYS),
    }


def picture(found: ThreeTiers) -> Figure:
    """Bars of mean latencies."""
    worlds = {str(world): {one.name: one.mean_ms for one in found.of(world)} for world in found.worlds}
    said = [f"{name}: {value}" for name, value in conditions(found).items()]
    return chains(said, "Device, edge and cloud", worlds, ALL)


def _verdict(found: ThreeTiers) -> str:
    """In how many worlds it pays."""
    firsts = [found.of(world)[:2] for world in found.worlds]
    pays = sum(one[0].name == ALL and (len(one) < 2 or sure(*one)) for one in firsts)
    worlds = "1 world that was" if len(firsts) == 1 else f"{len(firsts)} worlds that were"
    return f"Of {worlds} measured, a third tier pays in {pays or 'none'}."
