"""The report of a reproduction: whole, standing alone, drawn from whatever there is, nothing unescaped."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from offramp.charts.live import Drawing, live
from offramp.paper.figures import FIGURES
from offramp.paper.findings import findings
from offramp.paper.open_figures import bandwidth
from offramp.paper.reproduction import Agreed, Reproduction
from offramp.paper.reproduction_page import draw_reproduction, reproduction_page, write_reproduction
from offramp.paper.rows_csv import rows_csv
from reader import Reader

Build = Callable[..., Reproduction]
OPEN = ["baselines", "drop", "cores", "bandwidth", "reply"]


@pytest.fixture(scope="module")
def written(reproduction: Reproduction, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The whole report."""
    return write_reproduction(reproduction, tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def text(written: list[Path]) -> str:
    """Its page."""
    return written[0].read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text: str) -> Reader:
    """The same, read."""
    return Reader(text)


def test_everything_is_written(written: list[Path], reproduction: Reproduction) -> None:
    """The page, the rows, and each figure as SVG and PNG; nothing else."""
    folder = written[0].parent
    figures = [f"figures/{name}.{form}" for name in [*FIGURES, *OPEN] for form in ("svg", "png")]
    assert [str(path.relative_to(folder)) for path in written] == ["report.html", "rows.csv", *figures]
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == sorted(written)
    assert written[1].read_text(encoding="utf-8") == rows_csv(reproduction)
    assert all(path.read_bytes().startswith(b"\x89PNG\r\n") for path in written if path.suffix == ".png")


def test_the_page_is_well_formed(page: Reader, text: str) -> None:
    """Every element closed, no id twice, a drawing with its points for each figure."""
    assert page.open == []
    assert len(set(page.ids)) == len(page.ids)
    assert text.count("<svg") == text.count('<script type="application/json">') == len(FIGURES) + len(OPEN)


def test_the_page_loads_nothing(page: Reader, text: str) -> None:
    """Style, drawings and script are inside it, and its links lead to its own sections."""
    assert "http://" not in text
    assert "https://" not in text
    assert page.loaded == []
    assert not {"link", "iframe", "img", "object"} & page.tags
    assert "import(" not in text
    assert "fetch(" not in text
    assert set(re.findall(r'<a href="#([^"]+)"', text)) <= set(page.ids)


def test_findings_stand_near_the_top_with_their_numbers(page: Reader, text: str, reproduction: Reproduction) -> None:
    """Each with its verdict, and below it what was compared; before the conditions and the figures."""
    for finding in findings(reproduction):
        assert page.says(finding.says)
        assert page.says(finding.numbers)
    assert text.count('<b class="verdict holds">holds</b>') == 23
    assert page.says("Of 23, 23 hold.")
    assert text.index('id="findings"') < text.index('id="conditions"') < text.index('id="figure-5-plate"')


def test_all_verdicts_are_counted(reproduce: Build) -> None:
    """In the order in which one asks."""
    for side, said in ((-1, "Of 23, 23 do not hold."), (0, "Of 23, 23 depend.")):
        assert Reader(reproduction_page(reproduce(side=side), {})).says(said)
    assert Reader(reproduction_page(reproduce(sections=()), {})).says("Of 23, 6 hold, 17 were not measured.")


def test_every_condition_is_stated(page: Reader) -> None:
    """Of training, machine, nodes, link and repeats; and how far the repeats lie apart."""
    for condition in (
        "cifar10, 10,000 test samples",
        "preset small, linear heads, 9 models",
        "recipe modern, 5 epochs, seed 7, joint, on A Trainer 1",
        "A Processor 9000, cores: 2",
        "processes of one machine",
        "3 of each setup",
        "0123456789ab",
        "2026-11-24, 04:46 UTC",
        "Over 3 repeats the overall medians of a setup lie apart by 0.1 % of their median in the middle setup",
    ):
        assert page.says(condition), condition


def test_one_repeat_has_no_spread(reproduce: Build) -> None:
    """And the page says so."""
    assert Reader(reproduction_page(reproduce(repeats=1), {})).says(
        "One repeat: how far the medians would spread is not known."
    )


def test_an_unfinished_run_says_what_is_left(reproduction: Reproduction) -> None:
    """Before any number."""
    left = tuple(row.setup for row in reproduction.section("reply"))
    rows = tuple(row for row in reproduction.rows if row.setup.section != "reply")
    found = Reader(reproduction_page(reproduction.model_copy(update={"left": left, "rows": rows}), {}))
    assert found.says(f"Not finished: 8 of {len(reproduction.rows)} setups were not reached (reply 8).")


def test_disagreement_is_an_alarm(reproduction: Reproduction) -> None:
    """As in every report."""
    bad = reproduction.model_copy(update={"agreement": Agreed(compared=22_976, differing=1_234, ties=0)})
    assert Reader(reproduction_page(bad, {})).says("1,234 of 22,976 answers of the running nodes differ")


def test_other_data_than_the_papers_stands_alone(reproduce: Build) -> None:
    """Its numbers are in the table, with a warning, and not in the figures."""
    parts = {"exits": (3, 8), "sections": ("paper",), "thresholds": (0.3,)}
    for classes, marked in ((None, True), (tuple("0123456789"), False)):
        reproduction = reproduce(**parts) if classes is None else reproduce(**parts, classes=classes)
        figures = draw_reproduction(reproduction)
        for name in ("summary", "figure-5", "figure-6", "figure-7", "figure-9", "figure-10"):
            labels = [line.get_label() for panel in figures[name].axes for line in panel.get_lines()]
            assert ("stated in the paper" in labels) is marked, name
        found = Reader(reproduction_page(reproduction, {}))
        assert found.says("the numbers are not comparable") is not marked
        assert any(row[2] == "58.07 %" for table in found.tables for row in table if len(row) == 6)


def test_stated_numbers_are_drawn_where_they_belong(reproduce: Build) -> None:
    """SEM-8 exited 9,139 samples; SEM-1, 2 and 8 have cloud accuracies; latencies stand in the table alone."""
    figures = draw_reproduction(reproduce(sections=("paper",), thresholds=(0.3,)))
    exited, accuracy, latency = figures["figure-5"].axes

    def stated(panel: Any) -> list[tuple[float, float]]:
        lines = [line for line in panel.get_lines() if line.get_label() == "stated in the paper"]
        return [point for line in lines for point in zip(line.get_xdata(), line.get_ydata(), strict=True)]

    assert stated(exited) == [(8, pytest.approx(9_139))]
    assert stated(accuracy) == [(1, 87.2), (8, 95.24), (1, 88.51), (2, 86.13), (8, 58.07), (3, 86.04), (8, 92.04)]
    assert accuracy.get_ylim()[0] <= 50
    assert stated(latency) == []
    (panel,) = figures["figure-10"].axes
    assert (2 - 0.21, 72.65) in stated(panel)
    assert (7, 92.10) in stated(panel)
    assert (1, 88.58) in stated(panel)


@pytest.mark.parametrize(
    ("partial", "drawn"),
    [
        ({"sections": ()}, ["figure-9", "figure-10"]),
        ({"exits": (), "mem": False, "sections": ("bandwidth",)}, ["bandwidth"]),
        ({"exits": (3,), "mem": False, "sections": ("reply",)}, ["figure-9", "figure-10", "reply"]),
        ({"exits": (), "mem": False, "sections": ()}, []),
        (
            {"exits": (), "sections": ("paper",), "thresholds": (0.8,), "repeats": 1},
            ["summary", "figure-6", "figure-8", "figure-9", "figure-10"],
        ),
    ],
)
def test_a_partial_reproduction_is_reported(reproduce: Build, partial: dict[str, object], drawn: list[str]) -> None:
    """What there is, is drawn; the rest has no section."""
    reproduction = reproduce(**partial)
    figures = draw_reproduction(reproduction)
    assert list(figures) == drawn
    text = reproduction_page(reproduction, {})
    assert Reader(text).open == []
    assert [name for name in OPEN if f'<h2 id="{name}">' in text] == [name for name in OPEN if name in drawn]


def test_answers_of_nobody_are_gaps(reproduction: Reproduction) -> None:
    """None of the rows has an accuracy: the page is written, with dashes."""
    bare = [
        row.model_copy(update={"outcome": row.outcome.model_copy(update={"accuracy": {}, "overall": None})})
        for row in reproduction.rows
        if row.setup.place in (2, 9)
    ]
    changed = reproduction.model_copy(update={"rows": tuple(bare), "models": ()})
    assert list(draw_reproduction(changed)) == OPEN
    assert Reader(reproduction_page(changed, {})).open == []


def test_hostile_names_stay_text(reproduce: Build) -> None:
    """Whatever a document says becomes no element of the page, nor the end of its script."""
    evil = '</script><img src=x onerror="alert(1)">'
    reproduction = reproduce(exits=(2,), mem=False, sections=("paper", "baselines"), thresholds=(0.3,))
    rows = tuple(
        row.model_copy(update={"setup": row.setup.model_copy(update={"link": evil, "model": evil})})
        for row in reproduction.rows
    )
    trained = reproduction.trained.model_copy(update={"hardware": evil, "suite": evil, "recipe": {evil: evil}})
    changed = reproduction.model_copy(
        update={"rows": rows, "trained": trained, "name": evil, "data": evil, "left": (rows[0].setup,)}
    )
    figures = {name: Drawing("<svg viewBox='0 0 1 1' xmlns='http://www.w3.org/2000/svg'/>", "[]") for name in OPEN[:1]}
    text = reproduction_page(changed, figures)
    found = Reader(text)
    assert "<img" not in text
    assert "img" not in found.tags
    assert found.open == []
    assert found.says(evil)


def test_the_same_reproduction_gives_the_same_drawing(reproduction: Reproduction, written: list[Path]) -> None:
    """Figures under version control change only when the numbers do."""
    assert live(bandwidth(reproduction)).svg == (written[0].parent / "figures" / "bandwidth.svg").read_text("utf-8")


@pytest.mark.parametrize(
    ("update", "said", "unsaid"),
    [
        ({"classes": ("cat", "dog")}, "the numbers are not comparable", "compare directions with it, not numbers"),
        ({"data": "cifar10"}, "compare directions with it, not numbers", "the numbers are not comparable"),
        ({"sections": ("bandwidth",)}, "it is not a radio", "Over loopback the nodes are on one machine"),
        ({"sections": ("paper",)}, "Over loopback the nodes are on one machine", "nothing of this"),
    ],
)
def test_the_reader_is_told_what_the_numbers_are_and_are_not(
    reproduce: Build, update: dict[str, object], said: str, unsaid: str
) -> None:
    """By data and link."""
    page = Reader(reproduction_page(reproduce(**{"exits": (3,), "mem": False} | update), {}))
    assert page.says(said)
    assert not page.says(unsaid)
    assert page.says("Over fewer than 30 samples (hollow markers) an accuracy may be chance.")
