"""The figures: what is drawn is what was measured, and what was not measured is a gap."""

import subprocess
import sys
from collections.abc import Callable
from math import isnan
from typing import Any
from xml.etree import ElementTree

import pytest
from offramp.paper.experiment import Experiment

from offramp.artifacts.measurement import Measurement
from offramp.artifacts.outcome import Over
from offramp.charts.palette import light
from offramp.charts.sheet import as_svg
from offramp.paper import figures
from offramp.paper.figures import FIGURES

Build = Callable[..., Experiment]
TIERS: tuple[Over, ...] = ("edge", "cloud", "overall")
EXITS = list(range(1, 9))


def lines(panel: Any) -> dict[str, tuple[list[float], list[float | None]]]:
    """The lines of a panel by name: places, and heights with None where the line is broken."""
    return {
        line.get_label(): (
            [float(x) for x in line.get_xdata()],
            [None if isnan(y) else float(y) for y in line.get_ydata()],
        )
        for line in panel.get_lines()
    }


def bars(panel: Any) -> dict[str, dict[float, float]]:
    """The bars of a panel by name: height by the place of its middle."""
    return {
        group.get_label(): {round(bar.get_x() + bar.get_width() / 2, 6): bar.get_height() for bar in group}
        for group in panel.containers
    }


def at(experiment: Experiment, model: str, exit_: int, threshold: float) -> Measurement:
    """One measurement; `model` is sem for the exit's own."""
    name = f"sem-{exit_}" if model == "sem" else model
    (found,) = [
        m for m in experiment.measurements if (m.model, m.plan.exit, m.plan.threshold) == (name, exit_, threshold)
    ]
    return found


def percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def p50(measurement: Measurement, tier: Over) -> float | None:
    found = measurement.latency_ms.get(tier)
    return None if found is None else found.p50


@pytest.mark.parametrize(("draw_it", "model"), [(figures.figure_5, "sem"), (figures.figure_6, "mem")])
def test_figures_5_and_6_show_the_measurements(
    experiment: Experiment, draw_it: Callable[[Experiment], Any], model: str
) -> None:
    """Bars are the samples that left; lines are accuracy and median latency of each tier, at T = 0.3."""
    exited, accuracy, latency = draw_it(experiment).axes
    found = [at(experiment, model, k, 0.3) for k in EXITS]
    assert bars(exited)["_exited"] == {m.plan.exit: m.outcome.local for m in found}
    for tier in TIERS:
        assert lines(accuracy)[tier] == (EXITS, [percent(m.outcome.right(tier)) for m in found])
        assert lines(latency)[tier] == (EXITS, [p50(m, tier) for m in found])


@pytest.mark.parametrize(
    ("of_sem", "of_mem"), [(figures.figure_5, figures.figure_6), (figures.figure_7, figures.figure_8)]
)
def test_figures_of_sem_and_mem_have_the_same_scales(
    experiment: Experiment, of_sem: Callable[[Experiment], Any], of_mem: Callable[[Experiment], Any]
) -> None:
    """So that they can be laid side by side."""
    sem, mem = of_sem(experiment), of_mem(experiment)
    assert [panel.get_ylim() for panel in sem.axes] == [panel.get_ylim() for panel in mem.axes]


@pytest.mark.parametrize(("draw_it", "model"), [(figures.figure_7, "sem"), (figures.figure_8, "mem")])
def test_figures_7_and_8_show_every_threshold(
    experiment: Experiment, draw_it: Callable[[Experiment], Any], model: str
) -> None:
    """A line a threshold, in six panels."""
    share, latency, sent, edge, cloud, overall = (lines(panel) for panel in draw_it(experiment).axes)
    for threshold in (0.1, 0.3, 0.5, 0.8):
        found, name = [at(experiment, model, k, threshold) for k in EXITS], f"T = {threshold:g}"
        assert share[name] == (EXITS, [100 * m.outcome.local / m.outcome.n for m in found])
        assert latency[name] == (EXITS, [p50(m, "overall") for m in found])
        assert sent[name] == (EXITS, [m.bytes_to_cloud / m.outcome.n for m in found])
        assert edge[name] == (EXITS, [percent(m.outcome.right("edge")) for m in found])
        assert cloud[name] == (EXITS, [percent(m.outcome.right("cloud")) for m in found])
        assert overall[name] == (EXITS, [percent(m.outcome.overall) for m in found])


def test_no_answers_are_a_gap_and_not_a_zero(experiment: Experiment) -> None:
    """At T = 0.1 nobody leaves at exit 1, and at T = 0.8 everybody does at exit 8: the lines are broken there."""
    *_, edge, cloud, _ = figures.figure_7(experiment).axes
    assert at(experiment, "sem", 1, 0.1).outcome.right("edge") is None
    assert lines(edge)["T = 0.1"][1][0] is None
    assert lines(cloud)["T = 0.8"][1][-1] is None
    assert all(height is not None for height in lines(edge)["T = 0.3"][1])


def test_models_that_were_not_trained_are_gaps(build: Build) -> None:
    """Of SEM-3 and SEM-5 alone, six of the eight places are empty: no bar, no point."""
    exited, accuracy, _ = figures.figure_5(build(sems=(3, 5), mem=())).axes
    assert list(bars(exited)["_exited"]) == [3, 5]
    assert [place for place, height in zip(*lines(accuracy)["edge"], strict=True) if height is not None] == [3, 5]


def test_accuracies_over_few_samples_are_hollow(experiment: Experiment) -> None:
    """Fewer than thirty samples: 22 of MEM left at exit 1, and 23 were forwarded at exit 8."""
    _, accuracy, _ = figures.figure_6(experiment).axes
    assert at(experiment, "mem", 1, 0.3).outcome.local == 22
    assert at(experiment, "mem", 8, 0.3).outcome.count("cloud") == 23
    assert lines(accuracy)["_few edge"][0] == [1]
    assert lines(accuracy)["_few cloud"][0] == [8]


def test_figure_9_shows_every_epoch(experiment: Experiment) -> None:
    """A panel an exit: SEM solid, MEM dotted, over epochs."""
    panels = figures.figure_9(experiment).axes
    mem = experiment.models[-1]
    assert [panel.get_title(loc="left") for panel in panels] == [f"exit {k}" for k in EXITS]
    for panel, sem in zip(panels, experiment.models, strict=False):
        exit_ = sem.exits[0]
        for name, model in (("SEM", sem), ("MEM", mem)):
            expected = [100 * point.validation_accuracy[exit_] for point in model.training]
            assert lines(panel)[name] == ([1, 2, 3, 4, 5], expected)
        assert [line.is_dashed() for line in panel.get_lines()] == [False, True]


def test_figure_9_shows_a_single_epoch(build: Build) -> None:
    """A line through one point would be invisible, so the point is marked."""
    whole = build(sems=(2,), mem=())
    short = whole.models[0].model_copy(update={"training": whole.models[0].training[:1]})
    (panel,) = figures.figure_9(whole.model_copy(update={"models": (short,)})).axes
    assert panel.get_lines()[0].get_marker() == "o"


def test_figure_10_shows_edge_bars_and_cloud_lines(experiment: Experiment) -> None:
    """Accuracy over all test samples: the local exit's as bars side by side, the last exit's as lines."""
    (panel,) = figures.figure_10(experiment).axes
    *sems, mem = experiment.models
    drawn = bars(panel)
    assert list(drawn["SEM, local exit"].values()) == [100 * m.test_accuracy[m.exits[0]] for m in sems]
    assert list(drawn["MEM, local exit"].values()) == [100 * mem.test_accuracy[k] for k in EXITS]
    assert [round(place) for place in drawn["SEM, local exit"]] == EXITS
    assert lines(panel)["SEM, cloud exit"] == (EXITS, [100 * m.test_accuracy[9] for m in sems])
    assert lines(panel)["MEM, cloud exit"] == (EXITS, [100 * mem.test_accuracy[9]] * 8)
    assert panel.get_title(loc="left") == "accuracy (%); the axis starts at 60"
    assert panel.get_ylim() == (60, 100)


def test_the_summary_compares_sem_and_mem(experiment: Experiment) -> None:
    """Share exited, accuracy of what exited, and overall latency, at T = 0.3; the lowest latency is ringed."""
    share, right, time = (lines(panel) for panel in figures.summary(experiment).axes)
    for name, model in (("SEM", "sem"), ("MEM", "mem")):
        found = [at(experiment, model, k, 0.3) for k in EXITS]
        assert share[name] == (EXITS, [100 * m.outcome.local / m.outcome.n for m in found])
        assert right[name] == (EXITS, [percent(m.outcome.right("edge")) for m in found])
        assert time[name] == (EXITS, [p50(m, "overall") for m in found])
    assert time["_lowest"] == ([3], [p50(at(experiment, "sem", 3, 0.3), "overall")])


def test_every_figure_carries_its_conditions(experiment: Experiment) -> None:
    """Wherever a picture is copied, commit, data, training and, of the nodes, hardware, batch and link go with it."""
    for name, plate in FIGURES.items():
        figure = plate.draw(experiment)
        said = " ".join(text.get_text() for text in figure.texts).replace("\xa0", " ")
        always = ["digits, 360 test samples", "recipe digits, 5 epochs, seed 7", "commit 0123456789ab"]
        nodes = ["A Processor 9000, cores: 2", "batch 32", "link: loopback, unshaped", "onnxruntime 1.99, fp32"]
        for condition in always + nodes * (name not in ("figure-9", "figure-10")):
            assert condition in said, name


def test_the_same_experiment_gives_the_same_bytes(experiment: Experiment) -> None:
    """A figure under version control changes only when the numbers do."""
    assert as_svg(figures.summary(experiment)) == as_svg(figures.summary(experiment))


@pytest.mark.parametrize(
    ("partial", "drawn"),
    [
        ({"sems": (3, 5), "mem": (), "thresholds": (0.5,)}, "summary figure-5 figure-7 figure-9 figure-10"),
        ({"sems": (), "thresholds": (0.8,)}, "summary figure-6 figure-8 figure-9 figure-10"),
        ({"thresholds": ()}, "figure-9 figure-10"),
        ({"sems": (), "mem": ()}, ""),
    ],
)
def test_of_a_partial_experiment_only_what_it_holds_is_drawn(
    build: Build, partial: dict[str, object], drawn: str
) -> None:
    """No figure is published that would show nothing."""
    experiment = build(**partial)
    assert [name for name, plate in FIGURES.items() if plate.holds(experiment)] == drawn.split()


def test_a_family_without_measurements_says_so(build: Build) -> None:
    """A figure asked for by name where there is nothing is a figure that says that."""
    for panel in figures.figure_6(build(mem=())).axes:
        assert [text.get_text() for text in panel.texts] == ["not measured"]


def test_what_is_missing_is_not_in_the_legend(build: Build) -> None:
    """Without MEM its name stands nowhere."""
    without = build(mem=(), thresholds=(0.3,))
    for figure in (figures.summary(without), figures.figure_9(without), figures.figure_10(without)):
        assert "MEM" not in as_svg(figure)


def test_names_are_text_and_not_markup(build: Build) -> None:
    """Dollar signs start no formula in a picture, and angle brackets no element."""
    svg = as_svg(figures.summary(build(data="$x_1$ <script>alert(1)</script>")))
    texts = [element.text for element in ElementTree.fromstring(svg).iter() if element.text]
    assert any("$x_1$" in text for text in texts)
    assert "<script" not in svg


def test_colors_are_the_palettes(experiment: Experiment) -> None:
    """SEM and MEM keep their colours in every figure."""
    _, _, time = figures.summary(experiment).axes
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
