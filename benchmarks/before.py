"""Hold this build against another checkout of offramp, in turn: the edge as a library, over HTTP and over gRPC.

    git worktree add ../before COMMIT && python benchmarks/before.py ../before

Both run the packaged network whole at the edge, onnxruntime fp32, one thread, each from its own sources in processes of
its own; both nodes are asked by one client. Passes where no median ratio, the other's time over ours, is below
`--least`. What either build is made of is not known here: both are asked by the command line and by `offramp.Edge`.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http

from alternate import Spread, alternate, last_line, ratio, show
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.pretrained import pretrained
from offramp.machine import here

ROOT = Path(__file__).parents[1]
BATCHES = (1, 32)
SIZE = {1: 400, 32: 24}  # calls of a round, of which the median is taken
SHAPE = (3, 32, 32)
# What a build's own interpreter does as a library: a line with how many calls of how large a batch, a line when done.
LIBRARY = """
import sys
import numpy as np
import offramp
from offramp.artifacts.bundle import Bundle
bundle = Bundle.open(sys.argv[1])
edge = offramp.Edge(bundle, offramp.Plan.of(bundle.manifest.last, 0.0), threads=1)
images = np.random.default_rng(0).random((32, *bundle.manifest.preprocessing.shape), np.float32)
print("ready", flush=True)
for line in sys.stdin:
    batch = images[: int(line)]
    edge.infer(batch)
    print("done", flush=True)
"""


def environment(tree: Path) -> dict[str, str]:
    """Of a process that runs a checkout's sources."""
    return os.environ | {"PYTHONPATH": str(tree / "src"), "PYTHONUNBUFFERED": "1"}


@contextmanager
def process(tree: Path, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A process of a checkout, ended with the block."""
    with subprocess.Popen(
        [sys.executable, *arguments], env=environment(tree), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as started:
        try:
            yield started
        finally:
            started.terminate()
            started.communicate()  # what it says at its end is read: else it complains


def library(held: ExitStack, tree: Path, bundle: Path, batch: int) -> Callable[[], object]:
    """A call of `Edge.infer` in the build's own process."""
    child = held.enter_context(process(tree, "-c", LIBRARY, str(bundle)))
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdout.readline()

    def call() -> None:
        print(batch, file=child.stdin, flush=True)
        assert child.stdout is not None
        assert child.stdout.readline() == "done\n"

    return call


def asked(held: ExitStack, tree: Path, bundle: Path, batch: int) -> dict[str, Callable[[], object]]:
    """A call of the build's node over each protocol, by an unmodified tritonclient."""
    how = ("--exit", "9", "--threshold", "0", "--threads", "1", "--runtime", "onnxruntime", "--precision", "fp32")
    node = held.enter_context(process(tree, "-m", "offramp", "serve", "edge", str(bundle), *how, "--port", "0"))
    assert node.stdout is not None
    words = node.stdout.readline().split()
    image = np.random.default_rng(0).random((batch, *SHAPE), np.float32)
    calls: dict[str, Callable[[], object]] = {}
    for name, module, address in (("HTTP", over_http, words[words.index("http") + 1]), ("gRPC", over_grpc, words[1])):
        client = module.InferenceServerClient(address)
        held.callback(client.close)
        tensor = module.InferInput("image", list(image.shape), "FP32")
        tensor.set_data_from_numpy(image)
        calls[name] = lambda client=client, tensor=tensor: client.infer("classifier", [tensor])
    return calls


def contenders(held: ExitStack, tree: Path, bundle: Path, batch: int) -> dict[str, Callable[[], object]]:
    """Every way in of a build."""
    return {"library": library(held, tree, bundle, batch), **asked(held, tree, bundle, batch)}


def main() -> None:
    """Time, print, and say whether it passes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="a checkout of the other build")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--least", type=float, default=0.95, help="smallest median ratio that passes")
    parser.add_argument("--quick", action="store_true", help="two rounds: only to see that it runs")
    options = parser.parse_args()
    rounds, bundle = 2 if options.quick else options.rounds, pretrained() / "bundle"
    found: dict[str, dict[str, Spread]] = {}
    for batch in BATCHES:
        with ExitStack() as held:
            ours, theirs = (contenders(held, tree, bundle, batch) for tree in (ROOT, options.before))
            for way in ours:
                turns = {"this": ours[way], "before": theirs[way]}
                times = alternate(turns, rounds=rounds, repeats=1 if options.quick else SIZE[batch], warm_up=2)
                spreads = {name: Spread.of(times[name]) for name in turns}
                found[f"{way}, batch {batch}"] = spreads | {"ratio": ratio(times["before"], times["this"])}
    rows = [
        [name, *(it[key].show(1000) for key in ("this", "before")), it["ratio"].show()] for name, it in found.items()
    ]
    show(
        f"This build against {options.before}, {rounds} rounds in turn", ("", "ms", "before, ms", "before / this"), rows
    )
    passed = all(it["ratio"].median >= options.least for it in found.values())
    conditions = Conditions(batch_size=0, link="loopback", runtime="onnxruntime", dtype="fp32", **here())
    last_line("before", found, conditions, rounds=rounds, least=options.least, passed=passed)
    sys.exit(not passed)


if __name__ == "__main__":
    main()
