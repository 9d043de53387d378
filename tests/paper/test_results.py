"""The results in the repository, written by earlier versions: read as they are."""

from pathlib import Path

import pytest

from offramp.artifacts.plan import Plan
from offramp.artifacts.suite import SUITE, Suite
from offramp.paper.families import Family
from offramp.paper.reproduction import REPRODUCTION, Reproduction
from offramp.paper.view import Point, View, by_exit

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def evaluation() -> Reproduction:
    """Of the small preset on CIFAR-10."""
    return Reproduction.read(RESULTS / "cifar10-small" / "evaluation" / REPRODUCTION)


def test_every_row_of_the_evaluation_is_read(evaluation: Reproduction) -> None:
    """With its plan, what each tier answered and how often it was right, to the last digit."""
    assert (len(evaluation.rows), len(evaluation.models), evaluation.agreement.ties) == (253, 10, 48)
    assert (evaluation.agreement.compared, evaluation.agreement.differing) == (2_799_936 - 48, 0)  # had the ties in it
    for row in evaluation.rows:
        assert sum(row.outcome.answered.values()) + row.outcome.dropped == row.outcome.n == row.setup.samples
        assert row.outcome.degraded == 0
        assert len(row.repeats) == 3
    view = View.of(evaluation)
    assert len(view.rows) == 2 * 8 * 4
    sem = view.rows[Point(Family.SEM, 8, 0.3)]
    assert sem.setup.plan == Plan.of(8, 0.3)
    assert (sem.outcome.answered, sem.outcome.overall) == ({"edge": 7_531, "cloud": 2_469}, 0.8522)
    assert (sem.outcome.accuracy, sem.bytes_to_cloud) == (
        {"edge": 0.9511353073960961, "cloud": 0.5504252733900364}, 10_135_550,
    )  # fmt: skip
    assert list(by_exit(view, Family.MEM, 0.3)) == [*range(1, 9)]


def test_a_place_that_is_no_exit_is_read_as_a_cut(evaluation: Reproduction) -> None:
    """What runs whole had the last exit's number, and a fixed split the cut's; neither has an active exit."""
    none = [row.setup for row in evaluation.rows if row.setup.contender not in ("local exit", "cascade")]
    assert {(setup.contender, setup.exit) for setup in none} == {
        ("all at the edge", None), ("all in the cloud", None), ("fixed split", None),
    }  # fmt: skip
    assert {setup.place for setup in none if setup.contender == "fixed split"} == {2, 3, 5, 8}
    assert {setup.plan.cut for setup in none if setup.contender == "all at the edge"} == {9}


def test_drop_thresholds_and_cores_are_read(evaluation: Reproduction) -> None:
    """Each in its section; and a run of few sections is read as well."""
    dropping = {row.setup.plan.drop_threshold for row in evaluation.section("drop")}
    assert dropping == {None, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4}
    weak = Reproduction.read(RESULTS / "cifar10-small" / "weak-edge-wifi" / REPRODUCTION)
    assert (len(weak.rows), {row.setup.link for row in weak.rows}) == (30, {"wifi"})
    assert {row.setup.edge_cores for row in weak.rows} == {1.0, 0.5, 0.25}


def test_features_have_one_size_in_both_documents(evaluation: Reproduction) -> None:
    """That of fp32: version 1 of a suite counted a byte a value, a reproduction's models four."""
    suite = Suite.read(RESULTS / "cifar10-small" / SUITE)
    models = {model.model: model for model in evaluation.models}
    sizes = (16_384, 16_384, 4_096, 8_192, 8_192, 2_048, 4_096, 4_096, 4_096)
    assert models["mem"].feature_bytes == dict(enumerate(sizes, 1))
    for run in suite.chosen():
        assert run.feature_bytes == models[run.key.model].feature_bytes


SUITES = sorted(path for path in RESULTS.rglob("*.json") if path.name in (SUITE, REPRODUCTION))


@pytest.mark.parametrize("path", SUITES, ids=lambda path: str(path.relative_to(RESULTS)))
def test_every_document_is_written_again_as_version_2(path: Path) -> None:
    """And what is written is read as the same."""
    kind = Reproduction if path.name == REPRODUCTION else Suite
    document = kind.read(path)
    text = document.to_json()
    assert '"version": 2' in text
    assert kind.parse(text, "again") == document


def test_a_suites_measures_by_tier_are_read() -> None:
    """Who did not leave went on: version 1 kept the first count alone."""
    suite = Suite.read(RESULTS / "cifar10-small" / SUITE)
    assert len(suite.runs) == 13
    for run in suite.runs:
        for at in run.tiered:
            assert sum(at.outcome.answered.values()) == at.outcome.n == suite.test_samples == 10_000
