"""The figures of the open questions show the rows' numbers."""

import pytest

from offramp.paper import open_figures
from offramp.paper.reproduced import bytes_a_sample, cloud_ms
from offramp.paper.reproduction import Reproduction
from panels import lines


def test_baselines_stand_at_their_latency_by_link(reproduction: Reproduction) -> None:
    """Accuracy above, bytes a sample below, a column a link."""
    panels = open_figures.baselines(reproduction).axes
    assert len(panels) == 4
    for column, link in enumerate(("loopback", "wifi")):
        rows = [r for r in reproduction.section("baselines") if r.setup.link == link]
        split = [r for r in rows if r.setup.contender == "fixed split"]
        times = [r.p50("overall") for r in split]
        assert lines(panels[column])["fixed split"] == (times, [100 * (r.outcome.overall or 0) for r in split])
        assert lines(panels[column + 2])["fixed split"] == (times, [bytes_a_sample(r) for r in split])
        assert {"local exit", "cascade", "all at the edge", "all in the cloud, uint8", "all in the cloud, JPEG"} <= set(
            lines(panels[column])
        )


def test_drop_thresholds_rise_to_none(reproduction: Reproduction) -> None:
    """Dropped share, accuracy, bytes and the cloud's time of each exit."""
    dropped, accuracy, sent, computing = open_figures.drop(reproduction).axes
    own = {r.setup.plan.drop_threshold: r for r in reproduction.section("drop") if r.setup.exit == 5}
    ordered = [own[0.5], own[0.9], own[None]]
    places = [0.5, 0.9, 1.0]
    assert [label.get_text() for label in dropped.get_xticklabels()] == ["0.5", "0.9", "none"]
    assert lines(dropped)["SEM-5"] == (places, [100 * r.outcome.dropped / 10_000 for r in ordered])
    assert lines(accuracy)["SEM-5"] == (places, [100 * (r.outcome.overall or 0) for r in ordered])
    assert lines(sent)["SEM-5"] == (places, [bytes_a_sample(r) for r in ordered])
    assert lines(computing)["SEM-5"] == (places, [cloud_ms(r) for r in ordered])


def test_fewer_cores_are_lines_with_the_baselines_at_their_ends(reproduction: Reproduction) -> None:
    """All in the cloud stands left of the first exit and all at the edge right of the last."""
    overall, edge = open_figures.cores(reproduction).axes
    rows = [r for r in reproduction.section("cores") if r.setup.edge_cores == 0.25]
    local, (whole, cloud) = rows[:8], rows[8:]
    assert lines(overall)["0.25 core"] == (
        list(range(10)),
        [cloud.p50("overall"), *(r.p50("overall") for r in local), whole.p50("overall")],
    )
    assert lines(edge)["0.25 core"][1] == [None, *(r.p50("edge") for r in local), whole.p50("edge")]
    assert list(lines(overall)) == ["1 core", "0.25 core"]


def test_bandwidth_has_a_line_a_contender_and_marks_the_fastest(reproduction: Reproduction) -> None:
    """On logarithmic axes; SEM-6 is fastest at 1 Mbit/s, SEM-3 at 1000, and nobody is as fast."""
    latency, fastest = open_figures.bandwidth(reproduction).axes
    drawn = lines(latency)
    assert len(drawn) == 10
    found = [r.p50("overall") for r in reproduction.section("bandwidth") if r.setup.model == "sem-2"]
    assert drawn["SEM-2"] == ([1.0, 1000.0], found)
    assert (latency.get_xscale(), latency.get_yscale(), fastest.get_xscale()) == ("log", "log", "log")
    assert [(line.get_label(), list(line.get_xdata())) for line in fastest.get_lines()] == [
        ("_best SEM-6", [1.0]),
        ("_best SEM-3", [1000.0]),
    ]


def test_ways_of_the_answers_are_paired_by_exit(reproduction: Reproduction) -> None:
    """What the cloud answers above, all below, a column a link, whiskers over the repeats."""
    panels = open_figures.reply(reproduction).axes
    assert len(panels) == 4
    groups = {group.get_label(): [bar.get_height() for bar in group] for group in panels[1].containers}
    for way, shown in (("edge", "through the edge"), ("direct", "straight from the cloud")):
        rows = [r for r in reproduction.section("reply") if (r.setup.link, r.setup.reply) == ("wifi", way)]
        assert groups[shown] == [r.p50("cloud") for r in rows]
    assert [label.get_text() for label in panels[0].get_xticklabels()] == ["2", "5"]
    whisker = panels[1].collections[1].get_segments()[0]
    assert tuple(point[1] for point in whisker) == rows[0].p50_range("cloud")


@pytest.mark.parametrize("name", open_figures.OPEN_FIGURES)
def test_one_row_is_drawn(reproduction: Reproduction, name: str) -> None:
    """Of a run that was cut short after the first setup of a section."""
    first = next(row for row in reproduction.rows if row.setup.section == name)
    figure = open_figures.OPEN_FIGURES[name](reproduction.model_copy(update={"rows": (first,)}))
    assert any(panel.get_lines() or panel.containers for panel in figure.axes)
