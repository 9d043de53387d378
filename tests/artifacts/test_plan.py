"""The plan: what it may say, what it says when it may not, and how one is made from options."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from offramp.artifacts.codec import CODECS
from offramp.artifacts.manifest import Manifest
from offramp.artifacts.plan import ActiveExit, Plan
from offramp.errors import ArtifactDamagedError, ArtifactMissingError, ArtifactVersionError, InputError

UNIT = st.floats(0, 1)
SCORES = ("entropy", "max-probability", "margin", "patience")


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Any plan that does not contradict itself."""
    exits = sorted(draw(st.sets(st.integers(1, 9), max_size=4)))
    active = tuple(ActiveExit(exit=exit_, threshold=draw(UNIT)) for exit_ in exits)
    cut = draw(st.just(0) | st.integers(exits[-1] if exits else 0, 12))
    drop = draw(st.none() | st.floats(active[-1].threshold, 1)) if active else None
    return Plan.checked(
        active=active,
        cut=cut,
        codec=draw(st.sampled_from(CODECS)),
        score=draw(st.sampled_from(SCORES)),
        drop_threshold=drop,
    )


@given(plan=plans())
def test_a_plan_survives_json(plan: Plan) -> None:
    """A plan read from its own text is equal, thresholds to the last bit."""
    assert Plan.parse(plan.to_json(), "text") == plan


def test_the_papers_plan_has_one_exit_and_is_cut_there() -> None:
    """`Plan.of` needs an exit and a threshold only."""
    plan = Plan.of(4, 0.25)
    assert plan == Plan.checked(active=(ActiveExit(exit=4, threshold=0.25),), cut=4)
    assert (plan.exit, plan.threshold) == (4, 0.25)
    assert (plan.score, plan.codec, plan.drop_threshold) == ("entropy", "fp32", None)


def test_a_plan_is_called_by_its_last_active_exit() -> None:
    """With several exits, `exit` and `threshold` are the last one's."""
    plan = Plan.checked(active=({"exit": 2, "threshold": 0.1}, {"exit": 5, "threshold": 0.3}), cut=6)
    assert (plan.exit, plan.threshold) == (5, 0.3)


def test_a_plan_without_an_exit_is_called_by_its_cut() -> None:
    """Where nobody leaves, the place is the cut and the threshold 0."""
    plan = Plan.checked(active=(), cut=3)
    assert (plan.exit, plan.threshold) == (3, 0.0)


@pytest.mark.parametrize("threshold", [-0.01, 1.01, float("nan"), float("inf"), "high"])
def test_a_threshold_outside_0_to_1_is_refused(threshold: Any) -> None:
    """The message gives the value and what a threshold means."""
    message = (
        f"threshold {threshold!r}: expected a number in [0, 1]. A sample leaves when its score is below the "
        "threshold: at 0 none does."
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        Plan.of(4, threshold)


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_the_ends_of_the_range_are_thresholds(threshold: float) -> None:
    """0 lets nobody leave and 1 all but the most unsure: both are plans."""
    assert Plan.of(4, threshold).threshold == threshold


def test_a_drop_threshold_outside_0_to_1_is_refused() -> None:
    """It is named apart from the threshold."""
    message = (
        "drop threshold 1.5: expected a number in [0, 1]. A sample leaves when its score is below the threshold: at "
        "0 none does."
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        Plan.of(4, 0.5, drop_threshold=1.5)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"score": "luck"}, "score 'luck': unknown. Choose one of entropy, max-probability, margin, patience."),
    ({"codec": "zip"}, "codec 'zip': unknown. Choose one of fp32, fp16, uint8, 1bit."),
    ({"cut": 3}, "plan: the cut must be 0 or not before the last active exit 4, got 3."),
    ({"drop_threshold": 0.4}, "plan: the drop threshold must not be below the last exit's threshold 0.5, got 0.4."),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=[str(options) for options, _ in WRONG])
def test_an_option_that_does_not_fit_is_refused(options: dict[str, Any], message: str) -> None:
    """Each option has its own sentence, with the choices or the limit."""
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        Plan.of(4, 0.5, **options)


@pytest.mark.parametrize("exits", [(5, 2), (3, 3)])
def test_active_exits_must_rise(exits: tuple[int, int]) -> None:
    """Exits stand in the order in which a sample meets them, each once."""
    message = f"plan: active exits must rise, got {list(exits)}."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        Plan.checked(active=tuple({"exit": exit_, "threshold": 0.5} for exit_ in exits), cut=9)


def test_a_drop_threshold_needs_an_exit() -> None:
    """Without a local exit there is no answer that a dropped sample could get."""
    message = "plan: a drop threshold needs an active exit, whose answer a dropped sample gets."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        Plan.checked(active=(), cut=0, drop_threshold=0.9)


def test_a_drop_threshold_may_equal_the_threshold() -> None:
    """Then only samples with exactly that score go on."""
    assert Plan.of(4, 0.5, drop_threshold=0.5).drop_threshold == 0.5


def test_nothing_changed_is_the_same_plan() -> None:
    """`but` without a change gives the plan itself, whatever it has."""
    plan = Plan.checked(active=({"exit": 2, "threshold": 0.1}, {"exit": 5, "threshold": 0.3}), cut=6)
    assert plan.but() is plan


def test_another_threshold_keeps_the_rest() -> None:
    """One request's threshold leaves exit, cut, codec, score and drop threshold alone."""
    plan = Plan.of(4, 0.5, "margin", cut=6, codec="fp16", drop_threshold=0.9)
    assert plan.but(threshold=0.7) == Plan.of(4, 0.7, "margin", cut=6, codec="fp16", drop_threshold=0.9)


def test_threshold_0_is_a_change() -> None:
    """A threshold of 0 is a number, not the absence of one."""
    assert Plan.of(4, 0.5).but(threshold=0.0).threshold == 0.0


def test_a_moved_exit_takes_its_cut_along() -> None:
    """Where the network was cut at the exit, it is cut at the new one."""
    assert Plan.of(4, 0.5).but(exit_=2) == Plan.of(2, 0.5)


def test_a_moved_exit_leaves_a_cut_elsewhere_alone() -> None:
    """A cut apart from the exit stays where it is."""
    assert Plan.of(4, 0.5, cut=6).but(exit_=2) == Plan.of(2, 0.5, cut=6)
    assert Plan.of(4, 0.5, cut=0).but(exit_=2) == Plan.of(2, 0.5, cut=0)


def test_a_change_that_fits_several_exits_is_refused() -> None:
    """With two active exits nobody can say which one a lone threshold means."""
    plan = Plan.checked(active=({"exit": 2, "threshold": 0.1}, {"exit": 5, "threshold": 0.3}), cut=5)
    message = (
        "exit or threshold: this edge has 2 active exits, and which is meant is not said. Leave them out, or run an "
        "edge with one active exit."
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        plan.but(threshold=0.5)


def test_a_cut_that_is_named_stays_where_an_exit_is_moved() -> None:
    """The exit takes along only a cut that nobody named."""
    assert Plan.of(4, 0.5).but(exit_=2, cut=6) == Plan.of(2, 0.5, cut=6)
    assert Plan.of(4, 0.5).but(exit_=2, cut=0, codec="uint8") == Plan.of(2, 0.5, cut=0, codec="uint8")


def test_cut_and_codec_and_drop_threshold_change_alone() -> None:
    """The exits stay, several of them too."""
    exits = ({"exit": 2, "threshold": 0.1}, {"exit": 5, "threshold": 0.3})
    plan = Plan.checked(active=exits, cut=5, score="margin")
    assert plan.but(cut=0, codec="fp16", drop_threshold=0.9) == Plan.checked(
        active=exits, cut=0, codec="fp16", score="margin", drop_threshold=0.9
    )


def test_exit_0_is_none() -> None:
    """Of any plan: a drop threshold of the old one goes with its exits."""
    several = Plan.checked(active=({"exit": 2, "threshold": 0.1}, {"exit": 5, "threshold": 0.3}), cut=5)
    for plan in (several, Plan.of(4, 0.5, drop_threshold=0.9), Plan.checked(active=(), cut=9)):
        assert plan.but(exit_=0, cut=3, codec="uint8") == Plan.checked(active=(), cut=3, codec="uint8")
        assert plan.but(exit_=0, threshold=0.0, cut=0) == Plan.checked(active=(), cut=0)


def test_a_plan_without_an_exit_gets_one() -> None:
    """And is cut there; a threshold of 0 changes nothing where there is none."""
    plan = Plan.checked(active=(), cut=9, codec="uint8")
    assert plan.but(exit_=3, threshold=0.4) == Plan.of(3, 0.4, codec="uint8")
    assert plan.but(threshold=0.0) == plan


NOT_SAID = [
    ({"exit_": 0}, "exit 0: without a local exit, the cut says how far the edge runs. Name it as well."),
    ({"exit_": 0, "cut": 3, "threshold": 0.5}, "threshold 0.5: exit 0 is none, and nobody leaves there. Leave it out."),
    (
        {"exit_": 0, "cut": 3, "drop_threshold": 0.5},
        "plan: a drop threshold needs an active exit, whose answer a dropped sample gets.",
    ),
    ({"threshold": 0.5}, "threshold 0.5: this edge has no active exit. Name one as well."),
    ({"exit_": 5, "cut": 3}, "plan: the cut must be 0 or not before the last active exit 5, got 3."),
    ({"codec": "jpeg"}, "codec 'jpeg': unknown. Choose one of fp32, fp16, uint8, 1bit."),
    (
        {"exit_": 3, "drop_threshold": 2.0},
        "drop threshold 2.0: expected a number in [0, 1]. A sample leaves when its score is below the threshold: at 0 "
        "none does.",
    ),
]


@pytest.mark.parametrize(("change", "message"), NOT_SAID, ids=[str(change) for change, _ in NOT_SAID])
def test_a_change_that_makes_no_plan_is_refused(change: dict[str, Any], message: str) -> None:
    """Of a plan without an exit; each has its own sentence."""
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        Plan.checked(active=(), cut=9).but(**change)


def test_a_threshold_alone_is_of_the_last_local_exit(manifest: Manifest) -> None:
    """Which is where the network is cut."""
    plan = Plan.at_last_local_exit(manifest.exits, 0.4, "margin", codec="uint8", drop_threshold=0.8)
    assert plan == Plan.of(1, 0.4, "margin", codec="uint8", drop_threshold=0.8)


def test_a_threshold_alone_lets_a_network_without_a_local_exit_answer_everything(manifest: Manifest) -> None:
    """Nothing of it is handed on."""
    fields = {"heads": manifest.heads[-1:], "cuts": manifest.cuts[:1]}
    plan = Plan.at_last_local_exit(manifest.model_copy(update=fields).exits, 0.4, drop_threshold=0.8)
    assert plan == Plan.checked(active=(), cut=2)
    assert not plan.first.hands_on(2)


def test_a_changed_threshold_is_checked() -> None:
    """A request's threshold passes the same checks as a plan's."""
    with pytest.raises(InputError, match=re.escape("threshold 2: expected a number in [0, 1].")):
        Plan.of(4, 0.5).but(threshold=2)


def test_a_plan_that_a_bundle_can_follow_is_given_back(manifest: Manifest) -> None:
    """Known exit, known cut."""
    plan = Plan.of(1, 0.5, cut=0)
    assert plan.check(manifest) is plan


def test_a_plan_with_an_exit_that_is_lacking_is_refused(manifest: Manifest) -> None:
    """The message names the exits that the bundle has."""
    with pytest.raises(InputError, match=f"^{re.escape('exit 4: small has the exits 1, 2. Choose one of them.')}$"):
        Plan.of(4, 0.5).check(manifest)


def test_a_plan_with_a_cut_that_is_lacking_is_refused(manifest: Manifest) -> None:
    """The message names the places where the bundle can be cut."""
    with pytest.raises(InputError, match=f"^{re.escape('cut 7: small can be cut at 0, 1. Choose one of them.')}$"):
        Plan.of(1, 0.5, cut=7).check(manifest)


def test_a_plan_is_loaded_from_its_file(tmp_path: Path) -> None:
    """A path as text is enough."""
    path = tmp_path / "plan.json"
    Plan.of(4, 0.5).write(path)
    assert Plan.load(str(path)) == Plan.of(4, 0.5)


def test_a_plan_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The message names the path."""
    message = f"{tmp_path / 'plan.json'}: no such file. Check the path, or run the step that writes it."
    with pytest.raises(ArtifactMissingError, match=f"^{re.escape(message)}$"):
        Plan.load(tmp_path / "plan.json")


def test_a_threshold_outside_its_range_in_a_file_is_named_with_its_place(tmp_path: Path) -> None:
    """A plan that somebody edited by hand is checked as one from options is."""
    path = tmp_path / "plan.json"
    path.write_text(Plan.of(4, 0.5).to_json().replace("0.5", "1.5"))
    message = f"{path}: tiers.edge.active.0.threshold: Input should be less than or equal to 1 (offramp.plan)."
    with pytest.raises(ArtifactDamagedError, match=f"^{re.escape(message)}$"):
        Plan.load(path)


def test_a_plan_of_another_version_is_refused(tmp_path: Path) -> None:
    """A later program's plan is not half understood."""
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({**json.loads(Plan.of(4, 0.5).to_json()), "version": 9}))
    with pytest.raises(ArtifactVersionError, match=re.escape(f"{path}: offramp.plan version 9, and this program")):
        Plan.load(path)


def test_a_plan_of_version_1_is_read(tmp_path: Path) -> None:
    """It was an edge's, and its parts stood where tiers stand now."""
    path = tmp_path / "plan.json"
    path.write_text(
        '{"format": "offramp.plan", "version": 1, "active": [{"exit": 2, "threshold": 0.3}], "cut": 4, '
        '"codec": "uint8", "score": "margin", "drop_threshold": 0.9}'
    )
    assert Plan.load(path) == Plan.of(2, 0.3, "margin", cut=4, codec="uint8", drop_threshold=0.9)


TIERS = {"device": {"active": [{"exit": 1, "threshold": 0.2}], "cut": 2}, "edge": {"active": [], "cut": 5}}


def test_each_tier_starts_where_the_one_before_was_cut() -> None:
    """The first has none before it: it takes the image."""
    plan = Plan.model_validate({"tiers": TIERS})
    assert [plan.before(tier) for tier in plan.tiers] == [None, plan.tiers["device"]]
    assert (plan.exit, plan.cut, plan.threshold) == (1, 2, 0.2)


@pytest.mark.parametrize(
    ("tiers", "said"),
    [
        ({"edge": TIERS["edge"], "device": TIERS["device"]}, "in this order, got"),
        ({}, "in this order, got"),
        (TIERS | {"edge": {"active": [{"exit": 2, "threshold": 0.2}], "cut": 5}}, "the edge starts at boundary 2"),
        (TIERS | {"edge": {"active": [], "cut": 1}}, "the edge starts at boundary 2"),
        (TIERS | {"edge": {"active": [], "cut": 0}}, "the edge starts at boundary 2"),
        ({"cloud": {"active": [], "cut": 5}, "region": {"active": [], "cut": 5}}, "a chain ends in the cloud"),
        ({"overall": {"active": [], "cut": 5}}, "no tier is called 'overall'"),
        ({"Edge": {"active": [], "cut": 5}}, "should match pattern"),
    ],
)
def test_tiers_that_are_out_of_order_are_refused(tiers: dict[str, object], said: str) -> None:
    """No tier comes before one that is nearer to the sample, nor has an exit that another has passed."""
    with pytest.raises(ValidationError, match=said):
        Plan.model_validate({"tiers": tiers})


def test_a_request_changes_the_first_tier_alone() -> None:
    """What is behind its cut is another node's."""
    plan = Plan.model_validate({"tiers": TIERS})
    changed = plan.but(threshold=0.4)
    assert (changed.threshold, changed.tiers["edge"]) == (0.4, plan.tiers["edge"])


def test_plans_are_keys() -> None:
    """Equal ones are one key, whatever made them."""
    assert {Plan.of(1, 0.2): 1}[Plan.parse(Plan.of(1, 0.2).to_json(), "text")] == 1


def test_a_longer_chain_names_tiers_of_its_own() -> None:
    """Each hands on to the next that is named, the last to the cloud, which every chain ends in."""
    tiers = {"device": TIERS["device"], "edge": {"active": [], "cut": 3}, "region": {"active": [], "cut": 5}}
    plan = Plan.model_validate({"tiers": tiers})
    assert [plan.after(tier) for tier in plan.tiers] == ["edge", "region", "cloud"]
    assert Plan.parse(plan.to_json(), "plan") == plan


def test_a_tier_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    """JSON would keep the last of them, and nobody would know of the other."""
    path = tmp_path / "plan.json"
    once = Plan.of(2, 0.3).to_json()
    path.write_text(once.replace('"tiers": {', '"tiers": {"edge": {"active": [], "cut": 1},'))
    with pytest.raises(ArtifactDamagedError, match="'edge' is there twice"):
        Plan.load(path)
