"""offramp plan, as a user calls it: of the packaged network, samples that were drawn, and profiles nobody measured."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from made_up_profile import made_up_profile
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.choices import Choices
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.artifacts.pretrained import pretrained
from offramp.cli.planning_asked import Asked
from offramp.cli.planning_market import check_finishes
from offramp.errors import InputError
from offramp.exits.evaluation import route
from on_paper import drawn
from reader import Reader

Program = Callable[..., "subprocess.CompletedProcess[str]"]
BUNDLE = str(pretrained() / "bundle")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Predictions of each split, a profile of an edge and its cloud, and one of another network."""
    folder = tmp_path_factory.mktemp("planning")
    bundle = Bundle.open(BUNDLE)
    for number, split in enumerate(("validation", "calibration", "test")):
        drawn(bundle.manifest, number, 600, split, first=1000 * number).write(folder / f"{split}.parquet")
    made_up_profile(bundle).write(folder / "edge.json")
    made_up_profile(bundle, bundle=32 * "0").write(folder / "other.json")
    return folder


def said(folder: Path, *options: str, link: str = "lan", profile: str = "edge.json") -> tuple[str, ...]:
    known = ("--profile", str(folder / profile), "--link", link, "--out", str(folder / "plan.json"))
    return ("plan", BUNDLE, "--predictions", str(folder / "validation.parquet"), *known, *options)


def test_what_is_predicted_is_what_the_evaluation_says_of_the_plan(folder: Path, offramp: Program) -> None:
    """The plan is one that a node reads; over a fast link to a fast cloud, some samples go on."""
    options = ("--cloud-profile", str(folder / "edge.json"), "--report", str(folder / "test.parquet"), "--json")
    done = offramp(*said(folder, *options, "--choices", str(folder / "choices.json")))
    assert done.returncode == 0, done.stderr
    found, plan = json.loads(done.stdout), Plan.load(folder / "plan.json")
    samples = Predictions.read(folder / "validation.parquet")
    figures = found["predicted"]
    if plan.codec == "fp32":
        answers = route(samples, plan)
        assert figures["accuracy"] == pytest.approx(float((answers.label == samples.labels).mean()))
    assert figures["accuracy"] >= found["last_exit"] - 0.01 - 1e-9
    assert figures["onward"] > 0
    assert [row["name"].partition(":")[0] for row in found["baselines"]] == [
        "everything at the edge", "everything in the cloud, pixels", "Neurosurgeon", "the paper", "BranchyNet",
        "oracle",
    ]  # fmt: skip
    assert found["answer"][-1].startswith("on test, 600 samples: the choice is right on ")
    ready = Choices.read(folder / "choices.json")
    assert (ready.bundle, plan in [one.plan for one in ready.plans]) == (Bundle.open(BUNDLE).id, True)
    assert any(one.onward == 0 for one in ready.plans)


def test_without_a_link_or_over_a_bad_one_the_answer_is_no_cloud(folder: Path, offramp: Program) -> None:
    """In words."""
    for link in ("none", "satellite"):
        done = offramp(*said(folder, link=link))
        assert "Do not use a cloud: answer everything at the edge." in " ".join(done.stdout.split())
        assert "Nothing is promised" in done.stdout
        assert Plan.load(folder / "plan.json").cut == 9


def test_a_deadline_alone_asks_for_the_most_accurate_plan_in_time(folder: Path, offramp: Program) -> None:
    """Which loses less as the deadline grows, and Edgent stands beside it."""
    lost = []
    for deadline in ("4ms", "20ms"):
        found = json.loads(offramp(*said(folder, "--deadline", deadline, "--json", link="none")).stdout)
        assert found["predicted"]["p95"] <= float(deadline[:-2]) / 1000
        assert any(row["name"].startswith("Edgent") for row in found["baselines"])
        lost.append(found["last_exit"] - found["predicted"]["accuracy"])
    assert lost == sorted(lost, reverse=True)
    assert lost[0] > lost[-1]


def test_the_page_has_the_picture_the_table_and_the_plan(folder: Path, offramp: Program) -> None:
    """It loads nothing, and each point has its plan's name."""
    done = offramp(*said(folder, "--page", str(folder / "page")))
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (folder / "page").iterdir()) == ["pareto.png", "pareto.svg", "plan.html"]
    text = (folder / "page" / "plan.html").read_text()
    page = Reader(text.replace("\u00a0", " "))
    assert (page.open, page.loaded, text.count("<svg")) == ([], [], 1)
    assert page.tables[0][-1][0] == "the choice"
    assert page.says("What to deploy of mem")
    assert "the choice" in text.split('<script type="application/json">')[1].split("</script>")[0]


REFUSED = [
    (("--profile", "other.json"), "edge profile: it is of bundle 0000"),
    (("--link", "wifi,fast"), "link 'wifi,fast'"),
    (("--deadline", "1us"), "deadline '1us': expected a time like 50ms or 2s."),
    (
        ("--deadline", "0.001ms"),
        "plan: nothing meets 95 % of the samples within 0.001 ms. The nearest is exit ",
    ),
    (("--max-loss", "0"), "max loss 0: expected a share above 0 and below 1, like 1%."),
    (("--max-loss", "1%", "--bytes", "-1"), "bytes -1: expected a number that is not negative."),
    (("--confidence", "100%"), "confidence 1: expected a share above 0 and below 1, like 95%."),
    (("--promise", "hope"), "promise 'hope': unknown."),
    (("--minimise", "money"), "minimise 'money': unknown."),
    (("--score", "patience"), "score 'patience': not one that plans are looked for by."),
    (("--predictions", "test.parquet"), "test.parquet: of the split test, and what is chosen on it"),
    (("--cascade", BUNDLE), "its predictions and its profile are needed as well."),
    (("--cascade", BUNDLE, "--link", "none"), "it ends in a cloud, and by --link none there is none. Name a link."),
    (("--cascade-profile", "other.json"), "other.json: of which network? Name its bundle: --cascade BUNDLE"),
]


@pytest.mark.parametrize(("options", "says"), REFUSED, ids=[" ".join(options)[-30:] for options, _ in REFUSED])
def test_what_does_not_fit_is_refused(
    folder: Path, refusal: Callable[..., str], options: tuple[str, ...], says: str
) -> None:
    """With what to do instead; nothing is written."""
    named = [str(folder / one) if one.endswith((".json", ".parquet")) else one for one in options]
    (folder / "plan.json").unlink(missing_ok=True)
    assert says in refusal(*said(folder, *named))
    assert not (folder / "plan.json").exists()


def test_a_score_that_finds_nothing_does_not_stand_in_the_way_of_the_others() -> None:
    """Of those that find something the cheapest is taken; where none does, the first says why."""
    asked = Asked.of("latency", 0.01, None, None, None, None, "accuracy", "auto")
    costs = {"max-probability": 3.0, "margin": 2.0}

    def choose(score: str) -> float:
        if score not in costs:
            raise InputError(f"plan: nothing by {score}")
        return costs[score]

    assert asked.by_score(choose, lambda one: one) == 2.0
    costs.clear()
    with pytest.raises(InputError, match="nothing by entropy"):
        asked.by_score(choose, lambda one: one)


def test_a_network_that_finishes_takes_the_same_images_and_tells_the_same_classes_apart(bundle: Bundle) -> None:
    """In the same order: an answer is a class's number."""
    mine = Bundle.open(BUNDLE).manifest
    check_finishes(mine, mine, "other")
    with pytest.raises(InputError, match=r"cascade other: takes images of \(1, 16, 16\), and .*, of \(3, 32, 32\)\."):
        check_finishes(bundle.manifest, mine, "other")
    turned = mine.model_copy(update={"classes": mine.classes[::-1]})
    with pytest.raises(InputError, match=r"cascade other: its classes are truck, ship, .*: in another order\."):
        check_finishes(turned, mine, "other")


def test_what_is_missing_is_named(folder: Path, refusal: Callable[..., str]) -> None:
    """A link and a profile."""
    predictions = ("plan", BUNDLE, "--predictions", str(folder / "validation.parquet"))
    assert refusal(*predictions).startswith("profile: nothing says what the network's parts take on the edge.")
    says = refusal(*predictions, "--profile", str(folder / "edge.json"))
    assert says.startswith("link: nothing says what lies between edge and cloud.")
    assert says.endswith("Without a cloud, everything at the edge is the plan that there is: --link none")


def test_what_is_promised_stands_in_the_plan(folder: Path, offramp: Program) -> None:
    """Shown on calibration; of validation alone, on the half that nothing was chosen on."""
    asked = ("--max-loss", "8%", "--confidence", "90%", "--json")
    done = offramp(*said(folder, "--predictions", str(folder / "calibration.parquet"), *asked))
    assert done.returncode == 0, done.stderr
    promise = Plan.load(folder / "plan.json").promise
    assert promise is not None
    assert (promise.max_loss, promise.confidence, promise.samples, promise.data) == (
        0.08,
        0.9,
        600,
        "noise calibration",
    )
    assert json.loads(done.stdout)["predicted"]["onward"] < 1
    done = offramp(*said(folder, *asked))
    assert "one half is chosen on and the other promised on" in done.stderr
    halved = Plan.load(folder / "plan.json").promise
    assert halved is not None
    assert halved.samples == 300
