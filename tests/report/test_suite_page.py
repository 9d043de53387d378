"""The report on a suite: figures, page, and folders that are none."""

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from offramp.artifacts.predictions import Predictions, PredictionsHeader
from offramp.artifacts.suite import PREDICTIONS, SUITE, Suite
from offramp.errors import ArtifactMissingError, InputError
from offramp.paper.claims import published
from offramp.report.suite_figures import figure_9, figure_10, frontier_figure
from offramp.report.suite_page import suite_frontier, suite_page, write_suite_report

Build = Callable[..., Suite]


class Text(HTMLParser):
    """The page's text, spaces made plain."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.feed(page)
        self.text = " ".join(" ".join(self.parts).replace("\u00a0", " ").split())

    def handle_data(self, data: str) -> None:
        """Keep it."""
        self.parts.append(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, make_suite: Build) -> Path:
    """A suite's folder, with random predictions of every MEM."""
    out = tmp_path_factory.mktemp("suite")
    suite = make_suite()
    suite.write(out / SUITE)
    for run in suite.runs:
        rng = np.random.default_rng(run.key.seed)
        header = PredictionsHeader(
            model=run.key.model,
            source="checkpoint:0",
            data="cifar10",
            split="test",
            classes=("a", "b"),
            exits=run.exits,
        )
        logits = {k: (k * rng.standard_normal((40, 2))).astype(np.float32) for k in run.exits}
        table = Predictions(header, np.arange(40), rng.integers(0, 2, 40), logits)
        table.write(out / run.key.folder / PREDICTIONS)
    return out


def test_the_page_tells_differences_claims_and_conditions(folder: Path, suite: Suite) -> None:
    """With the paper's numbers beside ours."""
    text = Text(suite_page(suite, {}, published(suite))).text
    assert "-3.00 [-3.00, -3.00]" in text
    assert "86.10 against 92.04 %, -5.94 points" in text
    assert "A Processor 9000" in text
    assert "many exits cost at worst 3.00 points" in text
    assert "Not finished" not in text


def test_an_unfinished_suite_says_what_is_left(suite: Suite) -> None:
    """Before any number."""
    text = Text(suite_page(suite.model_copy(update={"runs": suite.runs[:-1]}), {})).text
    assert "Not finished: mem distill seed 1." in text


def test_page_and_figures_are_written(folder: Path, tmp_path: Path) -> None:
    """Each figure as SVG and PNG, and inside the page."""
    written = write_suite_report(folder, tmp_path, published)
    assert [path.name for path in written] == [
        "report.html", "figure-9.svg", "figure-9.png", "figure-10.svg", "figure-10.png", "frontier.svg", "frontier.png",
    ]  # fmt: skip
    page = written[0].read_text()
    assert page.count("<svg") == 3
    assert "http" not in page


def test_figure_9_has_a_panel_an_exit_and_a_line_a_regime(suite: Suite) -> None:
    """SEM solid where there is one; the heights are the means by epoch."""
    panels = [panel for panel in figure_9(suite, published(suite)).axes if panel.get_visible()]
    assert [panel.get_title(loc="left") for panel in panels] == [f"exit {k}" for k in range(1, 9)]
    names = [[line.get_label() for line in panel.get_lines() if len(line.get_xdata())] for panel in panels]
    assert names[0] == ["MEM distill", "MEM joint"]
    assert names[1] == ["MEM distill", "MEM joint", "SEM", "SEM, paper", "MEM, paper"]
    assert names[2] == ["MEM distill", "MEM joint", "SEM", "SEM, paper"]
    assert list(panels[1].get_lines()[2].get_ydata()) == pytest.approx([74.25 / 3, 148.5 / 3, 74.25])


def test_figure_10_shows_the_papers_numbers_beside_ours(suite: Suite) -> None:
    """As hollow marks; ours as bars with whiskers, and lines."""
    (panel,) = figure_10(suite, published(suite)).axes
    lines = {line.get_label(): list(line.get_ydata()) for line in panel.get_lines()}
    assert lines["SEM, paper"] == [72.65, 77.76, 88.92, 90.98]
    assert lines["MEM, paper"] == [64.59, 76.06]
    assert lines["MEM joint"] == pytest.approx([85.25] * 8)
    bars = {group.get_label(): [bar.get_height() for bar in group] for group in panel.containers}
    assert bars["_MEM distill"] == pytest.approx([72.75 + 2 * k for k in range(8)])


def test_other_data_than_the_papers_stands_alone(suite: Suite) -> None:
    """Its numbers are of CIFAR-10."""
    other = suite.model_copy(update={"classes": ("cat", "dog")})
    assert not [
        line for line in figure_10(other, published(other)).axes[0].get_lines() if "paper" in str(line.get_label())
    ]
    theirs, ours = (Text(suite_page(of, {}, published(of))).text for of in (other, suite))
    assert "its numbers are left out, since they are not comparable" in theirs
    assert "86.10 against 92.04 %" not in theirs
    assert "Under joint, many exits cost at worst 3.00 points at an exit (4 exits, 2 seeds, mean)" in theirs
    assert "claims of the paper" not in theirs
    assert "not comparable" not in ours


def test_the_frontier_is_the_mean_over_seeds(folder: Path, suite: Suite) -> None:
    """Of every regime, with the published points beside it."""
    found = suite_frontier(suite, folder)
    assert list(found) == ["joint", "distill"]
    assert found["joint"][0].macs == 9_000_000 + 9_000
    (panel,) = frontier_figure(suite, found, published(suite)).axes
    lines = {line.get_label(): list(line.get_xdata()) for line in panel.get_lines()}
    assert lines["L2W-DEN on MSDNet (published)"] == [18.0, 21.0, 30.0]
    assert max(lines["MEM joint"]) == pytest.approx(9.009)
    assert "SEM, all samples at its exit" in lines


def test_the_frontier_names_only_what_is_in_it(folder: Path, make_suite: Build) -> None:
    """A suite of MEM alone has no SEM to name."""
    alone = make_suite(models=("mem",))
    (panel,) = frontier_figure(alone, suite_frontier(alone, folder), published(alone)).axes
    assert [line.get_label() for line in panel.get_lines()] == [
        "MEM joint", "MEM distill", "L2W-DEN on MSDNet (published)",
    ]  # fmt: skip


def test_a_copy_without_predictions_has_no_frontier(suite: Suite, tmp_path: Path) -> None:
    """The rest is in the summary."""
    suite.write(tmp_path / SUITE)
    assert suite_frontier(suite, tmp_path) == {}
    assert "frontier.svg" not in [path.name for path in write_suite_report(tmp_path, tmp_path)]


def test_a_suite_of_one_model_is_drawn(make_suite: Build) -> None:
    """What was not trained is a gap."""
    for suite in (make_suite(models=("sem-2",)), make_suite(models=("standard",)), make_suite(models=("mem",))):
        assert figure_9(suite, published(suite)).axes
        assert figure_10(suite, published(suite)).axes
        assert "Nothing was trained that could be compared." in Text(suite_page(suite, {}, published(suite))).text


def test_a_folder_that_is_no_suite_is_refused(tmp_path: Path) -> None:
    """With the command that makes one."""
    with pytest.raises(ArtifactMissingError) as caught:
        write_suite_report(tmp_path, tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: no suite, no reproduction and no training run. Write one with: offramp suite SOURCE "
        f"--out {tmp_path}"
    )


def test_a_suite_without_a_finished_run_is_refused(suite: Suite, tmp_path: Path) -> None:
    """There is nothing to report."""
    suite.model_copy(update={"runs": ()}).write(tmp_path / SUITE)
    with pytest.raises(InputError) as caught:
        write_suite_report(tmp_path, tmp_path)
    assert str(caught.value) == (f"{tmp_path}: none of the suite's 14 runs is finished. Go on with: offramp suite")


def test_a_report_stands_alone(folder: Path, suite: Suite, tmp_path: Path) -> None:
    """Where nobody handed in what a paper states, no word, mark or point is a paper's."""
    page = Text(write_suite_report(folder, tmp_path)[0].read_text()).text
    assert "Under joint, many exits cost at worst 3.00 points at an exit (4 exits, 2 seeds, mean)" in page
    assert "the paper" not in page.lower()
    assert "published" not in page
    for figure in (figure_9(suite), figure_10(suite), frontier_figure(suite, suite_frontier(suite, folder))):
        labels = [str(line.get_label()) for panel in figure.axes for line in panel.get_lines()]
        assert labels
        assert not [label for label in labels if "paper" in label or "published" in label]
