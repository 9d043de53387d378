"""Real nodes on each runtime and precision against predictions made with the same."""

import json
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from command_line import edge_and_cloud, running
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import tail_name
from offramp.artifacts.engine import PRECISIONS, Engine
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.bench.check import check
from offramp.bench.drive import drive
from offramp.client.describe import describe_edge
from offramp.data.image_set import Splits
from offramp.errors import InputError
from offramp.measure.predict import of_bundle, of_plan
from offramp.protocol.peer import Peer

Program = Callable[..., "subprocess.CompletedProcess[str]"]
needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")
ENGINES = [
    pytest.param(Engine("onnxruntime", "int8"), id="onnxruntime-int8"),
    *(pytest.param(Engine("openvino", precision), marks=needs_openvino, id=f"openvino-{precision}")
      for precision in PRECISIONS),
]  # fmt: skip
PLANS = [Plan.of(3, 0.3), Plan.of(3, 0.3, codec="uint8")]
TIES = {"fp32": 0, "bf16": 10, "int8": 0}  # at most, of 359


def skip_without_bf16(engine: Engine) -> None:
    if engine.precision == "bf16":
        from offramp.runtime.openvino_span import multiplies_bf16

        if not multiplies_bf16():
            pytest.skip("this processor does not multiply in bf16")


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.codec)
@pytest.mark.parametrize("engine", ENGINES)
def test_nodes_give_what_predictions_of_the_same_engine_give(
    engine: Engine, plan: Plan, int8_bundle: Bundle, digits: Splits
) -> None:
    """Labels, exits and scores, to the last bit in fp32 and int8; edge and cloud say what they compute with."""
    skip_without_bf16(engine)
    pixels = int8_bundle.manifest.preprocessing.from_uint8(digits.test.images)
    offline = of_plan(int8_bundle, plan, engine).predict(digits.test, "test")

    with edge_and_cloud(int8_bundle.path, plan, engine=engine) as address, Peer(address) as client:
        served = describe_edge(client)
        driven = drive(client, pixels, batch_size=32, warm_up=0)

    assert (served.engine, served.runtime) == (engine, engine.release)
    assert served.places == (offline.header.place,) * 2
    agreement = check(
        driven.answers, digits.test, offline, bundle_id=int8_bundle.id, plan=plan, engine=served.engine,
        places=served.places,
    )  # fmt: skip
    assert agreement.holds, agreement
    assert (agreement.within == 0) == (engine.precision != "bf16")
    assert agreement.ties <= TIES[engine.precision], "so many left out that the comparison says little"


@needs_openvino
def test_in_fp32_the_runtimes_agree(int8_bundle: Bundle, predictions: Predictions, digits: Splits) -> None:
    """Nodes on OpenVINO give what onnxruntime predicted, by fp32's tolerance: no label, exit or score is another."""
    plan = Plan.of(3, 0.3)
    offline = of_bundle(int8_bundle).predict(digits.test, "test")
    pixels = int8_bundle.manifest.preprocessing.from_uint8(digits.test.images)
    with edge_and_cloud(int8_bundle.path, plan, engine=Engine("openvino")) as address, Peer(address) as client:
        driven = drive(client, pixels, batch_size=32, warm_up=0)

    engine = Engine("openvino")
    agreement = check(driven.answers, digits.test, offline, bundle_id=int8_bundle.id, plan=plan, engine=engine)
    assert agreement.holds, agreement


@needs_openvino
def test_auto_starts_times_and_says_so(bundle: Bundle, predictions: Predictions, digits: Splits) -> None:
    """The line that says ready and the models' configuration hold the choice, its figures and where they are kept."""
    with (
        running("cloud", str(bundle.path), "--port", "0", "--workers", "2", "--precision", "fp32") as cloud,
        running(
            *("edge", str(bundle.path), "--exit", "3", "--threshold", "0.3"),
            *("--cloud", cloud.address(), "--port", "0", "--precision", "fp32"),
        ) as edge,
        Peer(edge.address()) as client,
        Peer(cloud.address()) as tails,
    ):
        served = describe_edge(client)
        said = client.config("classifier", 10)
        assert "ms on openvino" in said["runtime_choice"]
        assert f"{served.runtime} fp32 ({said['runtime_choice']})" in "".join(edge.output)
        assert "ms on openvino" in "".join(cloud.output)
        assert said["runtime_choice"].endswith(("chosen before", ".json"))
        assert tails.config(tail_name(3, "fp32"), 10)["runtime_choice"] in "".join(cloud.output)
        pixels = bundle.manifest.preprocessing.from_uint8(digits.test.images)
        driven = drive(client, pixels, batch_size=32, warm_up=0)
    agreement = check(
        driven.answers, digits.test, predictions, bundle_id=bundle.id, plan=Plan.of(3, 0.3), engine=served.engine
    )
    assert agreement.holds, agreement


def test_predictions_of_another_precision_are_refused(int8_bundle: Bundle, digits: Splits) -> None:
    """int8 answers are not held against fp32 logits, nor one runtime's int8 against the other's."""
    few = digits.test.rows(slice(8))
    plain, quantized = (
        of_bundle(int8_bundle, engine=engine).predict(few, "test")
        for engine in (Engine(), Engine("onnxruntime", "int8"))
    )
    with pytest.raises(InputError) as caught:
        plain.header.check_engine(Engine("onnxruntime", "int8"))
    assert str(caught.value) == (
        "predictions: measured with onnxruntime fp32, and the nodes compute with onnxruntime int8. Measure them alike: "
        "offramp predict BUNDLE --runtime onnxruntime --precision int8"
    )
    with pytest.raises(InputError, match="the nodes compute with openvino int8"):
        quantized.header.check_engine(Engine("openvino", "int8"))
    quantized.header.check_engine(Engine("onnxruntime", "int8"))
    plain.header.check_engine(Engine("openvino", "fp32"))


def test_predict_records_what_it_ran_on(int8_bundle: Bundle, tmp_path: Path, offramp: Program) -> None:
    """In the file, and on the terminal."""
    out = tmp_path / "predictions.parquet"
    done = offramp(
        *("predict", str(int8_bundle.path), "--out", str(out), "--runtime", "onnxruntime", "--precision", "int8")
    )
    assert done.returncode == 0, done.stderr
    release = Engine("onnxruntime", "int8").release
    assert done.stdout.endswith(
        f"onnxruntime int8\nroute: the whole graph in one piece, of UINT8 images, on {release} int8\n"
    )
    header = Predictions.read(out).header
    assert (header.runtime, header.precision) == ("onnxruntime", "int8")


def test_old_predictions_are_onnxruntimes_in_fp32(predictions: Predictions) -> None:
    """A file that was written before there was a choice is read as what it was."""
    document = json.loads(predictions.header.to_json())
    for name in ("runtime", "precision", "active", "image", "release", "hardware"):
        del document[name]
    document["version"] = 1
    header = type(predictions.header).parse(json.dumps(document), "old")
    assert header == predictions.header.model_copy(update={"release": "", "hardware": ""})
    assert (header.active, header.route) == (None, "the whole graph in one piece")
    assert np.array_equal(header.exits, predictions.header.exits)


@pytest.mark.parametrize(
    ("verb", "options", "message"),
    [
        (
            "serve edge",
            ["--runtime", "tflite"],
            "runtime 'tflite': unknown. Choose one of auto, onnxruntime, openvino.",
        ),
        ("serve cloud", ["--precision", "fp4"], "precision 'fp4': unknown. Choose one of auto, fp32, bf16, int8."),
        ("predict", ["--precision", "half"], "precision 'half': unknown. Choose one of auto, fp32, bf16, int8."),
        (
            "serve cloud",
            ["--runtime", "onnxruntime", "--precision", "bf16"],
            "precision bf16: onnxruntime multiplies in fp32 and int8. Choose --runtime openvino.",
        ),
        (
            "serve edge",
            ["--precision", "int8"],
            "precision int8: {} holds no int8 graph. Export it with: offramp export CHECKPOINT --int8",
        ),
    ],
)
def test_what_cannot_be_had_ends_with_two(
    bundle: Bundle, verb: str, options: list[str], message: str, offramp: Program
) -> None:
    """One message and exit code 2; nothing is served."""
    plan = ["--cut", "9", "--port", "0"] if verb == "serve edge" else []
    done = offramp(*verb.split(), str(bundle.path), *plan, *options)
    assert (done.returncode, done.stderr) == (2, f"offramp: error: {message.format(bundle.path)}\n")


def test_a_checkpoint_runs_on_torch(bundle: Bundle, offramp: Program) -> None:
    """Asked for another runtime, it says what to do."""
    done = offramp("predict", str(bundle.path.parent), "--precision", "int8")
    assert done.returncode == 2
    assert done.stderr == (
        f"offramp: error: {bundle.path.parent}: a checkpoint runs on torch in fp32. "
        "Export it, and predict the bundle.\n"
    )
