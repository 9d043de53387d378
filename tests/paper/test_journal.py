"""The journal: what is kept of a run, what goes on from it, and which runs it refuses."""

from pathlib import Path

import pytest

from offramp.artifacts.measurement import Latency
from offramp.artifacts.outcome import Outcome
from offramp.artifacts.plan import Plan
from offramp.errors import InputError, OfframpError
from offramp.paper.journal import Entry, Head, Journal
from offramp.paper.reproduction import ROWS, Repeat, Setup

HEAD = Head(bundles={"sem-2": "ab"}, batch_size=32, topology="processes", hardware="a processor")
SETUP = Setup(section="paper", model="sem-2", plan=Plan.of(2, 0.3), samples=10)


def entry(p50: float = 1.0, *, setup: Setup = SETUP, exited: int = 7, sent: int = 300) -> Entry:
    """Seven of ten left, nine of ten were right."""
    latency = Latency(mean=p50, p50=p50, p95=p50, p99=p50)
    return Entry(
        setup=setup,
        outcome=Outcome(
            n=10,
            answered={"edge": exited, "cloud": 10 - exited},
            accuracy={"edge": 1.0, "cloud": 2 / 3},
            overall=0.9,
            dropped=0,
            degraded=0,
        ),
        bytes_to_cloud=sent,
        compared=10,
        differing=0,
        ties=0,
        repeat=Repeat(latency_ms={"edge": latency, "overall": latency}, batch_ms=latency, cloud_ms=0.5),
    )


def test_a_run_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    """Every repeat that was written is there again, and counts."""
    begun = Journal.open(tmp_path, HEAD, resume=False)
    begun.add(entry(1.0))
    begun.add(entry(3.0))
    again = Journal.open(tmp_path, HEAD, resume=True)
    assert again.entries == begun.entries
    assert again.count(SETUP) == 2
    assert again.count(SETUP.model_copy(update={"plan": Plan.of(2, 0.5)})) == 0


def test_half_a_line_is_measured_again(tmp_path: Path) -> None:
    """A run that was killed while writing; what it adds next stands on a line of its own."""
    Journal.open(tmp_path, HEAD, resume=False).add(entry())
    path = tmp_path / ROWS
    path.write_text(path.read_text() + entry().model_dump_json()[:40])
    again = Journal.open(tmp_path, HEAD, resume=True)
    assert again.count(SETUP) == 1
    again.add(entry(2.0))
    assert Journal.open(tmp_path, HEAD, resume=True).count(SETUP) == 2


def test_a_folder_that_holds_a_run_is_not_written_over(tmp_path: Path) -> None:
    """Without --resume it is refused, and nothing changes."""
    Journal.open(tmp_path, HEAD, resume=False).add(entry())
    before = (tmp_path / ROWS).read_bytes()
    with pytest.raises(InputError, match=r"holds a run\. Go on with it by --resume, or choose another folder"):
        Journal.open(tmp_path, HEAD, resume=False)
    assert (tmp_path / ROWS).read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"bundles": {"sem-2": "cd"}}, "other bundles: {'sem-2': 'ab'}, now {'sem-2': 'cd'}"),
        ({"batch_size": 64}, "other batch size: 32, now 64"),
        ({"topology": "containers"}, "other topology: processes, now containers"),
        ({"hardware": "another"}, "other hardware: a processor, now another"),
    ],
)
def test_a_run_of_anything_else_does_not_go_on(tmp_path: Path, changes: dict[str, object], named: str) -> None:
    """Its rows could not be laid beside each other."""
    Journal.open(tmp_path, HEAD, resume=False)
    with pytest.raises(InputError, match=named):
        Journal.open(tmp_path, HEAD.model_copy(update=changes), resume=True)


def test_another_file_of_that_name_is_not_taken_for_a_run(tmp_path: Path) -> None:
    """Nor is an empty one."""
    (tmp_path / ROWS).write_text("")
    with pytest.raises(InputError, match="its first line is not a run's"):
        Journal.open(tmp_path, HEAD, resume=True)


def test_repeats_become_one_row(tmp_path: Path) -> None:
    """Accuracies once, times of each; the median over repeats, and how far they are apart."""
    journal = Journal.open(tmp_path, HEAD, resume=False)
    assert journal.row(SETUP) is None
    for p50 in (3.0, 1.0, 2.0):
        journal.add(entry(p50))
    row = journal.row(SETUP)
    assert row is not None
    assert (row.outcome.answered, row.outcome.overall, row.bytes_to_cloud) == ({"edge": 7, "cloud": 3}, 0.9, 300)
    assert (row.p50("overall"), row.p50_range("overall")) == (2.0, (1.0, 3.0))
    assert (row.p50("cloud"), row.p50_range("cloud")) == (None, None)


@pytest.mark.parametrize("changes", [{"exited": 6}, {"sent": 301}])
def test_repeats_that_answer_otherwise_are_an_error(tmp_path: Path, changes: dict[str, int]) -> None:
    """The same inputs give the same answers and bytes, or something is wrong."""
    journal = Journal.open(tmp_path, HEAD, resume=False)
    journal.add(entry())
    journal.add(entry(**changes))  # type: ignore[arg-type]
    with pytest.raises(OfframpError, match=r"sem-2 at exit 2, T = 0\.3: repeat 2 gave"):
        journal.row(SETUP)


LINE = (
    '{"setup": {"section": "paper", "contender": "local exit", "model": "sem-2", "cloud_model": null, "exit": 2, '
    '"threshold": 0.3, "cut": 2, "codec": "fp32", "drop_threshold": null, "reply": "edge", "form": "fp32", '
    '"link": "loopback", "edge_cores": null, "samples": 10}, "evaluation": {"n": 10, "exited_locally": 7, '
    '"forwarded": 3, "dropped": 0, "edge_accuracy": 1.0, "cloud_accuracy": 0.6666666666666666, '
    '"overall_accuracy": 0.9}, "bytes_to_cloud": 300, "compared": 10, "differing": 0, "ties": 2, "repeat": '
    '{"latency_ms": {"edge": {"mean": 1, "p50": 1, "p95": 1, "p99": 1}, "cloud": null, "overall": '
    '{"mean": 1, "p50": 1, "p95": 1, "p99": 1}}, "batch_ms": {"mean": 1, "p50": 1, "p95": 1, "p99": 1}, '
    '"cloud_ms": 0.5}}'
)  # as it was written when a setup had an exit and a cut of its own


def test_a_run_that_an_earlier_version_began_goes_on(tmp_path: Path) -> None:
    """Its lines are read, and none is measured again; ties were counted as compared."""
    (tmp_path / ROWS).write_text(f"{HEAD.model_dump_json()}\n{LINE}\n")
    assert Journal.open(tmp_path, HEAD, resume=True).entries == [entry().model_copy(update={"compared": 8, "ties": 2})]


@pytest.mark.parametrize("contender", ["all at the edge", "all in the cloud", "fixed split"])
def test_in_version_1_an_exit_could_be_a_cut(contender: str) -> None:
    """Where no sample left by itself, the exit's number was where the network is cut."""
    raw = {"section": "baselines", "contender": contender, "model": "m", "exit": 4, "threshold": 0.0, "cut": 4,
           "codec": "uint8", "samples": 1}  # fmt: skip
    setup = Setup.model_validate(raw)
    assert (setup.exit, setup.place) == (None, 4)
    assert setup.plan == Plan.checked(active=(), cut=4, codec="uint8")
