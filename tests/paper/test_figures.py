"""The figures: what is drawn is what was measured, and what was not measured is a gap."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest

from offramp.charts.palette import light
from offramp.charts.sheet import as_svg
from offramp.paper import figures
from offramp.paper.families import Family
from offramp.paper.figures import FIGURES
from offramp.paper.reproduced import TIERS, percent
from offramp.paper.reproduction import Reproduction, Row
from offramp.paper.view import Point, View
from panels import bars, lines

Look = Callable[..., View]
EXITS = list(range(1, 9))


def at(view: View, family: Family, exit_: int, threshold: float) -> Row:
    """What was measured there."""
    return view.rows[Point(family, exit_, threshold)]


@pytest.fixture(scope="module")
def drawn(uneven: View) -> dict[str, Any]:
    """Every figure, once."""
    return {name: plate.draw(uneven) for name, plate in FIGURES.items()}


@pytest.mark.parametrize(("name", "family"), [("figure-5", Family.SEM), ("figure-6", Family.MEM)])
def test_figures_5_and_6_show_the_measurements(uneven: View, drawn: dict[str, Any], name: str, family: Family) -> None:
    """Bars are the samples that left; lines are accuracy and median latency of each tier, at T = 0.3."""
    exited, accuracy, latency = drawn[name].axes
    rows = [at(uneven, family, k, 0.3) for k in EXITS]
    assert bars(exited)["_exited"] == {row.setup.place: row.outcome.local for row in rows}
    for tier in TIERS:
        assert lines(accuracy)[tier] == (EXITS, [percent(row.outcome.right(tier)) for row in rows])
        assert lines(latency)[tier] == (EXITS, [row.p50(tier) for row in rows])


@pytest.mark.parametrize(("of_sem", "of_mem"), [("figure-5", "figure-6"), ("figure-7", "figure-8")])
def test_figures_of_sem_and_mem_have_the_same_scales(drawn: dict[str, Any], of_sem: str, of_mem: str) -> None:
    """So that they can be laid side by side."""
    sem, mem = drawn[of_sem], drawn[of_mem]
    assert [panel.get_ylim() for panel in sem.axes] == [panel.get_ylim() for panel in mem.axes]


@pytest.mark.parametrize(("figure", "family"), [("figure-7", Family.SEM), ("figure-8", Family.MEM)])
def test_figures_7_and_8_show_every_threshold(uneven: View, drawn: dict[str, Any], figure: str, family: Family) -> None:
    """A line a threshold, in six panels."""
    share, latency, sent, edge, cloud, overall = (lines(panel) for panel in drawn[figure].axes)
    for threshold in (0.1, 0.3, 0.5, 0.8):
        rows, name = [at(uneven, family, k, threshold) for k in EXITS], f"T = {threshold:g}"
        assert share[name] == (EXITS, [100 * row.outcome.local / row.outcome.n for row in rows])
        assert latency[name] == (EXITS, [row.p50("overall") for row in rows])
        assert sent[name] == (EXITS, [row.bytes_to_cloud / row.outcome.n for row in rows])
        assert edge[name] == (EXITS, [percent(row.outcome.right("edge")) for row in rows])
        assert cloud[name] == (EXITS, [percent(row.outcome.right("cloud")) for row in rows])
        assert overall[name] == (EXITS, [percent(row.outcome.overall) for row in rows])


def test_no_answers_are_a_gap_and_not_a_zero(uneven: View, drawn: dict[str, Any]) -> None:
    """At T = 0.1 nobody leaves at exit 1, and at T = 0.8 everybody does at exit 8: the lines are broken there."""
    *_, edge, cloud, _ = drawn["figure-7"].axes
    assert at(uneven, Family.SEM, 1, 0.1).outcome.right("edge") is None
    assert lines(edge)["T = 0.1"][1][0] is None
    assert lines(cloud)["T = 0.8"][1][-1] is None
    assert all(height is not None for height in lines(edge)["T = 0.3"][1])


def test_models_that_were_not_trained_are_gaps(look: Look) -> None:
    """Of SEM-3 and SEM-5 alone, six of the eight places are empty: no bar, no point."""
    exited, accuracy, _ = figures.figure_5(look(sems=(3, 5), mem=())).axes
    assert list(bars(exited)["_exited"]) == [3, 5]
    assert [place for place, height in zip(*lines(accuracy)["edge"], strict=True) if height is not None] == [3, 5]


def test_accuracies_over_few_samples_are_hollow(uneven: View, drawn: dict[str, Any]) -> None:
    """Fewer than thirty samples: 22 of MEM left at exit 1, and 23 were forwarded at exit 8."""
    _, accuracy, _ = drawn["figure-6"].axes
    assert at(uneven, Family.MEM, 1, 0.3).outcome.local == 22
    assert at(uneven, Family.MEM, 8, 0.3).outcome.count("cloud") == 23
    assert lines(accuracy)["_few edge"][0] == [1]
    assert lines(accuracy)["_few cloud"][0] == [8]


def test_figure_9_shows_every_epoch(uneven: View, drawn: dict[str, Any]) -> None:
    """A panel an exit: SEM solid, MEM dotted, over epochs."""
    panels = drawn["figure-9"].axes
    *sems, mem = uneven.reproduction.models
    assert [panel.get_title(loc="left") for panel in panels] == [f"exit {k}" for k in EXITS]
    for panel, sem in zip(panels, sems, strict=True):
        exit_ = sem.exits[0]
        for name, model in (("SEM", sem), ("MEM", mem)):
            expected = [100 * point.validation_accuracy[exit_] for point in model.training]
            assert lines(panel)[name] == ([1, 2, 3, 4, 5], expected)
        assert [line.is_dashed() for line in panel.get_lines()] == [False, True]


def test_figure_9_shows_a_single_epoch(reproduce: Callable[..., Reproduction]) -> None:
    """A line through one point would be invisible, so the point is marked."""
    (whole,) = reproduce(exits=(2,), mem=False, sections=()).models
    short = whole.model_copy(update={"training": whole.training[:1]})
    (panel,) = figures.figure_9(View.of(reproduce(sections=(), models=(short,)))).axes
    assert panel.get_lines()[0].get_marker() == "o"


def test_figure_10_shows_edge_bars_and_cloud_lines(uneven: View, drawn: dict[str, Any]) -> None:
    """Accuracy over all test samples: the local exit's as bars side by side, the last exit's as lines."""
    (panel,) = drawn["figure-10"].axes
    *sems, mem = uneven.reproduction.models
    heights = bars(panel)
    assert list(heights["SEM, local exit"].values()) == [100 * m.test_accuracy[m.exits[0]] for m in sems]
    assert list(heights["MEM, local exit"].values()) == [100 * mem.test_accuracy[k] for k in EXITS]
    assert [round(place) for place in heights["SEM, local exit"]] == EXITS
    assert lines(panel)["SEM, cloud exit"] == (EXITS, [100 * m.test_accuracy[9] for m in sems])
    assert lines(panel)["MEM, cloud exit"] == (EXITS, [100 * mem.test_accuracy[9]] * 8)
    assert panel.get_title(loc="left") == "accuracy (%); the axis starts at 60"
    assert panel.get_ylim() == (60, 100)


def test_the_summary_compares_sem_and_mem(uneven: View, drawn: dict[str, Any]) -> None:
    """Share exited, accuracy of what exited, and overall latency, at T = 0.3; the lowest latency is ringed."""
    share, right, time = (lines(panel) for panel in drawn["summary"].axes)
    for family in Family:
        rows = [at(uneven, family, k, 0.3) for k in EXITS]
        assert share[family] == (EXITS, [100 * row.outcome.local / row.outcome.n for row in rows])
        assert right[family] == (EXITS, [percent(row.outcome.right("edge")) for row in rows])
        assert time[family] == (EXITS, [row.p50("overall") for row in rows])
    assert time["_lowest"] == ([3], [at(uneven, Family.SEM, 3, 0.3).p50("overall")])


def test_every_figure_carries_its_conditions(drawn: dict[str, Any]) -> None:
    """Wherever a picture is copied, commit, data, training and, of the nodes, hardware, batch and link go with it."""
    for name, figure in drawn.items():
        said = " ".join(text.get_text() for text in figure.texts).replace("\xa0", " ")
        always = ["digits, 360 test samples", "recipe digits, 5 epochs, seed 7", "commit 0123456789ab"]
        nodes = ["A Processor 9000, cores: 2", "batch 32", "link: loopback, unshaped", "onnxruntime 1.99, fp32"]
        for condition in always + nodes * (name not in ("figure-9", "figure-10")):
            assert condition in said, name


def test_the_same_rows_give_the_same_bytes(uneven: View, drawn: dict[str, Any]) -> None:
    """A figure under version control changes only when the numbers do."""
    assert as_svg(figures.summary(uneven)) == as_svg(drawn["summary"])


@pytest.mark.parametrize(
    ("partial", "names"),
    [
        ({"sems": (3, 5), "mem": (), "thresholds": (0.5,)}, "summary figure-5 figure-7 figure-9 figure-10"),
        ({"sems": (), "thresholds": (0.8,)}, "summary figure-6 figure-8 figure-9 figure-10"),
        ({"thresholds": ()}, "figure-9 figure-10"),
        ({"sems": (), "mem": ()}, ""),
    ],
)
def test_of_a_partial_reproduction_only_what_it_holds_is_drawn(
    look: Look, partial: dict[str, object], names: str
) -> None:
    """No figure is published that would show nothing."""
    view = look(**partial)
    assert [name for name, plate in FIGURES.items() if plate.holds(view)] == names.split()


def test_a_family_without_measurements_says_so(look: Look) -> None:
    """A figure asked for by name where there is nothing is a figure that says that."""
    for panel in figures.figure_6(look(mem=())).axes:
        assert [text.get_text() for text in panel.texts] == ["not measured"]


def test_what_is_missing_is_not_in_the_legend(look: Look) -> None:
    """Without MEM its name stands nowhere."""
    without = look(mem=(), thresholds=(0.3,))
    for figure in (figures.summary(without), figures.figure_9(without), figures.figure_10(without)):
        assert "MEM" not in as_svg(figure)


def test_names_are_text_and_not_markup(look: Look) -> None:
    """Dollar signs start no formula in a picture, and angle brackets no element."""
    svg = as_svg(figures.summary(look(data="$x_1$ <script>alert(1)</script>")))
    texts = [element.text for element in ElementTree.fromstring(svg).iter() if element.text]
    assert any("$x_1$" in text for text in texts)
    assert "<script" not in svg


def test_colors_are_the_palettes(drawn: dict[str, Any]) -> None:
    """SEM and MEM keep their colours in every figure."""
    _, _, time = drawn["summary"].axes
    assert [line.get_color() for line in time.get_lines() if line.get_label() in ("SEM", "MEM")] == [
        light("sem"),
        light("mem"),
    ]


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("matplotlib", "figures are drawn with matplotlib. Install it with: pip install 'offramp[report]'"),
        ("jinja2", "the report is written with jinja2. Install it with: pip install 'offramp[report]'"),
    ],
)
def test_a_missing_library_is_named_with_its_remedy(missing: str, message: str) -> None:
    """Without the extra, importing the report says what to install, before anything was trained or measured."""
    program = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from offramp.errors import MissingExtraError\n"
        "try:\n    import offramp.paper.reproduction_page\n"
        "except MissingExtraError as error:\n    print(error)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (result.stdout.strip(), result.stderr) == (message, "")


def test_no_global_figure_is_touched() -> None:
    """matplotlib.pyplot, with its window and its current figure, is never imported."""
    program = "import sys, offramp.paper.reproduction_page; print('matplotlib.pyplot' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (result.stdout.strip(), result.stderr) == ("False", "")
