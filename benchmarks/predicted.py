"""Predicted against measured: what `offramp profile` says of plans, held against running nodes, in turns.

For each link and share of a core, fourteen plans of the packaged network: no cloud, all of it in the cloud, one exit,
several, cut behind the exit, at the image, without any; in every codec. A client sends one image after another to an
edge of each plan, over the repository's own shaped link to one cloud, while the same device and link are profiled in
the same rounds. Of the predictions' errors the median and the share within 20 % are printed, and the worst plan.

    python benchmarks/predicted.py --data /path/to/cifar10 --links lan,wifi,lte --cores 1
"""

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.console import Console

from alternate import last_line
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.plan import Plan
from offramp.artifacts.pretrained import pretrained
from offramp.bench.device import Wanted
from offramp.bench.verified import named, summary, verified_table
from offramp.bench.verify import EACH, verify
from offramp.data.recorded import load_as_trained
from offramp.link.shape import LinkShape
from offramp.machine import here

IMAGES = 1000  # of the test set, whose accuracy is predicted; the first of them are sent


def plans(last: int) -> list[Plan]:
    """Plans of every kind that a network of nine stages and nine exits has."""

    def of(exits: dict[int, float], cut: int, codec: str = "fp32") -> Plan:
        active = [{"exit": exit_, "threshold": threshold} for exit_, threshold in exits.items()]
        return Plan.checked(active=active, cut=cut, codec=codec)

    return [
        of({}, last),
        of({}, 0, "uint8"),
        of({}, 6, "uint8"),
        of({1: 0.4}, 1, "uint8"),
        of({3: 0.3}, 3, "uint8"),
        of({3: 0.3}, 3, "fp32"),
        of({5: 0.3}, 5, "fp16"),
        of({7: 0.2}, 7, "uint8"),
        of({3: 0.3}, 0, "uint8"),
        of({4: 0.3}, 6, "uint8"),
        of({2: 0.3, 4: 0.3}, 4, "uint8"),
        of({3: 0.2, 5: 0.2, 7: 0.2}, 7, "fp32"),
        of({4: 0.2, 6: 0.2, 7: 0.2}, last),
        of(dict.fromkeys(range(1, last), 0.15), last - 1, "uint8"),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits", help="a folder of CIFAR-10; default: what the bundle names")
    parser.add_argument("--links", default="lan,wifi,lte")
    parser.add_argument("--cores", default="1,0.25", help="shares of a core that the edge is held to")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--each", type=int, default=EACH, help="images of a plan and round")
    options = parser.parse_args()

    bundle = Bundle.open(pretrained() / "bundle")
    origin, shape = bundle.manifest.origin, bundle.manifest.preprocessing.shape
    splits, _ = load_as_trained(options.data, origin.data, origin.record, shape, seed=origin.seed, split="test")
    order = np.random.default_rng(0).permutation(len(splits.test))[:IMAGES]
    images = splits.test.rows(order)
    console, figures = Console(stderr=True, width=150), dict[str, Any]()
    for cores in map(float, options.cores.split(",")):
        wanted = Wanted(
            "onnxruntime",
            "fp32",
            threads=1,
            share=cores,
            rounds=options.rounds,
            batches=(1,),
            bound=100.0,
            requests=options.each,
        )
        for link in options.links.split(","):
            shaped = LinkShape.parse(link)
            found = verify(bundle, plans(bundle.manifest.last), images, shaped, wanted, each=options.each)
            rows = list(found.rows)
            held = f"the edge held to {cores:g} of a core by {found.edge.held_by}"
            console.print(verified_table(rows, f"{shaped}; {held}"))
            key = f"{link}_{cores:g}"
            figures[key] = summary(rows) | {
                "rows": [asdict(row) | {"plan": named(row.plan), "error": round(row.error, 4)} for row in rows],
                "link": json.loads(found.link.to_json()),
            }
            print(key, json.dumps(summary(rows)), file=sys.stderr, flush=True)
    conditions = Conditions(
        **here(), batch_size=1, link=options.links, runtime=found.edge.runtime, dtype=found.edge.precision
    )
    last_line("predicted", figures, conditions, rounds=options.rounds, each=options.each, cores=options.cores)


if __name__ == "__main__":
    main()
