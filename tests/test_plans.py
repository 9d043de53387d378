"""The same options mean the same plan in every verb, and predictions by it are what is evaluated."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.cli.plans import Said, asked_of, plan_of
from offramp.errors import InputError
from offramp.exits.evaluation import evaluate, route

Program = Callable[..., "subprocess.CompletedProcess[str]"]
PORTABLE = ("--runtime", "onnxruntime", "--precision", "fp32")
TWO = ("--exit", "2", "--threshold", "0.6", "--exit", "4", "--threshold", "0.3")
PLAN = Plan.checked(active=[{"exit": 2, "threshold": 0.6}, {"exit": 4, "threshold": 0.3}], cut=4)


@pytest.fixture
def plan_file(tmp_path: Path) -> str:
    """The same plan as a file."""
    PLAN.write(tmp_path / "plan.json")
    return str(tmp_path / "plan.json")


@pytest.fixture
def evaluated(offramp: Program, predictions_file: Path) -> Callable[..., list[dict[str, object]]]:
    """What `evaluate --json` prints."""

    def evaluated(*options: str, file: Path = predictions_file) -> list[dict[str, object]]:
        done = offramp("evaluate", str(file), *options, "--json")
        assert done.returncode == 0, done.stderr
        found: list[dict[str, object]] = json.loads(done.stdout)
        return found

    return evaluated


def test_several_exits_are_one_plan(
    evaluated: Callable[..., list[dict[str, object]]], predictions: Predictions, plan_file: str
) -> None:
    """As in `serve edge`: each exit with its own threshold; the same as a file."""
    expected = evaluate(route(predictions, PLAN), predictions.labels).model_dump()
    for options in (TWO, ("--plan", plan_file)):
        (found,) = evaluated(*options)
        assert expected.items() <= found.items()
        assert Plan.model_validate(found["plan"]) == PLAN
    assert plan_of(Said(exits=(2, 4), thresholds=(0.6, 0.3))) == plan_of(Said(plan=Path(plan_file))) == PLAN


def test_a_threshold_alone_is_of_the_last_local_exit(evaluated: Callable[..., list[dict[str, object]]]) -> None:
    """As in `serve edge`."""
    (found,) = evaluated("--threshold", "0.3")
    assert (found["exit"], found["threshold"]) == (8, 0.3)


def test_each_exit_at_each_threshold_is_asked_for(evaluated: Callable[..., list[dict[str, object]]]) -> None:
    """By a word, or by saying nothing; then every row is a plan of its own."""
    some = evaluated("--each", "--exit", "2", "--exit", "4", "--threshold", "0.3", "--threshold", "0.5")
    assert [(row["exit"], row["threshold"]) for row in some] == [(2, 0.3), (4, 0.3), (2, 0.5), (4, 0.5)]
    everything = evaluated()
    assert len(everything) == 8 * 4
    assert [row for row in evaluated("--each", "--exit", "2") if row not in everything] == []
    assert len(evaluated("--score", "margin")) == 8 * 4


def test_a_cut_and_a_drop_threshold_mean_what_they_mean_to_an_edge(
    evaluated: Callable[..., list[dict[str, object]]], predictions: Predictions
) -> None:
    """The network's end as the cut: nobody is forwarded."""
    (found,) = evaluated(*TWO, "--cut", "9", "--drop-threshold", "0.7", "--score", "margin")
    plan = Plan.checked(active=PLAN.active, cut=9, score="margin", drop_threshold=0.7)
    assert evaluate(route(predictions, plan), predictions.labels).model_dump().items() <= found.items()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--exit", "3", "--threshold", "0.1"], "--exit, --threshold"),
        (["--codec", "fp32"], "--codec"),
        (["--cut", "0", "--score", "entropy", "--drop-threshold", "0"], "--cut, --score, --drop-threshold"),
    ],
)
@pytest.mark.parametrize("verb", ["serve edge", "evaluate"])
def test_a_plan_beside_options_that_it_overrides_is_refused(
    verb: str, options: list[str], named: str, plan_file: str, bundle: Bundle, predictions_file: Path,
    refusal: Callable[..., str],
) -> None:  # fmt: skip
    """Even where they would say the same: what is meant is not guessed."""
    subject = predictions_file if verb == "evaluate" else bundle.path
    assert refusal(*verb.split(), str(subject), "--plan", plan_file, *options) == (
        f"plan {plan_file}: the file says all of a plan, and {named} would say it again. Leave out the one or the "
        "other."
    )


def test_bench_refuses_a_plan_beside_its_options(plan_file: str, refusal: Callable[..., str]) -> None:
    """Before it looks for an edge."""
    said = ("--exit", "3", "--threshold", "0", "--cut", "0", "--codec", "fp32")
    assert refusal("bench", "--edge", "127.0.0.1:1", "--plan", plan_file, *said).startswith(
        f"plan {plan_file}: the file says all of a plan, and --exit, --threshold, --cut, --codec would say it again."
    )


def test_exits_and_thresholds_are_as_many_in_every_verb(
    bundle: Bundle, predictions_file: Path, refusal: Callable[..., str]
) -> None:
    """Two exits and one threshold leave open whose it is."""
    for verb, subject in (("serve edge", bundle.path), ("evaluate", predictions_file)):
        assert refusal(*verb.split(), str(subject), "--exit", "2", "--exit", "4", "--threshold", "0.3") == (
            "threshold: 2 exits and 1 thresholds; expected one --threshold for each --exit."
        )


def test_predict_follows_a_plan_and_says_so(
    int8_bundle: Bundle, plan_file: str, tmp_path: Path, offramp: Program,
    evaluated: Callable[..., list[dict[str, object]]], refusal: Callable[..., str],
) -> None:  # fmt: skip
    """By a file or by exits alike; in int8 another plan is refused, and the whole graph is called an estimate."""
    int8 = ("--runtime", "onnxruntime", "--precision", "int8")
    for number, by in enumerate((("--plan", plan_file), ("--exit", "2", "--exit", "4"))):
        out = tmp_path / f"{number}.parquet"
        done = offramp("predict", str(int8_bundle.path), "--out", str(out), *int8, *by)
        assert "\nroute: exit 2, 4, cut at 4 in fp32, of UINT8 images, on onnxruntime " in done.stdout, done.stderr
        assert Predictions.read(out).header.follows(PLAN)
        assert evaluated(*TWO, file=out) == evaluated("--plan", plan_file, file=out)
        assert [row["threshold"] for row in evaluated(file=out)] == [0.1, 0.3, 0.5, 0.8]
        assert "in int8 its numbers are others" in refusal(
            "evaluate", str(out), "--exit", "2", "--threshold", "1", "--cut", "2"
        )
        assert offramp("evaluate", str(out), *TWO).stderr == ""
    whole = tmp_path / "whole.parquet"
    assert offramp("predict", str(int8_bundle.path), "--out", str(whole), *int8).returncode == 0
    assert offramp("evaluate", str(whole), "--exit", "4", "--threshold", "0.3").stderr == (
        "note: in int8 a network that is cut gives other numbers than the whole graph in one piece, and nodes answer a "
        "few samples otherwise. For theirs: offramp predict BUNDLE --exit 4 --cut 4 --codec fp32 --runtime onnxruntime "
        "--precision int8\n"
    )
    assert refusal("predict", str(int8_bundle.path), "--plan", plan_file, "--exit", "3").startswith(
        f"plan {plan_file}:"
    )


NONE = Plan.checked(active=[], cut=9)
REACHED = [
    Plan.of(2, 0.3), Plan.of(2, 0.0), Plan.of(4, 0.5, cut=0), Plan.of(4, 0.5, cut=6, codec="uint8"),
    Plan.of(4, 0.5, drop_threshold=0.9), Plan.of(2, 0.3, drop_threshold=0.4), NONE, Plan.checked(active=[], cut=3),
]  # fmt: skip


@pytest.mark.parametrize("served", [*REACHED, PLAN])
def test_a_request_asks_for_what_a_file_says(served: Plan, tmp_path: Path) -> None:
    """Whatever plan the edge has: only what differs is named; 1, which drops none, takes a drop threshold away."""
    for wanted in (*REACHED, PLAN, PLAN.but(cut=0, codec="fp16")):
        wanted.write(tmp_path / "plan.json")
        asked = asked_of(Said(plan=tmp_path / "plan.json"))
        if wanted.active and wanted.active != served.active and max(len(wanted.active), len(served.active)) > 1:
            with pytest.raises(InputError, match="differs from the edge's plan in its exits, which"):
                asked(served)
            continue
        changes = asked(served)
        found = served.but(**changes)
        kept = wanted.drop_threshold is not None or not wanted.active or served.drop_threshold is None
        assert found == (wanted if kept else wanted.but(drop_threshold=1.0))
        assert (changes == {}) == (wanted == served)


TIERS = Plan.model_validate({"tiers": {"device": {"active": [], "cut": 1}, "edge": {"active": [], "cut": 2}}})


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        (Plan.of(2, 0.3, "margin"), "score and exits"),
        (Plan.checked(active=[{"exit": 2, "threshold": 0.5}, {"exit": 4, "threshold": 0.3}], cut=4), "thresholds"),
        (TIERS, "tiers"),
    ],
)
def test_what_no_request_can_ask_for_is_named(wanted: Plan, named: str, tmp_path: Path) -> None:
    """With the command that runs an edge by it."""
    file = tmp_path / "plan.json"
    wanted.write(file)
    with pytest.raises(InputError) as caught:
        asked_of(Said(plan=file))(PLAN)
    assert str(caught.value) == (
        f"plan {file}: differs from the edge's plan in its {named}, which no request can change. Run the edge by it: "
        f"offramp serve edge BUNDLE --plan {file}"
    )
