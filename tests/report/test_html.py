"""The report page: whole, standing alone, with every number in its place and nothing unescaped."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from offramp.artifacts.experiment import Agreed, Experiment
from offramp.artifacts.measurement import Latency
from offramp.report.finding import finding
from offramp.report.html import page, unbroken, write_report

Build = Callable[..., Experiment]
Read = Callable[[str], Any]


@pytest.fixture(scope="module")
def text(experiment: Experiment) -> str:
    return page(experiment)


@pytest.fixture(scope="module")
def reader(text: str, read: Read) -> Any:
    return read(text)


def test_it_is_well_formed(reader: Any) -> None:
    """Every element is closed, in order, and no id occurs twice."""
    assert reader.open == []
    assert len(set(reader.ids)) == len(reader.ids)


def test_it_loads_nothing(text: str, reader: Any) -> None:
    """No address, no script, no style sheet or font from elsewhere."""
    assert "http://" not in text
    assert "https://" not in text
    assert reader.loaded == []
    assert not {"script", "link", "iframe", "img", "object"} & reader.tags
    assert "@import" not in text
    assert text.count("url(") == text.count("url(#")


def test_it_follows_the_readers_scheme(text: str) -> None:
    """Every colour is defined twice: on light, and on dark within prefers-color-scheme."""
    light, dark = text.split("@media (prefers-color-scheme: dark)")
    assert "--sem: #0a7c74;" in light
    assert "--sem: #37c4b8;" in dark


def test_every_measured_number_is_in_its_table(experiment: Experiment, reader: Any) -> None:
    """A table a threshold, a row a measurement: exited, accuracies, latencies, bytes; a dash for None."""

    def number(value: float | None) -> str:
        return "–" if value is None else f"{value:.2f}"

    def median(latency: Latency | None) -> float | None:
        return None if latency is None else latency.p50

    def hundred(share: float | None) -> float | None:
        return None if share is None else 100 * share

    for table, threshold in zip(reader.tables, (0.1, 0.3, 0.5, 0.8), strict=False):
        found = [m for m in experiment.measurements if m.threshold == threshold]
        assert len(found) == 16
        assert table[2:] == [
            [
                m.model.upper(),
                str(m.exit),
                str(m.exited_locally),
                *(number(hundred(a)) for a in (m.edge_accuracy, m.cloud_accuracy, m.overall_accuracy)),
                *(number(median(t)) for t in (m.latency_ms.edge, m.latency_ms.cloud, m.latency_ms.overall)),
                f"{m.bytes_to_cloud / m.forwarded:,.0f}" if m.forwarded else "–",
                "",
            ]
            for m in found
        ]
    assert sum(row.count("–") for table in reader.tables[:4] for row in table) == 2 * 2 + 2 * 3


def test_costs_stand_beside_the_raw_image(reader: Any) -> None:
    """MACs and feature bytes of each exit, and the 256 bytes of a 16x16 image."""
    costs = reader.tables[4][1:]
    assert [row[0] for row in costs] == [str(k) for k in range(1, 10)]
    assert costs[0] == ["1", "300,010", "11 %", "4,096", "16.0 ×"]
    assert costs[8] == ["9", "2,700,090", "100 %", "–", "–"]
    assert reader.says("the raw image as the network takes it is 256 bytes")


def test_finding_and_conditions_are_told(experiment: Experiment, reader: Any) -> None:
    """What it means stands on top, and below it everything that it holds under."""
    assert unbroken(finding(experiment)) in reader.text
    for condition in (
        "0123456789ab",
        "A Processor 9000, cores: 2",
        "loopback, unshaped",
        "onnxruntime 1.99, fp32",
        "2026-11-24, 04:46 UTC",
        "digits, 360 test samples",
        "preset tiny, 9 models",
        "recipe digits, 5 epochs, seed 7",
        "at the exit, fp32 features",
        "85 s for everything",
        "22,976 answers compared, none differs; 3 ties left out (score within 1e-5 of T)",
    ):
        assert condition in reader.text
    assert "32" in reader.text


def test_it_says_what_the_numbers_are_not(reader: Any) -> None:
    """Latencies are medians of one run on one machine, and the digits are not CIFAR-10."""
    assert reader.says("over the samples of one run, between processes on one machine unless the link says otherwise")
    assert reader.says("The digits are far easier than CIFAR-10")


def test_figures_are_inside_with_captions(text: str, reader: Any) -> None:
    """Seven drawings; those of the paper carry its numbers."""
    assert text.count("<svg") == text.count("<figcaption") == 7
    for number in range(5, 11):
        assert f"Figure {number}." in reader.text


def test_hostile_names_stay_text(build: Build, read: Read) -> None:
    """Whatever a document says, in a name or a condition, it becomes no element of the page."""
    experiment = build(sems=(3,), thresholds=(0.3,))
    evil = '<script>alert("1")</script>\x00\n' + "long " * 60
    models = tuple(m.model_copy(update={"model": evil} if m.model == "sem-3" else {}) for m in experiment.models)
    measurements = tuple(
        m.model_copy(
            update={
                "model": evil if m.model == "sem-3" else m.model,
                "conditions": m.conditions.model_copy(update={"link": evil, "hardware": evil, "date": evil}),
            }
        )
        for m in experiment.measurements
    )
    named = {"models": models, "measurements": measurements, "name": evil, "data": evil, "recipe": evil, "preset": evil}
    text = page(experiment.model_copy(update=named))
    found = read(text)
    assert "<script" not in text
    assert "script" not in found.tags
    assert found.open == []
    assert any(row[0] == evil.replace("\x00", "\ufffd") or row[0] == evil for table in found.tables for row in table)


@pytest.mark.parametrize(
    "partial",
    [
        {"sems": (3, 5), "mem": (), "thresholds": (0.5,)},
        {"sems": (), "thresholds": (0.8,)},
        {"sems": (2,), "thresholds": ()},
        {"sems": (), "mem": ()},
        {"sems": (), "mem": (2, 5), "thresholds": (0.1, 0.3)},
    ],
)
def test_a_partial_experiment_is_reported(build: Build, read: Read, partial: dict[str, object]) -> None:
    """The page shows what there is."""
    experiment = build(**partial)
    found = read(page(experiment))
    assert found.open == []
    tables = len({m.threshold for m in experiment.measurements}) + bool(experiment.models)
    assert len(found.tables) == tables


def test_disagreement_is_an_alarm(build: Build, read: Read) -> None:
    """Nodes that answer otherwise than the offline evaluation make all other numbers doubtful, and the page says so."""
    bare = {"sems": (), "mem": ()}
    found = read(page(build(**bare, agreement=Agreed(compared=22_976, differing=1_234, ties=0))))
    assert found.says("1,234 of 22,976 answers of the running nodes differ from the offline evaluation's.")
    assert found.says("22,976 answers compared, 1,234 DIFFER")
    assert read(page(build(**bare, agreement=Agreed(compared=0, differing=0, ties=0)))).says("not checked")


def test_degraded_answers_are_marked(build: Build, read: Read) -> None:
    """Never silent: in an alarm above, and in the row they fell into, as are dropped samples and other cuts."""
    experiment = build(sems=(3, 5), mem=(), thresholds=(0.3,))
    first, *others = experiment.measurements
    changed = first.model_copy(update={"degraded": 7, "dropped": 2, "cut": 0, "codec": "uint8"})
    found = read(page(experiment.model_copy(update={"measurements": (changed, *others)})))
    assert found.says("7 answers were given by the edge only because the cloud could not")
    assert found.tables[0][2][-1] == "7 degraded, 2 dropped, cut at 0, uint8"
    assert found.says("at boundary 0, uint8, at the exit, fp32 features")


def test_an_unknown_preset_has_no_raw_image(build: Build, read: Read) -> None:
    """Its size is not guessed."""
    found = read(page(build(preset="mine", data="cifar10", thresholds=())))
    assert found.says("The size of the raw image is not known: preset mine is not one of this program's.")
    assert {row[4] for row in found.tables[0][1:]} == {"–"}
    assert found.says("compare directions with it, not numbers.")


def test_it_is_written_whole(build: Build, tmp_path: Path) -> None:
    """An older report is replaced, and nothing else is left behind."""
    experiment = build(sems=(3,), mem=(), thresholds=())
    path = tmp_path / "results" / "report.html"
    path.parent.mkdir()
    path.write_text("older")
    write_report(experiment, path)
    assert path.read_text(encoding="utf-8") == page(experiment)
    assert list(path.parent.iterdir()) == [path]
