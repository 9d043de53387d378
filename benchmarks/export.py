"""Export: time of both exporters, of the whole step with its gate, of making a span ready, and sizes on disk.

torchscript, dynamo  `to_onnx`: from a network to a graph, by either exporter, alternating
export               `offramp.export.write.export`: graph, parity gate, codec ranges and accuracies, files
cut out              one span's graph out of the bundle's, as a node does when it loads
session              from that graph to a session that has answered once
"""

import argparse
import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from alternate import Spread, alternate, last_line, ratio, show
from offramp.artifacts.bundle import MANIFEST, Bundle
from offramp.artifacts.manifest import GRAPH
from offramp.artifacts.measurement import Conditions
from offramp.export.graph import to_onnx
from offramp.export.write import export
from offramp.machine import here
from offramp.runtime.cut import cut_out
from offramp.runtime.onnx_span import RUNTIME, OnnxSpan
from offramp.runtime.span import SpanSpec
from untrained import architecture_of, noise, untrained

CALIBRATION = 64  # images: the gate compares on so many; the codecs' accuracies take 27 passes over all that are given


def measure(preset: str, model: str, rounds: int, exit_: int, threads: int) -> dict[str, Any]:
    """All figures of one preset; seconds and bytes."""
    architecture = architecture_of(preset, model)
    calibration = noise(architecture, CALIBRATION)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        checkpoint = untrained(architecture, path)
        graphs = {
            "torchscript": lambda: to_onnx(checkpoint.net, architecture.shape, "torchscript"),
            "dynamo": lambda: to_onnx(checkpoint.net, architecture.shape, "dynamo"),
        }
        by = alternate(graphs, rounds=rounds)
        whole = alternate({"export": lambda: export(checkpoint, path / "bundle", calibration)}, rounds=min(rounds, 3))
        bundle = Bundle.open(path / "bundle")
        disk = {name: (path / "bundle" / name).stat().st_size for name in (GRAPH, MANIFEST)}
        size = {name: len(call()) for name, call in graphs.items()}
    last = bundle.manifest.last
    spans = {
        "edge": SpanSpec(0, exit_, (exit_,), gives="fp32"),
        "cloud": SpanSpec(exit_, last, (last,)),
        "whole": SpanSpec(0, last, (last,)),
    }
    ready = {}
    for name, spec in spans.items():
        cut = cut_out(bundle, spec)
        (image,) = spec.noise(bundle, 1)
        steps: dict[str, Callable[[], object]] = {
            "cut_out": lambda spec=spec: cut_out(bundle, spec),
            "session": lambda cut=cut, image=image: OnnxSpan(*cut, threads).run(image),
        }
        found = alternate(steps, rounds=max(5, 3 * rounds))
        ready[name] = {
            "stages": [spec.start, spec.end],
            "bytes": len(cut[0]),
            **{step: Spread.of(seconds) for step, seconds in found.items()},
        }
    return {
        "exporter_seconds": {name: Spread.of(seconds) for name, seconds in by.items()},
        "dynamo_over_torchscript": ratio(by["dynamo"], by["torchscript"]),
        "export_seconds": Spread.of(whole["export"]),
        "disk_bytes": disk,
        "graph_bytes": size,
        "spans": ready,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="preset small alone, one round: to see that it runs")
    parser.add_argument("--preset", action="append", help="repeat for several; default: small and full")
    parser.add_argument("--model", default="mem")
    parser.add_argument("--exit", type=int, default=3, help="where edge and cloud are cut apart")
    parser.add_argument("--rounds", type=int, help="default 5")
    parser.add_argument("--threads", type=int, default=1, help="of a session")
    options = parser.parse_args()
    presets = options.preset or (["small"] if options.quick else ["small", "full"])
    rounds = options.rounds or (1 if options.quick else 5)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns that torchvision is not there
    start = time.perf_counter()
    figures = {preset: measure(preset, options.model, rounds, options.exit, options.threads) for preset in presets}
    show(
        f"Export of {options.model}, {rounds} rounds",
        ("preset", *figures),
        [
            ("torchscript, s", *(found["exporter_seconds"]["torchscript"].show() for found in figures.values())),
            ("dynamo, s", *(found["exporter_seconds"]["dynamo"].show() for found in figures.values())),
            ("dynamo / torchscript", *(found["dynamo_over_torchscript"].show() for found in figures.values())),
            ("export, s", *(found["export_seconds"].show() for found in figures.values())),
            ("graph, KB", *(f"{found['disk_bytes'][GRAPH] / 1000:,.0f}" for found in figures.values())),
            ("manifest, KB", *(f"{found['disk_bytes'][MANIFEST] / 1000:,.1f}" for found in figures.values())),
        ],
        f"Median (least to most). export: by torchscript, with gate and codecs over {CALIBRATION} images.",
    )
    show(
        f"Making a span ready, {options.threads} thread(s)",
        ("preset, span", "stages", "cut out, ms", "session, ms", "KB"),
        [
            (
                f"{preset}, {name}",
                "[{}, {})".format(*span["stages"]),
                span["cut_out"].show(1000),
                span["session"].show(1000),
                f"{span['bytes'] / 1000:,.0f}",
            )
            for preset, found in figures.items()
            for name, span in found["spans"].items()
        ],
    )
    last_line(
        "export",
        figures,
        Conditions(**here(), batch_size=1, link="none", runtime=f"torch {torch.__version__}, {RUNTIME}", dtype="fp32"),
        model=options.model,
        exit=options.exit,
        calibration=CALIBRATION,
        threads=options.threads,
        rounds=rounds,
        seconds=round(time.perf_counter() - start, 1),
    )


if __name__ == "__main__":
    main()
