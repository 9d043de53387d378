"""What a node's runtimes and precisions give: time of the whole network at batch 1 and 32, and accuracy.

onnxruntime fp32 and int8, OpenVINO fp32, bf16 (where the processor multiplies in it) and int8, in turn, and which of
them `--runtime auto` chooses on this machine. Without a bundle an untrained network stands in, and no accuracy is
given: speed does not depend on what was learnt. With one (`--bundle`, and its data by `--data`), accuracy is over the
whole test set at the last exit.
"""

import argparse
import tempfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from alternate import Spread, alternate, last_line, ratio, show
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Engine
from offramp.artifacts.measurement import Conditions
from offramp.data.load import load
from offramp.exits.evaluation import accuracy_at
from offramp.export.write import export
from offramp.machine import here
from offramp.measure.predict import of_bundle
from offramp.runtime.choice import choose
from offramp.runtime.onnx_span import RUNTIME
from offramp.runtime.open import open_span
from offramp.runtime.span import SpanSpec
from untrained import architecture_of, noise, untrained


def engines(bundle: Bundle) -> list[Engine]:
    """All that this machine and this bundle have."""
    found = [Engine("onnxruntime", "fp32")]
    if bundle.graph_int8 is not None:
        found.append(Engine("onnxruntime", "int8"))
    if find_spec("openvino") is not None:
        from offramp.runtime.openvino_span import multiplies_bf16

        found.append(Engine("openvino", "fp32"))
        found += [Engine("openvino", "bf16")] if multiplies_bf16() else []
        found += [Engine("openvino", "int8")] if bundle.graph_int8 is not None else []
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds: to see that it runs")
    parser.add_argument("--bundle", type=Path, help="a trained one; default: untrained, preset small, mem, int8 too")
    parser.add_argument("--data", help="whose test set gives accuracy; default: none is given")
    parser.add_argument("--threads", type=int, default=0, help="of each session; 0 for every core")
    parser.add_argument("--rounds", type=int, help="default 15")
    options = parser.parse_args()
    rounds = options.rounds or (3 if options.quick else 15)
    with tempfile.TemporaryDirectory() as folder:
        if options.bundle:
            bundle = Bundle.open(options.bundle)
        else:
            architecture = architecture_of("small", "mem")
            path = Path(folder)
            images = noise(architecture, 64)
            bundle = export(untrained(architecture, path), path / "bundle", images, int8=True, force_int8=True)
        last = bundle.manifest.last
        spec = SpanSpec(0, last, (last,))
        contenders = [replace(engine, threads=options.threads) for engine in engines(bundle)]
        spans = {str(engine): open_span(bundle, spec, engine) for engine in contenders}
        chosen = choose(bundle, threads=options.threads)
        figures: dict[str, Any] = {"chosen": str(chosen.engine), "why": chosen.why}
        for size, repeats in ((1, 50), (32, 5)):
            rows = spec.noise(bundle, size)
            calls = {name: (lambda span=span, rows=rows: span.run(*rows)) for name, span in spans.items()}
            found = alternate(calls, rounds=rounds, repeats=repeats)
            base = found[str(contenders[0])]
            figures[f"batch_{size}"] = {
                "seconds_a_call": {name: Spread.of(seconds) for name, seconds in found.items()},
                "speed_over_onnxruntime_fp32": {name: ratio(base, seconds) for name, seconds in found.items()},
            }
        accuracy: dict[str, float | None] = dict.fromkeys(spans)
        if options.data:
            shape = bundle.manifest.preprocessing.shape
            test = load(options.data, shape, seed=bundle.manifest.origin.seed).test
            for engine in contenders:
                predictions = of_bundle(bundle, engine=engine).predict(test, "test")
                accuracy[str(engine)] = accuracy_at(predictions, last)
        figures["accuracy"] = accuracy

    show(
        f"Runtimes: {bundle.manifest.model}, whole network, {options.threads or 'all'} thread(s)",
        ("", "ms, batch 1", "speed", "ms, batch 32", "speed", "right %"),
        [
            (
                f"{name} *" if name == figures["chosen"] else name,
                figures["batch_1"]["seconds_a_call"][name].show(1000),
                f"{figures['batch_1']['speed_over_onnxruntime_fp32'][name].median:.2f}",
                figures["batch_32"]["seconds_a_call"][name].show(1000),
                figures["batch_32"]["speed_over_onnxruntime_fp32"][name].show(),
                "–" if accuracy[name] is None else f"{100 * (accuracy[name] or 0):.2f}",
            )
            for name in spans
        ],
        f"Median (least to most) of {rounds} alternating rounds; speed over onnxruntime fp32's in its round. * auto's.",
    )
    last_line(
        "runtimes",
        figures,
        Conditions(**here(), batch_size=32, link="none", runtime=RUNTIME, dtype="fp32"),
        bundle=bundle.id,
        model=bundle.manifest.model,
        data=options.data,
        threads=options.threads,
        rounds=rounds,
    )


if __name__ == "__main__":
    main()
