"""The suite's document: what is planned, in which order, and what is left."""

from pathlib import Path

from offramp.artifacts.suite import RunKey, Suite, SuiteRun, SuiteSettings

SETTINGS = SuiteSettings(
    data="digits",
    preset="tiny",
    head="linear",
    bottlenecks={3: 4},
    recipe={"name": "digits"},
    models=("standard", "sem-2", "mem"),
    regimes=("joint", "mixed"),
    seeds=(0, 1),
)


def finished(key: RunKey) -> SuiteRun:
    """A run of which only the key matters."""
    return SuiteRun(
        key=key, exits=(9,), stage_macs={1: 1}, head_macs={9: 1}, feature_bytes={9: 1}, test_accuracy={9: 0.5},
        tiered=(), training=(), seconds=1.0, images_per_second=1.0, hardware="A Processor", commit="unknown",
    )  # fmt: skip


def test_a_seed_is_whole_before_the_next_begins() -> None:
    """And what everything is compared with comes first."""
    assert [(key.model, key.regime) for key in SETTINGS.planned() if key.seed == 1] == [
        ("standard", "joint"), ("sem-2", "joint"), ("mem", "joint"), ("mem", "mixed"),
    ]  # fmt: skip
    assert [key.seed for key in SETTINGS.planned()] == [0] * 4 + [1] * 4


def test_what_is_left_is_planned_and_not_finished() -> None:
    """In the same order."""
    planned = SETTINGS.planned()
    suite = Suite(settings=SETTINGS, runs=(finished(planned[2]), finished(planned[0])))
    assert suite.left == (planned[1], *planned[3:])


def test_a_runs_folder_tells_runs_apart() -> None:
    """By regime, model and seed."""
    assert SETTINGS.planned()[3].folder == "runs/mixed/mem-seed-0"
    assert len({key.folder for key in SETTINGS.planned()}) == len(SETTINGS.planned())


def test_a_suite_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Numbers that are keys included."""
    suite = Suite(settings=SETTINGS, test_samples=3, runs=(finished(SETTINGS.planned()[0]),))
    suite.write(tmp_path / "suite.json")
    assert Suite.read(tmp_path / "suite.json") == suite
