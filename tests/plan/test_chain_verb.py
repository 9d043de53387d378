"""The verb plan of three tiers: files in, a plan of a chain out, and what is not of a chain refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made_up_profile import made_up_profile
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.cli.planning import plan as verb
from offramp.data.image_set import Splits
from offramp.errors import InputError
from offramp.exits.evaluation import evaluate, route
from offramp.measure.predict import of_bundle, of_plan
from offramp.plan.chain_path import Shape
from offramp.plan.chain_promised import routes
from offramp.plan.chain_search import ChainCandidate
from offramp.plan.chain_table import plan_measured
from offramp.plan.inputs import Samples
from offramp.plan.table import Crossing

Asked = Callable[..., Path]


@pytest.fixture(scope="module")
def files(bundle: Bundle, digits: Splits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile, predictions of the graph in one piece, and of a chain whose first hop loses."""
    folder = tmp_path_factory.mktemp("chain")
    made_up_profile(bundle).write(folder / "profile.json")
    few = digits.test.rows(slice(120))
    of_bundle(bundle).predict(few, "validation").write(folder / "plain.parquet")
    by = plan_measured(bundle.manifest, Crossing(2, "uint8"), Crossing(bundle.manifest.last, "fp32"))
    of_plan(bundle, by).predict(few, "validation").write(folder / "chain.parquet")
    return folder


@pytest.fixture
def asked(files: Path, bundle: Bundle, tmp_path: Path) -> Asked:
    """Ask for a plan."""

    def ask(*predictions: str, **said: Any) -> Path:
        out = tmp_path / "plan.json"
        told = {"profile": files / "profile.json", "device_profile": files / "profile.json", "link": "lte"}
        told |= {"device_link": "wifi", "max_loss": "2%", "out": out}
        verb(bundle.path, [files / name for name in predictions or ("plain.parquet",)], **(told | said))
        return out

    return ask


def test_a_chain_s_plan_is_written_and_said(
    asked: Asked, files: Path, bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it is predicted to answer is what the evaluation says of that plan."""
    plan = Plan.load(asked("plain.parquet", "chain.parquet", as_json=True))
    said = json.loads(capsys.readouterr().out)
    plan.check(bundle.manifest)
    assert said["plan"] == plan.model_dump(mode="json")
    assert said["third_tier_pays"] is (said["by_tiers"][0]["computes"] == ["device", "edge", "cloud"])
    assert len({tuple(one["computes"]) for one in said["by_tiers"]}) == len(said["by_tiers"]) > 4
    plain = Predictions.read(files / "plain.parquet")
    fp32 = plan.model_copy(
        update={"tiers": {name: part.model_copy(update={"codec": "fp32"}) for name, part in plan.tiers.items()}}
    )
    if plan == fp32 or all(part.cut == 0 for part in plan.tiers.values()):
        assert said["predicted"]["accuracy"] == pytest.approx(evaluate(route(plain, fp32), plain.labels).overall)


def test_the_table_says_whether_a_third_tier_pays(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    """And how to serve it."""
    asked()
    came = capsys.readouterr()
    assert "A third tier " in came.out
    assert "--tier TIER --next HOST:PORT" in came.err


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"device_profile": None}, "device profile: nothing says what the network's parts take on the device"),
        ({"device_link": None}, "device link: nothing says what lies between device and edge"),
        ({"link": "none"}, "link: none, and a chain needs the links"),
        ({"choices": Path("choices.json")}, "--choices: of an edge and its cloud. Of a chain it is not known yet"),
        ({"page": Path("page")}, "--page: of an edge and its cloud"),
        ({"verify": True}, "--verify: of an edge and its cloud"),
    ],
)
def test_what_a_chain_lacks_is_named(asked: Asked, said: dict[str, Any], message: str) -> None:
    """One clear error, before anything is priced."""
    with pytest.raises(InputError) as caught:
        asked(**said)
    assert str(caught.value).startswith(message)


def test_a_chain_is_promised(asked: Asked, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On the half of the samples that it was not chosen on; what is written is what was shown."""
    said = {"confidence": "95%", "max_loss": "30%"}
    plan = Plan.load(asked("plain.parquet", "chain.parquet", **said))
    assert plan.promise is not None
    assert (plan.promise.samples, plan.promise.max_loss, plan.promise.confidence) == (60, 0.3, 0.95)
    shown = "Promised (accuracy): at most 30 points lost, with a confidence of 95 %, shown on 60 samples of digits"
    came = capsys.readouterr()
    told = " ".join(came.out.split())
    assert shown in told
    assert "The plan that is promised: device" in told
    assert "promised, " in told
    assert "one half is chosen on and the other promised on" in came.err
    again = Plan.load(asked("plain.parquet", "chain.parquet", as_json=True, **said))
    document = json.loads(capsys.readouterr().out)
    assert document["plan"] == again.model_dump(mode="json") == plan.model_dump(mode="json")
    with pytest.raises(InputError, match="60 samples to calibrate on do not show it of any plan"):
        asked("plain.parquet", "chain.parquet", confidence="95%")


def test_spans_say_what_a_promise_is_shown_on(files: Path, bundle: Bundle, digits: Splits) -> None:
    """Logits that are put together of predictions by other plans are those of the nodes that run this one."""
    last, hop = bundle.manifest.last, Crossing(2, "uint8")
    one = ChainCandidate(Shape((2,), hop, (4, 5), Crossing(last, "fp32")), (0.3, 0.2, 0.3), None, ())  # type: ignore[arg-type]
    plan = one.plan(last)
    samples = Samples(Predictions.read(files / "plain.parquet"), (Predictions.read(files / "chain.parquet"),))
    found = routes(samples, [one], [plan]).of(plan)
    spans = of_plan(bundle, plan).predict(digits.test.rows(slice(120)), "validation")
    assert found.header.legs == spans.header.legs
    assert found.header.exits == spans.header.exits == (2, 4, 5, last)
    for exit_ in found.header.exits:
        np.testing.assert_allclose(found.at(exit_), spans.at(exit_), atol=1e-4)
    assert np.abs(found.at(4) - samples.plain.at(4)).max() > 1e-3  # the hop was felt


def test_predictions_of_a_chain_are_of_no_plan_of_two_tiers(asked: Asked) -> None:
    """Their first hop is not where a cloud takes over."""
    with pytest.raises(InputError, match=r"chain\.parquet: of a chain \(.*\), and an edge and its cloud are planned"):
        asked("plain.parquet", "chain.parquet", device_profile=None, device_link=None)
