"""The two ways of the cloud's answer to the client: through the edge, and direct (the paper's topology), side by side.

Real edge and cloud processes on loopback, the paper's test node: batches of 32, the exit and the threshold given. The
ways take turns. Both give the same answers, which is held before a time is taken.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from alternate import Spread, last_line, ratio, show
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.plan import Plan
from offramp.bench.drive import Drive, drive
from offramp.exits.answers import Tier
from offramp.export.write import export
from offramp.machine import here
from offramp.nodes.edge_settings import EdgeSettings
from offramp.nodes.process import child_node
from offramp.nodes.settings import CloudSettings
from offramp.protocol.peer import Peer
from offramp.runtime.onnx_span import RUNTIME
from untrained import architecture_of, noise, untrained

WAYS = ("through the edge", "direct")
COLUMNS = ("edge", "cloud", "overall")


def latencies(driven: Drive) -> dict[str, float]:
    """Median latency of the samples of each tier, in seconds."""
    cloud = driven.answers.tier == Tier.CLOUD
    parts = {"edge": driven.latency_ms[~cloud], "cloud": driven.latency_ms[cloud], "overall": driven.latency_ms}
    return {name: float(np.median(values)) / 1000 for name, values in parts.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds: to see that it runs")
    parser.add_argument("--exit", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of each session")
    parser.add_argument("--rounds", type=int, help="default 11")
    options = parser.parse_args()
    rounds = options.rounds or (2 if options.quick else 11)
    architecture = architecture_of("small", "mem")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        bundle: Bundle = export(untrained(architecture, path), path / "bundle", noise(architecture, 64))
        pixels = bundle.manifest.preprocessing.from_uint8(noise(architecture, 320).images)
        common = {"bundles": (str(bundle.path),), "threads": options.threads, "runtime": "onnxruntime"}
        with child_node(CloudSettings(**common)) as cloud:
            told = EdgeSettings(**common, plan=Plan.of(options.exit, 0.5), cloud=cloud.address(), degraded=False)
            with (
                child_node(told) as edge,
                Peer(edge.address()) as client,
                Peer(cloud.address()) as at_cloud,
            ):
                # All go on: their scores at the last exit.
                every = drive(client, pixels, batch_size=32, options={"threshold": 0.0})
                local = drive(client, pixels, batch_size=32, options={"threshold": 1.0})
                assert len(every.answers) == len(local.answers)
                threshold = float(np.median(local.answers.score))  # half of the samples leave, whatever was not learnt
                found: dict[str, dict[str, list[float]]] = {way: {c: [] for c in COLUMNS} for way in WAYS}
                for position in range(-1, rounds):
                    driven = {
                        way: drive(
                            client,
                            pixels,
                            batch_size=32,
                            options={"threshold": threshold},
                            direct=(at_cloud,) if way == "direct" else (),
                        )
                        for way in WAYS
                    }
                    one, other = (driven[way].answers for way in WAYS)
                    if not (np.array_equal(one.label, other.label) and np.array_equal(one.tier, other.tier)):
                        raise SystemExit("the two ways give different answers: a comparison would mean nothing.")
                    if position >= 0:
                        for way in WAYS:
                            for column, value in latencies(driven[way]).items():
                                found[way][column].append(value)
    figures: dict[str, Any] = {
        "forwarded_share": float((one.tier == Tier.CLOUD).mean()),
        "median_latency_seconds": {
            way: {c: Spread.of(v) for c, v in columns.items()} for way, columns in found.items()
        },
        "direct_over_through": {c: ratio(found["direct"][c], found["through the edge"][c]) for c in COLUMNS},
    }
    show(
        f"Reply: small mem, exit {options.exit}, batch 32, {100 * figures['forwarded_share']:.0f} % forwarded",
        ("median latency, ms", *COLUMNS),
        [
            *((way, *(figures["median_latency_seconds"][way][c].show(1000) for c in COLUMNS)) for way in WAYS),
            ("direct over through", *(figures["direct_over_through"][c].show() for c in COLUMNS)),
        ],
        f"Median (least to most) of {rounds} alternating rounds of 320 samples.",
    )
    last_line(
        "reply",
        figures,
        Conditions(**here(), batch_size=32, link="loopback, unshaped", runtime=RUNTIME, dtype="fp32"),
        exit=options.exit,
        threads=options.threads,
        rounds=rounds,
    )


if __name__ == "__main__":
    main()
