"""What a node takes: packages and megabytes of its install, seconds from its start to ready, memory at rest.

Installs offramp without extras into a new virtual environment, by the constraints file, from this checkout; with
`--before` from another one as well, and starts the nodes of both in turn. Memory is the resident set of a node that has
answered once and has nothing to do.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from alternate import Spread, last_line, memory_kib, ratio, show
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import tail_name
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.stages import IMAGE
from offramp.export.write import export
from offramp.machine import here
from offramp.nodes.contract import CLASSIFIER
from offramp.protocol.peer import Peer
from offramp.runtime.onnx_span import RUNTIME
from untrained import architecture_of, noise, untrained

ROOT = Path(__file__).parents[1]
WAIT = 120.0


def install(folder: Path, tree: Path) -> dict[str, Any]:
    """Make the environment of a checkout; count its packages (pip apart) and the megabytes beside an empty one."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin/python"
    empty = megabytes(folder)
    start = time.perf_counter()
    subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "--constraint", str(tree / "constraints.txt"), str(tree)],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - start
    listed = subprocess.run([str(python), "-m", "pip", "list", "--format", "json"], check=True, capture_output=True)
    names = sorted({package["name"] for package in json.loads(listed.stdout)} - {"pip", "setuptools", "wheel"})
    return {
        "packages": len(names),
        "names": names,
        "megabytes": round(megabytes(folder) - empty, 1),
        "seconds": round(seconds, 1),
    }


def megabytes(folder: Path) -> float:
    """Size of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6


def start_once(python: Path, arguments: list[str], bundle: Bundle, model: str) -> tuple[float, float]:
    """Start a node, have it answer, stop it; give seconds to ready and megabytes at rest."""
    start = time.perf_counter()
    node = subprocess.Popen(
        [
            str(python),
            "-m",
            "offramp",
            "serve",
            *arguments,
            "--port",
            "0",
            "--threads",
            "1",
            "--runtime",
            "onnxruntime",
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT.parent,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},  # what was installed, alone
    )
    try:
        assert node.stdout is not None
        words = node.stdout.readline().split()
        seconds = time.perf_counter() - start
        if words[:1] != ["ready"]:
            raise SystemExit(f"the node did not start: {' '.join(words)}")
        with Peer(words[1]) as client:
            client.infer(model, {IMAGE: np.zeros((1, *bundle.manifest.preprocessing.shape), np.float32)}, timeout=WAIT)
        time.sleep(1)
        return seconds, memory_kib(node.pid) / 1000
    finally:
        node.terminate()
        node.wait(WAIT)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="starts of each node")
    parser.add_argument("--before", type=Path, help="a checkout of another build, to start in turn")
    options = parser.parse_args()
    architecture = architecture_of("small", "mem")
    trees = {"this": ROOT} | ({} if options.before is None else {"before": options.before.resolve()})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = export(untrained(architecture, folder), folder / "bundle", noise(architecture, 64))
        installed = {build: install(folder / build, tree) for build, tree in trees.items()}
        nodes = {
            "edge": (["edge", str(bundle.path), "--cut", str(bundle.manifest.last)], CLASSIFIER),
            "cloud": (["cloud", str(bundle.path)], tail_name(0, "fp32")),
        }
        found: dict[tuple[str, str], list[tuple[float, float]]] = {(n, build): [] for n in nodes for build in trees}
        for position in range(-1, options.rounds):  # the first start compiles Python's bytecode, where pip has not
            for (node, build), taken in found.items():
                arguments, model = nodes[node]
                started = start_once(folder / build / "bin/python", arguments, bundle, model)
                if position >= 0:
                    taken.append(started)
    seconds, memory = ({key: [one[at] for one in taken] for key, taken in found.items()} for at in (0, 1))
    figures: dict[str, Any] = {"install": installed, "seconds_to_ready": {}, "megabytes_at_rest": {}}
    for node, build in found:
        figures["seconds_to_ready"][f"{node}, {build}"] = Spread.of(seconds[node, build])
        figures["megabytes_at_rest"][f"{node}, {build}"] = Spread.of(memory[node, build])
        if build == "before":
            figures["seconds_to_ready"][f"{node}, this / before"] = ratio(seconds[node, "this"], seconds[node, build])
    sizes = "; ".join(
        f"{build} {told['packages']} packages, {told['megabytes']} MB" for build, told in installed.items()
    )
    show(
        f"A node's install: {sizes}",
        ("", "seconds to ready", "MB at rest"),
        [
            (n, of.show(), figures["megabytes_at_rest"][n].show() if n in figures["megabytes_at_rest"] else "")
            for n, of in figures["seconds_to_ready"].items()
        ],
        f"Median (least to most) of {options.rounds} starts; small mem, one thread, onnxruntime.",
    )
    last_line(
        "node", figures, Conditions(**here(), batch_size=1, link="loopback, unshaped", runtime=RUNTIME, dtype="fp32")
    )


if __name__ == "__main__":
    main()
