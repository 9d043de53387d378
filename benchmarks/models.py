"""Whether other people's networks can be cut: boundaries, exits and exactness, of each of `foreign/networks.py`.

    python benchmarks/models.py --environment venv --write

Makes an environment with torchvision, timm and transformers (--environment: a folder that is kept), exports each
network there with random weights, in a process of its own, finds its boundaries here, in another, and attaches three
exits before its own. Each boundary that is offered was cut, and its halves compared with the whole.

offered      boundaries, of them at the end of a block
refused      places that are none, each with a reason
exits        of three that are asked for, those that came, on which the staged graph gives the network's own answers
difference   halves against whole, the largest over all boundaries offered, as a share of the largest logit
export, find processor seconds, to a graph and from its file to checked boundaries, on one core each

`--write` writes the table into docs/models.md and all of it into results/models/models.json.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from alternate import last_line, show
from foreign.networks import ALL, FIELD, Network
from offramp.artifacts.measurement import Conditions
from offramp.graphs.boundaries import find_boundaries
from offramp.graphs.choose import choose_exits
from offramp.graphs.inputs import adapted
from offramp.graphs.look import Noise
from offramp.graphs.source import GraphSource, read_graph
from offramp.graphs.spec import InputSpec
from offramp.graphs.stages import input_names, staged
from offramp.machine import here
from offramp.runtime.onnx_span import RUNTIME, OnnxSpan

ROOT = Path(__file__).parents[1]
INSIDE = Path(__file__).parent / "foreign" / "export.py"
PAGE, RECORD = ROOT / "docs" / "models.md", ROOT / "results" / "models" / "models.json"
MARKS = ("<!-- benchmarks/models.py -->", "<!-- end -->")

# torch 2.14.1 is what torchvision 0.29.1 was built beside; the project's own does not matter there.
REQUIREMENTS = (
    "torch==2.14.1", "torchvision==0.29.1", "timm==1.0.29", "transformers==5.17.0", "onnxscript==0.7.2",
    "onnx>=1.20", "onnxruntime==1.32.0", "pydantic>=2.12",
)  # fmt: skip
EXITS = 3  # before the network's own
ENOUGH = 0.9  # share of networks with so many
LIMIT = 900.0  # seconds for each of a network's two steps


def environment(folder: Path) -> Path:
    """Make the environment, if it is not there; give its python."""
    python = folder / "bin" / "python"
    if not (folder / "made").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
        (folder / "made").touch()
    return python


def attempt(core: int, command: Sequence[str | Path]) -> dict[str, Any]:
    """Run a step on one core; give the JSON of its last line, or why there is none."""
    paths = os.pathsep.join(map(str, (ROOT / "src", INSIDE.parent)))
    try:
        done = subprocess.run(
            ["taskset", "-c", str(core), *map(str, command)],
            env={**os.environ, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"took more than {LIMIT:g} s"}
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        return {"failed": lines[-1] if lines else f"ended with {done.returncode}"}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def inspect(file: Path, network: Network) -> dict[str, Any]:
    """What can be done with an exported network."""
    start = time.process_time()
    source = read_graph(file)
    if len(network.shape) == 1:  # the mask is made of the ids, as a node makes it
        source = adapted(source, InputSpec(kind="text"))
    found = find_boundaries(source)
    seconds = time.process_time() - start
    count = min(EXITS, len(found.offered))
    chosen = choose_exits(found, count + 1) if count else ()
    graph = staged(source, chosen)
    apart = difference(source, graph, len(chosen))
    return {
        "find_s": round(seconds, 2),
        "macs": found.macs,
        "offered": len(found.offered),
        "ends": sum(one.at == "end" for one in found.offered),
        "carrying": sum(len(one.tensors) > 1 for one in found.offered),
        "refused": [[one.name, one.why] for one in found.refused],
        "difference": max((one.tolerance for one in found.offered), default=0.0),
        "exits": [
            {
                "name": one.name,
                "kind": one.kind,
                "shapes": list(one.tensors.values()),
                "share": round(one.macs_before / found.macs, 4),
            }
            for one in chosen
        ],
        "staged_difference": apart,
        "memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def difference(source: GraphSource, graph: bytes, cuts: int) -> float:
    """How far a staged graph's logits are from the network's own, of the largest; a batch of 3."""
    fed = Noise.for_(source.model.graph, source.inputs).batch(3, seed=3)
    names, last = input_names(source), f"features_{cuts + 1}"
    whole = OnnxSpan(source.model.SerializeToString(), tuple(fed), {source.output: source.output})
    parts = OnnxSpan(graph, tuple(names[name] for name in fed), {last: last})
    truth = whole.run(*fed.values())[source.output]
    found = parts.run(*(values.astype(np.float32) for values in fed.values()))[last]
    return float(np.abs(found - truth).max() / np.abs(truth).max())


def measured(place: int, python: Path, folder: Path) -> dict[str, Any]:
    """One network through both steps."""
    network, file = ALL[place], folder / f"{place}.onnx"
    cores = sorted(os.sched_getaffinity(0))
    core = cores[place % len(cores)]
    found: dict[str, Any] = {
        "package": network.package, "network": network.title, "of": network.of, "field": network in FIELD,
    }  # fmt: skip
    found |= attempt(core, [python, INSIDE, str(place), file])
    if "failed" not in found:
        found |= attempt(core, [sys.executable, Path(__file__).resolve(), "--inspect", f"{place}:{file}"])
    file.unlink(missing_ok=True)
    found["usable"] = len(found.get("exits", ())) if found.get("staged_difference", 1.0) <= 1e-4 else 0
    return found


COLUMNS = (
    "network", "offered (ends)", "refused", "exits", "at (share of MACs)", "difference", "export, s", "find, s",
    "MACs, M", "ONNX, MB",
)  # fmt: skip


def row(found: dict[str, Any]) -> tuple[str, ...]:
    """Its row of the table."""
    name = f"{found['package']} {found['network']}" + (f" ({found['of']})" if found["of"] else "")
    if "failed" in found:
        why = found["failed"].removeprefix("offramp.errors.").replace("|", "\\|")
        return (name, "", "", "0", why, "", f"{found.get('export_s', '')}", "", "", "")
    exits = ", ".join(f"{one['name']} {one['share']:.0%}" for one in found["exits"])
    return (
        name,
        f"{found['offered']} ({found['ends']})",
        str(len(found["refused"])),
        str(found["usable"]),
        exits,
        f"{max(found['difference'], found['staged_difference']):.0e}",
        f"{found['export_s']:.0f}",
        f"{found['find_s']:.0f}",
        f"{found['macs'] / 1e6:,.0f}",
        f"{found['bytes'] / 1e6:,.0f}",
    )


def told(found: list[dict[str, Any]]) -> dict[str, Any]:
    """What came of it all."""
    good = sum(one["usable"] >= EXITS for one in found)
    share = good / len(found)
    return {"networks": len(found), "three_or_more_exits": good, "share": share, "passes": share >= ENOUGH}


def write(found: list[dict[str, Any]], conditions: Conditions) -> None:
    """Put the table on its page, and everything into a file beside the other results."""
    figures = told(found)
    lines = [
        "| " + " | ".join(COLUMNS) + " |",
        "|" + " --- |" + " ---: |" * 3 + " --- |" + " ---: |" * 5,
        *("| " + " | ".join(cells) + " |" for cells in map(row, found)),
        "",
        f"{figures['three_or_more_exits']} of {figures['networks']} have three usable exits or more before their own: "
        f"{figures['share']:.0%}. Commit {conditions.commit}, {conditions.hardware}, {conditions.cores} cores, "
        f"{conditions.runtime}, {', '.join(REQUIREMENTS[:4])}, {conditions.date}.",
    ]
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.split(MARKS[0])[0], text.split(MARKS[1])[1]
    PAGE.write_text(before + "\n".join((MARKS[0], *lines, MARKS[1])) + after, encoding="utf-8")
    RECORD.parent.mkdir(parents=True, exist_ok=True)
    record = {**figures, "each": found, "conditions": conditions.model_dump(mode="json"), "requirements": REQUIREMENTS}
    RECORD.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", type=Path, help="folder of the environment, kept; default: one that is not")
    parser.add_argument("--only", action="append", help="networks whose name holds this; repeat for several")
    parser.add_argument("--quick", action="store_true", help="resnet18 and mobilenet_v3_small: to see that it runs")
    parser.add_argument("--write", action="store_true", help="into docs/models.md and results/models")
    parser.add_argument("--jobs", type=int, default=1, help="networks at a time")
    parser.add_argument("--inspect", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inspect:
        place, file = options.inspect.split(":", 1)
        print(json.dumps(inspect(Path(file), ALL[int(place)])))
        return
    only = options.only or (["resnet18", "mobilenet_v3_small"] if options.quick else [""])
    places = [place for place, one in enumerate(ALL) if any(part in one.title for part in only)]
    conditions = Conditions(**here(), batch_size=5, link="none", runtime=RUNTIME, dtype="fp32")
    with tempfile.TemporaryDirectory() as folder:
        python = environment(options.environment or Path(folder) / "environment")
        found = []
        with ThreadPoolExecutor(options.jobs) as pool:
            for one in pool.map(partial(measured, python=python, folder=Path(folder)), places):
                found.append(one)
                print(" | ".join(row(one)), flush=True)
                if options.write:
                    write(found, conditions)
    show(f"{len(found)} networks, {EXITS} exits asked for before each one's own", COLUMNS, list(map(row, found)))
    last_line("models", told(found), conditions, exits=EXITS, requirements=REQUIREMENTS)
    sys.exit(not told(found)["passes"])


if __name__ == "__main__":
    main()
