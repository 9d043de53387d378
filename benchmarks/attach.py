"""Exits on a backbone that stays as it is: offramp's against earlyon's, on the same data for as many epochs.

    python benchmarks/attach.py backbones/resnet --exits layer1.1,layer2.0,layer2.1 --data data/cifar10

The backbone is one of `backbones.py`. Compared are the accuracy at each exit, what each mean number of multiply-adds
gives (one threshold on the entropy for all exits, heads counted), and in turns the time of a sample alone and the
throughput of batches of 32, with real early exits, on one thread, at the threshold at which each loses at most a point
on held-out samples. Attaching, export to a graph aside, has to end within two passes of the samples through the bare
runtime and a minute. earlyon runs on torch in an environment of its own (`peers/setup.sh`).
"""

import argparse
import json
import resource
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from alternate import Spread, last_line, ratio, show
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Engine
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.plan import Plan
from offramp.artifacts.preprocessing import Preprocessing
from offramp.attaching import attach
from offramp.data.image_set import Splits
from offramp.data.load import load
from offramp.exits.score import normalized_entropy, softmax
from offramp.export.write import export
from offramp.graphs.configs import read_config
from offramp.graphs.source import parse_graph
from offramp.machine import here
from offramp.measure.predict import of_bundle
from offramp.nodes.edge import Edge
from offramp.runtime.onnx_span import OnnxSpan
from offramp.train.heads import HeadRecipe

HERE = Path(__file__).parent
PYTHON = "earlyon/bin/python"
GRID = np.round(np.arange(0.0, 1.001, 0.02), 3)  # thresholds on normalized entropy
LOSS = 0.01  # of accuracy, that the timed thresholds may cost
HIDDEN = 128  # of earlyon's heads
SINGLE, BATCHED = 200, 1024  # images a round
SHORTEST = 1.5  # times earlyon's throughput at batch 32, at least


@dataclass(frozen=True)
class Exits:
    """A contender's logits `(exits, N, classes)` on some samples, the last exit's behind; MACs of leaving at each."""

    logits: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    macs: tuple[float, ...]

    def accuracies(self) -> list[float]:
        """Every sample at each exit."""
        return [round(float((one.argmax(1) == self.labels).mean()), 4) for one in self.logits]

    def curve(self) -> list[tuple[float, float]]:
        """For each threshold the mean MACs and the accuracy."""
        scores = np.array([normalized_entropy(softmax(one)) for one in self.logits])
        right = np.array([one.argmax(1) == self.labels for one in self.logits])
        points = []
        for threshold in GRID:
            leaves = scores < threshold
            leaves[-1] = True
            at = leaves.argmax(axis=0)
            points.append((float(np.array(self.macs)[at].mean()), float(right[at, np.arange(at.size)].mean())))
        return points

    def threshold(self) -> float:
        """The largest by which at most `LOSS` is lost."""
        least = self.accuracies()[-1] - LOSS
        return float(max(t for t, (_, right) in zip(GRID, self.curve(), strict=True) if right >= least))


class Peer:
    """earlyon in its environment, a JSON object a line."""

    def __init__(self, python: Path) -> None:
        script = HERE / "peers" / "earlyon_exits.py"
        self.process = subprocess.Popen(
            [python, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE
        )

    def ask(self, **asked: Any) -> dict[str, Any]:
        """Wait for its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):  # it has ended, and says below with what
            print(json.dumps(asked), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"earlyon ended with status {self.process.wait(timeout=60)}. Set it up: peers/setup.sh")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()


def ours(asked: argparse.Namespace, splits: Splits, folder: Path) -> tuple[Bundle, float]:
    """Attach, train heads and export; seconds of the first two."""
    backbone = Path(asked.backbone)
    spec = read_config(backbone / "preprocessor_config.json")
    start = time.perf_counter()
    checkpoint = attach(
        backbone / "model.onnx", exits=asked.exits, data=splits, out=folder / "run", input=spec, seed=asked.seed,
        recipe=HeadRecipe(epochs=asked.epochs), threads=1,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    return export(checkpoint, folder / "bundle", splits.calibration), seconds


def bare(asked: argparse.Namespace, splits: Splits) -> float:
    """Seconds of one pass of the training samples through the graph as it came, on onnxruntime and one thread."""
    graph = (Path(asked.backbone) / "model.onnx").read_bytes()
    source = parse_graph(graph, "model.onnx")
    span = OnnxSpan(graph, (next(iter(source.inputs)),), {source.output: source.output}, threads=1)
    pixels = Preprocessing(channels=3, height=32, width=32).from_uint8(splits.train.images)
    start = time.perf_counter()
    for at in range(0, len(pixels), 256):
        span.run(pixels[at : at + 256])
    return time.perf_counter() - start


def theirs(peer: Peer, asked: argparse.Namespace, splits: Splits, bundle: Bundle, folder: Path) -> tuple[Any, float]:
    """The same by earlyon: logits on calibration and test samples, and its seconds."""
    held = np.concatenate([splits.calibration.images, splits.test.images])
    np.savez(folder / "arrays.npz", train=splits.train.images, labels=splits.train.labels, test=held)
    stages = bundle.manifest.stages[:-1]
    tokens = len(next(iter(stages[0].tensors.values()))) == 2
    layers = {stage.name: next(iter(stage.tensors.values()))[-1 if tokens else 0] for stage in stages}
    trained = peer.ask(
        do="train", network=asked.network, weights=str(Path(asked.backbone).resolve() / "model.safetensors"),
        arrays=str(folder / "arrays.npz"), layers=layers, pool="cls" if tokens else "mean", epochs=asked.epochs,
        out=str(folder / "theirs.npy"), threads=1, seed=asked.seed,
    )  # fmt: skip
    return np.load(folder / "theirs.npy"), trained["seconds"]


def costs(bundle: Bundle, heads: list[int]) -> tuple[float, ...]:
    """MACs of a sample that leaves at each exit, having passed every head before it."""
    stages = np.cumsum([stage.macs for stage in bundle.manifest.stages])
    return tuple(float(macs + sum(heads[: place + 1])) for place, macs in enumerate(stages))


def ahead(mine: Exits, other: Exits) -> tuple[float, int]:
    """The least lead in accuracy at no more MACs than each of their points costs, and how many points there are."""
    points = np.array(mine.curve())
    leads = []
    for cost, right in sorted(set(other.curve())):
        within = points[points[:, 0] <= cost]
        if len(within):
            leads.append(float(within[:, 1].max()) - right)
    return round(min(leads), 4), len(leads)


def timed(
    asked: argparse.Namespace, peer: Peer, bundle: Bundle, splits: Splits, at: dict[str, float]
) -> dict[str, Any]:
    """Both in turns, from the same images."""
    last, classes = bundle.manifest.last, len(bundle.manifest.classes)
    active = [{"exit": exit_, "threshold": at["ours"]} for exit_ in bundle.manifest.exits[:-1]]
    edge = Edge(bundle, Plan.checked(active=active, cut=last), threads=1)
    pixels = bundle.manifest.preprocessing.from_uint8(splits.test.images[: max(SINGLE, BATCHED)])
    nats = [at["earlyon"] * float(np.log(classes))] * (last - 1)
    found: dict[str, list[float]] = {"p50": [], "p50_peer": [], "batch": [], "batch_peer": []}
    for turn in range(-1, asked.rounds):
        for batch, images, key in ((1, SINGLE, "p50"), (32, BATCHED, "batch")):
            seconds = []
            for start in range(0, images, batch):
                begin = time.perf_counter()
                edge.infer(pixels[start : start + batch])
                seconds.append(time.perf_counter() - begin)
            first = len(splits.calibration)
            other = peer.ask(do="time", thresholds=nats, first=first, images=images, batch=batch)
            if turn >= 0:
                found[key].append(float(np.median(seconds)) if key == "p50" else sum(seconds) / images)
                found[f"{key}_peer"].append(other["p50"] if key == "p50" else other["seconds"] / images)
    return {
        "p50_ms": Spread.of([1000 * s for s in found["p50"]]),
        "p50_ms_earlyon": Spread.of([1000 * s for s in found["p50_peer"]]),
        "images_per_second_at_32": Spread.of([1 / s for s in found["batch"]]),
        "images_per_second_at_32_earlyon": Spread.of([1 / s for s in found["batch_peer"]]),
        "faster_at_1": ratio(found["p50_peer"], found["p50"]),
        "faster_at_32": ratio(found["batch_peer"], found["batch"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backbone", help="Folder of backbones.py")
    parser.add_argument("--network", default="resnet", choices=("resnet", "vit"))
    parser.add_argument("--exits", default="layer1.1,layer2.0,layer2.1", help="Boundaries, which are its layers too")
    parser.add_argument("--data", required=True)
    parser.add_argument("--samples", type=int, default=10_000, help="Of training")
    parser.add_argument("--epochs", type=int, default=20, help="Of the heads; earlyon's default")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peers", type=Path, default=HERE / "peers" / "venvs")
    asked = parser.parse_args()
    splits = load(asked.data, (3, 32, 32), seed=asked.seed)
    splits = replace(splits, train=splits.train.rows(slice(asked.samples)), record=None)
    with tempfile.TemporaryDirectory() as folder, Peer(asked.peers.resolve() / PYTHON) as peer:
        figures = compared(asked, splits, Path(folder), peer)
    conditions = Conditions(**here(), batch_size=32, link="none", runtime="onnxruntime and torch", dtype="fp32")
    settings = {key: value for key, value in vars(asked).items() if key not in ("peers", "backbone")}
    last_line("attach", figures, conditions, **settings)


def compared(asked: argparse.Namespace, splits: Splits, folder: Path, peer: Peer) -> dict[str, Any]:
    """Train both, hold them against each other, and time them."""
    peer.ask(do="start")  # before minutes are spent
    once = bare(asked, splits)
    bundle, seconds = ours(asked, splits, folder)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    other, other_seconds = theirs(peer, asked, splits, bundle, folder)
    manifest, held = bundle.manifest, len(splits.calibration)
    predictor = of_bundle(bundle, engine=Engine(threads=1))
    parts = [predictor.predict(splits.part(name), name) for name in ("calibration", "test")]
    mine = np.concatenate([np.array([part.logits[k] for k in manifest.exits]) for part in parts], axis=1)
    labels = np.concatenate([splits.calibration.labels, splits.test.labels])
    widths = [next(iter(stage.tensors.values())) for stage in manifest.stages[:-1]]
    classes = len(manifest.classes)
    macs = {
        "ours": costs(bundle, [head.macs for head in manifest.heads]),
        "earlyon": costs(bundle, [HIDDEN * ((w[0] if len(w) == 3 else w[-1]) + classes) for w in widths] + [0]),
    }
    both = {"ours": mine, "earlyon": other}
    tests = {who: Exits(one[:, held:], labels[held:], macs[who]) for who, one in both.items()}
    at = {who: Exits(one[:, :held], labels[:held], macs[who]).threshold() for who, one in both.items()}
    times = timed(asked, peer, bundle, splits, at)
    accuracy = {who: one.accuracies() for who, one in tests.items()}
    names = [stage.name for stage in manifest.stages[:-1]] + ["last"]
    rows = [[name, *(f"{100 * accuracy[who][place]:.2f}" for who in both)] for place, name in enumerate(names)]
    show(f"accuracy at each exit, %, {asked.network}", ["exit", *both], rows)
    lead, points = ahead(tests["ours"], tests["earlyon"])
    better = all(a >= b for a, b in zip(*accuracy.values(), strict=True)) and lead >= 0
    quick = seconds <= 2 * once + 60
    return {
        "exits": names,
        "accuracy": accuracy,
        "macs": macs,
        "threshold": at,
        "least_lead": lead,
        "points": points,
        "seconds_of_one_pass": round(once, 1),
        "seconds_of_attaching": round(seconds, 1),
        "seconds_of_earlyon": round(other_seconds, 1),
        "memory_mb": round(memory),
        **times,
        "ahead": better,
        "quick": quick,
        "passes": better and quick and times["faster_at_32"].median >= SHORTEST,
    }


if __name__ == "__main__":
    main()
