"""Real edge and cloud processes against the offline evaluation of the same bundle."""

import io
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest

from command_line import running
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.bench.check import check
from offramp.bench.drive import drive
from offramp.cli import main
from offramp.client.describe import describe_edge
from offramp.data.image_set import Splits
from offramp.errors import InputError
from offramp.exits.answers import Judged, Tier
from offramp.exits.evaluation import evaluate, route
from offramp.exits.score import score, softmax
from offramp.measure.predict import of_bundle, of_plan
from offramp.progress import PATIENCE
from offramp.protocol.peer import Peer
from terminal import Terminal

Program = Callable[..., "subprocess.CompletedProcess[str]"]
EdgeOf = Callable[[Plan], AbstractContextManager[str]]
COMMON = ("--port", "0", "--runtime", "onnxruntime", "--precision", "fp32")


@pytest.fixture(scope="module")
def cloud(bundle: Bundle) -> Iterator[str]:
    """A running cloud, which serves every tail: one for all the edges."""
    with running("cloud", str(bundle.path), *COMMON) as node:
        yield node.address()


@pytest.fixture(scope="module")
def edge_of(bundle: Bundle, cloud: str, tmp_path_factory: pytest.TempPathFactory) -> EdgeOf:
    """Runs an edge in front of it by a plan; gives its address."""

    @contextmanager
    def edge_of(plan: Plan) -> Iterator[str]:
        file = tmp_path_factory.mktemp("plan") / "plan.json"
        plan.write(file)
        with running("edge", str(bundle.path), "--plan", str(file), "--cloud", cloud, *COMMON) as edge:
            yield edge.address()

    return edge_of


@pytest.fixture(scope="module")
def address(edge_of: EdgeOf) -> Iterator[str]:
    """A running edge with its cloud."""
    with edge_of(Plan.of(3, 0.3)) as edge:
        yield edge


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.8])
@pytest.mark.parametrize("exit_", [1, 2, 3, 4, 5, 6, 7, 8])
def test_running_nodes_give_what_offline_evaluation_gives(
    address: str, bundle: Bundle, predictions: Predictions, digits: Splits, exit_: int, threshold: float
) -> None:
    """Label, exit and score of every test sample are the offline evaluation's, at each exit and threshold."""
    pixels = bundle.manifest.preprocessing.from_uint8(digits.test.images)
    with Peer(address) as client:
        driven = drive(client, pixels, batch_size=32, options={"exit": exit_, "threshold": threshold}, warm_up=0)

    plan = Plan.of(exit_, threshold)
    agreement = check(driven.answers, digits.test, predictions, bundle_id=bundle.id, plan=plan)

    assert agreement.holds, agreement
    assert agreement.n == len(digits.test)
    assert agreement.ties <= 2, "so many scores beside the threshold that the comparison says little"


PLANS = {
    "uint8 features": Plan.of(3, 0.3, codec="uint8"),
    "fp16 features": Plan.of(3, 0.3, codec="fp16"),
    "the 8-bit image instead of features": Plan.of(2, 0.3, cut=0, codec="uint8"),
    "the image in fp32": Plan.of(2, 0.3, cut=0),
    "a cut behind the exit": Plan.of(2, 0.3, cut=5, codec="uint8"),
    "everything at the edge": Plan.checked(active=[], cut=9),
    "everything in the cloud": Plan.checked(active=[], cut=0, codec="uint8"),
    "a fixed split with no exit": Plan.checked(active=[], cut=4),
    "several exits": Plan.checked(
        active=[{"exit": 2, "threshold": 0.6}, {"exit": 3, "threshold": 0.3}, {"exit": 6, "threshold": 0.1}], cut=6
    ),
    "several exits, then the end": Plan.checked(
        active=[{"exit": 2, "threshold": 0.6}, {"exit": 5, "threshold": 0.1}], cut=9
    ),
    "drop": Plan.of(3, 0.2, drop_threshold=0.5),
    "several exits, drop, uint8": Plan.checked(
        active=[{"exit": 2, "threshold": 0.6}, {"exit": 3, "threshold": 0.2}], cut=3, codec="uint8", drop_threshold=0.5
    ),
    "margin": Plan.of(3, 0.4, "margin"),
    "max-probability": Plan.of(3, 0.4, "max-probability"),
    "patience": Plan.checked(
        active=[{"exit": exit_, "threshold": 0.6} for exit_ in (1, 2, 3)], cut=3, score="patience"
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_every_kind_of_plan_gives_what_offline_evaluation_gives(
    name: str, bundle: Bundle, digits: Splits, edge_of: EdgeOf
) -> None:
    """Codecs, cuts, several exits, drop and other scores: a running edge and cloud answer as predicted."""
    plan = PLANS[name]
    pixels = bundle.manifest.preprocessing.from_uint8(digits.test.images)
    offline = of_plan(bundle, plan).predict(digits.test, "test")

    with edge_of(plan) as address, Peer(address) as client:
        driven = drive(client, pixels, batch_size=32, warm_up=0)
        places = describe_edge(client).places

    agreement = check(driven.answers, digits.test, offline, bundle_id=bundle.id, plan=plan, places=places)
    assert agreement.holds, agreement
    assert (agreement.within, agreement.ties) == (0, 0)
    if plan.drop_threshold is not None:
        assert driven.answers.dropped.any()
    if len(plan.active) > 1:
        leave = plan.active[plan.score == "patience" :]  # the first has none before it to agree with
        assert set(driven.answers.exit) == {*(active.exit for active in leave), 9}
    if plan.cut == 9:
        assert driven.bytes_to_cloud == 0


@pytest.mark.parametrize("name", ["uint8 features", "several exits", "the 8-bit image instead of features"])
def test_direct_reply_gives_the_same_answers(
    name: str, bundle: Bundle, digits: Splits, cloud: str, edge_of: EdgeOf
) -> None:
    """The cloud's answers come straight from the cloud, and are those that come through the edge."""
    plan = PLANS[name]
    pixels = bundle.manifest.preprocessing.from_uint8(digits.test.images)
    with edge_of(plan) as address, Peer(address) as client, Peer(cloud) as direct:
        through = drive(client, pixels, batch_size=32, warm_up=0)
        straight = drive(client, pixels, batch_size=32, warm_up=0, direct=(direct,))

    assert (through.answers.tier == Tier.CLOUD).any()
    for field in ("label", "exit", "tier", "dropped"):
        assert np.array_equal(getattr(straight.answers, field), getattr(through.answers, field))
    assert np.array_equal(straight.answers.score, through.answers.score)
    assert not np.isnan(straight.latency_ms).any()
    # Each message carries, besides, eight bytes a row and the token.
    forwarded = int((through.answers.tier == Tier.CLOUD).sum())
    assert through.bytes_to_cloud < straight.bytes_to_cloud < through.bytes_to_cloud + forwarded * 8 + 12 * 250


def test_direct_reply_to_nobody_is_answered_by_the_edge_or_refused(
    bundle: Bundle, digits: Splits, address: str
) -> None:
    """A token under which no stream is open would lose the answer: the cloud does not accept it."""
    pixels = bundle.manifest.preprocessing.from_uint8(digits.test.images[:4])
    with Peer(address) as client:
        asked = iter([({"image": pixels}, {"reply_to": "f" * 32, "threshold": 0.0})])
        (part,) = client.stream("classifier", asked, timeout=30)
        assert (part.outputs["row"].tolist(), part.outputs["degraded"].all()) == ([0, 1, 2, 3], True)
        asked = iter([({"image": pixels}, {"reply_to": "f" * 32, "threshold": 0.0, "degraded": False})])
        with pytest.raises(InputError, match="no stream is open here under this token"):
            list(client.stream("classifier", asked, timeout=30))


def test_uint8_sends_a_quarter_of_the_bytes_and_keeps_the_accuracy(bundle: Bundle, digits: Splits) -> None:
    """Measured into the bundle at export, and so on the test set: within 0.2 points, or one sample of so few."""
    test = {
        codec: evaluate(route(of_bundle(bundle, 3, codec).predict(digits.test, "test"), plan), digits.test.labels)
        for codec, plan in (("fp32", Plan.of(3, 0.3)), ("uint8", Plan.of(3, 0.3, codec="uint8")))
    }
    spec = bundle.manifest.cut(3)

    assert spec.codecs["uint8"].bytes_per_sample * 4 == spec.codecs["fp32"].bytes_per_sample
    assert spec.codecs["fp32"].accuracy is not None
    assert abs((test["uint8"].overall or 0) - (test["fp32"].overall or 0)) <= max(0.002, 1 / 359)


def test_the_comparison_covers_all_three_courses(predictions: Predictions) -> None:
    """Over those exits and thresholds some batches leave whole, some go on whole, most are divided."""
    shares = [
        float((Judged.of(predictions.at(exit_)).scores < threshold).mean())
        for exit_ in range(1, 9)
        for threshold in (0.1, 0.3, 0.5, 0.8)
    ]
    assert min(shares) < 0.05
    assert max(shares) > 0.95
    assert sum(0.1 < share < 0.9 for share in shares) >= 4


def test_latency_is_taken_per_sample_and_local_exits_do_not_wait_for_the_cloud(
    address: str, bundle: Bundle, digits: Splits
) -> None:
    """In a divided batch the local answers come in an earlier part than the cloud's."""
    pixels = bundle.manifest.preprocessing.from_uint8(digits.test.images[:256])
    with Peer(address) as client:
        driven = drive(client, pixels, batch_size=len(pixels), warm_up=0)

    local = driven.latency_ms[driven.answers.tier == Tier.EDGE]
    cloud = driven.latency_ms[driven.answers.tier == Tier.CLOUD]
    assert len(local) > 0
    assert len(cloud) > 0
    assert local.max() < cloud.min()
    assert driven.batch_ms[0] == cloud.max()


def test_only_the_samples_that_need_it_travel(
    address: str, bundle: Bundle, predictions: Predictions, digits: Splits
) -> None:
    """Bytes to the cloud are those of the forwarded samples' features and a frame for each batch that has any."""
    pixels = bundle.manifest.preprocessing.from_uint8(digits.test.images)
    with Peer(address) as client:
        driven = drive(client, pixels, batch_size=32, options={"exit": 4, "threshold": 0.3})
    forwarded = int((route(predictions, Plan.of(4, 0.3)).tier == Tier.CLOUD).sum())
    payload = forwarded * bundle.manifest.stages[3].bytes_fp32
    batches = -(-len(pixels) // 32)

    assert 0 < forwarded < len(pixels)
    assert payload < driven.bytes_to_cloud <= payload + batches * 150


def test_bench_prints_one_document_and_checks_it(
    address: str, bundle: Bundle, digits: Splits, tmp_path: Path, offramp: Program
) -> None:
    """`offramp bench --check` agrees with the plan's predictions to the last bit, and writes what it prints."""
    out, predicted = tmp_path / "measurement.json", tmp_path / "predicted.parquet"
    of_plan(bundle, Plan.of(3, 0.3)).predict(digits.test, "test").write(predicted)
    done = offramp("bench", "--edge", address, "--check", str(predicted), "--out", str(out))

    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document == json.loads(out.read_text())
    assert document["model"] == "mem"
    plan, outcome = document["plan"]["tiers"]["edge"], document["outcome"]
    assert (plan["active"], plan["cut"], outcome["n"]) == ([{"exit": 3, "threshold": 0.3}], 3, 359)
    assert outcome["answered"].keys() == {"edge", "cloud"}
    assert sum(outcome["answered"].values()) == outcome["n"]
    assert set(document["latency_ms"]) == {"edge", "cloud", "overall"}
    assert set(document["latency_ms"]["overall"]) == {"mean", "p50", "p95", "p99"}
    assert set(document["conditions"]) == {
        "commit", "hardware", "cores", "batch_size", "link", "runtime", "dtype", "date",
    }  # fmt: skip
    assert done.stderr.endswith(
        f"check: the nodes' answers agree with {predicted}: of 359 samples 0 labels, 0 exits and 0 scores differ, to "
        "the last bit (the same spans on the same runtime and processor)\n"
    )


def test_bench_says_absent_where_no_sample_exits(address: str, offramp: Program) -> None:
    """With T = 0 nobody leaves: the edge's accuracy and latency are null, neither 0 nor NaN."""
    done = offramp("bench", "--edge", address, "--threshold", "0")

    document = json.loads(done.stdout)
    outcome = document["outcome"]
    assert outcome["answered"] == {"cloud": 359}
    assert document["latency_ms"].keys() == {"cloud", "overall"}
    assert outcome["accuracy"] == {"cloud": outcome["overall"]}


@pytest.mark.parametrize(("bound", "code", "verdict"), [("60s", 0, "PASS"), ("0.001ms", 1, "FAIL")])
def test_bench_holds_a_percentile_against_a_bound(
    address: str, predictions_file: Path, offramp: Program, bound: str, code: int, verdict: str
) -> None:
    """Queries arrive at a rate; the answers are checked all the same; a bound that does not hold is exit code 1."""
    load = ("--scenario", "server", "--rate", "200", "--duration", "0.5s", "--count", "50", "--schedule-seed", "3")
    wanted = ("--percentile", "99", "--bound", bound, "--check", str(predictions_file))
    done = offramp("bench", "--edge", address, *load, *wanted)

    assert done.returncode == code, done.stderr
    assert re.search(rf"server: 99 % of \d+ queries took .* ms or less \(nearest rank\): {verdict}, bound", done.stderr)
    assert "agree with" in done.stderr
    document = json.loads(done.stdout)
    asked = {"name": "server", "rate": 200.0, "schedule_seed": 3, "sample_seed": 0, "duration": 0.5, "count": 50}
    assert asked.items() <= document["load"]["scenario"].items()
    assert document["load"]["queries"] >= 50
    assert document["load"]["passed"] is (code == 0)


def test_bench_finds_answers_that_differ(
    address: str, predictions: Predictions, bundle: Bundle, tmp_path: Path, offramp: Program
) -> None:
    """Predictions whose logits are not the nodes' fail the check with exit code 1."""
    logits = {exit_: np.roll(values, 1, axis=1) for exit_, values in predictions.logits.items()}
    wrong = tmp_path / "wrong.parquet"
    Predictions(predictions.header, predictions.index, predictions.labels, logits).write(wrong)

    done = offramp("bench", "--edge", address, "--check", str(wrong))

    assert done.returncode == 1
    assert "DIFFER from" in done.stderr
    assert "first at row 0" in done.stderr


def test_bench_refuses_predictions_of_another_bundle(
    address: str, predictions: Predictions, tmp_path: Path, offramp: Program
) -> None:
    """A comparison with other weights would mean nothing."""
    other = tmp_path / "other.parquet"
    header = predictions.header.model_copy(update={"source": "bundle:" + "0" * 32})
    Predictions(header, predictions.index, predictions.labels, predictions.logits).write(other)

    done = offramp("bench", "--edge", address, "--check", str(other))

    assert done.returncode == 2
    assert "Measure them on the served bundle" in done.stderr


def test_bench_refuses_predictions_of_other_samples_before_it_asks(
    address: str, predictions: Predictions, tmp_path: Path, offramp: Program
) -> None:
    """Nothing is measured in vain: no document is printed. Of the first few alone both are cut."""
    few = tmp_path / "few.parquet"
    predictions.rows(slice(1, None)).write(few)
    done = offramp("bench", "--edge", address, "--check", str(few))
    assert (done.returncode, done.stdout) == (2, "")
    assert "predictions: of 358 samples of digits (test), and to be sent are 359 samples of digits" in done.stderr


def test_bench_sends_so_many_by_another_cut_and_codec(address: str, predictions_file: Path, offramp: Program) -> None:
    """Of one running edge, as with its exit and threshold."""
    done = offramp("bench", "--edge", address, "--threshold", "0", "--cut", "5", "--codec", "fp16", "--samples", "40")
    document = json.loads(done.stdout)
    part = document["plan"]["tiers"]["edge"]
    assert (document["outcome"]["n"], part["cut"], part["codec"]) == (40, 5, "fp16")
    held = offramp("bench", "--edge", address, "--samples", "40", "--check", str(predictions_file))
    assert (held.returncode, "of 40 samples 0 labels" in held.stderr) == (0, True)
    refused = offramp("bench", "--edge", address, "--samples", "360")
    assert refused.returncode == 2
    assert "samples 360: digits has 359 in this split. Ask for fewer." in refused.stderr


def test_bench_asks_for_a_plan_of_a_file(
    address: str, predictions: Predictions, tmp_path: Path, offramp: Program
) -> None:
    """What a request can name; what it cannot is refused before data are read and anything is sent."""
    file = tmp_path / "plan.json"
    # How sure the network is depends on the processor that it was trained on: half leave, and the last few are dropped.
    middle, most = np.quantile(score(softmax(predictions.at(2)[:40])), (0.5, 0.9)).round(6).tolist()
    plan = Plan.of(2, middle, cut=5, codec="fp16", drop_threshold=most)
    plan.write(file)
    done = offramp("bench", "--edge", address, "--samples", "40", "--plan", str(file))
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert Plan.model_validate(document["plan"]) == plan
    options = ("--exit", "2", "--threshold", str(middle), "--cut", "5", "--codec", "fp16")
    by_options = offramp("bench", "--edge", address, "--samples", "40", *options)
    edge, dropped = (found["outcome"] for found in (json.loads(by_options.stdout), document))
    assert edge["dropped"] == 0 < dropped["dropped"]
    assert edge["n"] == dropped["n"] == 40

    Plan.of(2, 0.6, "margin").write(file)
    refused = offramp("bench", "--edge", address, "--plan", str(file), "--data", "nowhere")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"plan {file}: differs from the edge's plan in its score, which" in refused.stderr


def test_bench_shows_on_a_terminal_how_far_it_is(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it takes longer than two seconds, on stderr: the document on stdout stays one."""
    monkeypatch.setenv("TERM", "xterm")
    out, err = io.StringIO(), Terminal()
    load = ("--scenario", "single-stream", "--duration", "2.5s", "--count", "1")
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit, match=r"^0$"):
        main(("bench", "--edge", address, *load))
    # Its seconds begin as the first query's own thread does: some milliseconds after those of --duration.
    assert json.loads(out.getvalue())["load"]["seconds"] > PATIENCE
    assert re.search(r"queries .* \d+/\d+ ", err.shown())
