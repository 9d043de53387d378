"""What a node takes: packages and megabytes of its install, seconds from its start to ready, memory at rest.

Installs offramp without extras into a new virtual environment, by the constraints file, from this checkout. Memory is
the resident set of a node that has answered once and has nothing to do.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from alternate import Spread, last_line, memory_kib, show
from offramp.artifacts.bundle import IMAGE, Bundle
from offramp.artifacts.codec import tail_name
from offramp.artifacts.measurement import Conditions
from offramp.export.write import export
from offramp.machine import here
from offramp.nodes.contract import CLASSIFIER
from offramp.protocol.peer import Peer
from offramp.runtime.onnx_span import RUNTIME
from untrained import architecture_of, noise, untrained

ROOT = Path(__file__).parents[1]
WAIT = 120.0


def install(folder: Path) -> dict[str, Any]:
    """Make the environment; count its packages (pip apart) and the megabytes beside an empty one."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin/python"
    empty = megabytes(folder)
    start = time.perf_counter()
    subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "--constraint", str(ROOT / "constraints.txt"), str(ROOT)],
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
    options = parser.parse_args()
    architecture = architecture_of("small", "mem")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = export(untrained(architecture, folder), folder / "bundle", noise(architecture, 64))
        installed = install(folder / "venv")
        nodes = {
            "edge": (["edge", str(bundle.path), "--cut", str(bundle.manifest.last)], CLASSIFIER),
            "cloud": (["cloud", str(bundle.path)], tail_name(0, "fp32")),
        }
        found: dict[str, list[tuple[float, float]]] = {node: [] for node in nodes}
        for position in range(-1, options.rounds):  # the first start compiles Python's bytecode
            for node, (arguments, model) in nodes.items():
                taken = start_once(folder / "venv/bin/python", arguments, bundle, model)
                if position >= 0:
                    found[node].append(taken)
    figures = {
        "install": installed,
        "seconds_to_ready": {node: Spread.of([seconds for seconds, _ in values]) for node, values in found.items()},
        "megabytes_at_rest": {node: Spread.of([memory for _, memory in values]) for node, values in found.items()},
    }
    show(
        f"A node's install: {installed['packages']} packages, {installed['megabytes']} MB",
        ("", "seconds to ready", "MB at rest"),
        [(n, figures["seconds_to_ready"][n].show(), figures["megabytes_at_rest"][n].show()) for n in nodes],
        f"Median (least to most) of {options.rounds} starts; small mem, one thread, onnxruntime.",
    )
    last_line(
        "node", figures, Conditions(**here(), batch_size=1, link="loopback, unshaped", runtime=RUNTIME, dtype="fp32")
    )


if __name__ == "__main__":
    main()
