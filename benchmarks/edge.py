"""What an edge costs beside its network: the edge process, the edge as a library, and the bare runtime, in turn.

bare     onnxruntime's session of the very graph that the edge runs, in this process
library  `offramp.nodes.edge.Edge` in this process: checks, scores, decides, answers
unary    a real edge process, its cloud beside it, on loopback: one call a batch
stream   the same over the protocol's streaming call, by offramp's own test node

Every sample leaves at the edge: the threshold is 1, and each contender's answers are looked at before its time is
taken. Same graph, same threads for all. What the library's call is made of is timed step by step after that; what
compaction costs, in a call of which one half goes on to a cloud that answers at once.
"""

import argparse
import tempfile
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from alternate import Spread, alternate, last_line, ratio, show
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.plan import Plan
from offramp.artifacts.stages import IMAGE, features_name, logits_name
from offramp.client.conversation import Conversation
from offramp.client.describe import describe_edge
from offramp.exits.answers import Answers, Judged, Tier, merge
from offramp.exits.decision import Decision
from offramp.export.write import export
from offramp.machine import here
from offramp.nodes.contract import CLASSIFIER, read_answers
from offramp.nodes.edge import Edge
from offramp.nodes.edge_settings import EdgeSettings
from offramp.nodes.flight import Flight
from offramp.nodes.process import child_node
from offramp.nodes.settings import CloudSettings
from offramp.nodes.upstream import Finished, at_once
from offramp.protocol.peer import Peer
from offramp.runtime.cut import cut_out
from offramp.runtime.onnx_span import RUNTIME, OnnxSpan
from offramp.runtime.span import SpanSpec
from untrained import architecture_of, noise, untrained

Images = npt.NDArray[np.float32]
Steps = dict[str, Callable[[], Any]]
TIMEOUT = 60.0


class Instant:
    """A cloud that has always just finished: what is left of a call is the edge's own time."""

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def check(self, *_: object) -> None:
        """It is there."""

    def finish(self, flight: Flight, *_: object) -> Future[Finished]:
        """Give logits of nothing."""
        logits = np.zeros((len(flight.rows), self.classes), np.float32)
        return at_once(lambda: Finished.by_cloud(flight, logits, 0))


def left_here(answers: Answers, count: int, exit_: int, bytes_to_cloud: int = 0) -> bool:
    """Did every sample leave at this exit of the edge, and nothing go to the cloud?"""
    here = (answers.tier == Tier.EDGE) & (answers.exit == exit_) & ~answers.degraded & ~answers.dropped
    return len(answers) == count and bool(here.all()) and bytes_to_cloud == 0


def asked(conversation: Conversation, image: Images) -> tuple[Answers, int]:
    """Ask over the stream; give the whole answer and the bytes that went to the cloud."""
    parts = list(conversation.ask(image, {}))
    whole = parts[0].answers if len(parts) == 1 else merge([(part.rows, part.answers) for part in parts], len(image))
    return whole, sum(part.bytes_to_cloud for part in parts)


def steps_of(edge: Edge, image: Images) -> Steps:
    """The library's call, and what it is made of, one by one."""
    plan, preprocessing = edge.plan, edge.bundle.manifest.preprocessing
    span = edge.spans.get(spec_of(plan))
    outputs = span.run(image)
    logits, features = outputs[logits_name(plan.exit)], outputs[features_name(plan.exit)]
    judged = Judged.of(logits, plan.score)
    steps: Steps = {
        "call": lambda: edge.infer(image),
        "check": lambda: preprocessing.check(image),
        "network": lambda: span.run(image),
        "score": lambda: Judged.of(logits, plan.score),
        "decide": lambda: Decision.at(judged.scores, plan, 0),
        "answer": lambda: judged.answers(plan.exit, Tier.EDGE),
    }
    if len(image) > 1:
        halfway = plan.but(threshold=float(np.median(judged.scores)))
        forward = Decision.at(judged.scores, halfway, 0).forward
        rows = np.arange(len(image))
        steps |= {
            "divided call": lambda: edge.infer(image, plan=halfway),
            "compaction": lambda: (rows[forward], features[forward]),
        }
    return steps


def spec_of(plan: Plan) -> SpanSpec:
    """The one span that the edge runs by a plan of one exit, cut at that exit."""
    return SpanSpec(0, plan.exit, (plan.exit,), gives=plan.codec)


def shares_of(found: dict[str, list[float]]) -> dict[str, Spread]:
    """Each step as a share of the call it belongs to; `rest` is what no step accounts for."""
    shares = {name: ratio(found[name], found["call"]) for name in ("check", "network", "score", "decide", "answer")}
    sums = [sum(found[name][k] for name in shares) for k in range(len(found["call"]))]
    shares["rest"] = ratio([call - known for call, known in zip(found["call"], sums, strict=True)], found["call"])
    if "compaction" in found:
        shares["compaction"] = ratio(found["compaction"], found["divided call"])
    return shares


def measure(bundle: Bundle, plan: Plan, threads: int, batch_sizes: dict[int, int], rounds: int) -> dict[str, Any]:
    """Seconds a call of each contender, by batch size; `batch_sizes` gives the calls a round."""
    bare = OnnxSpan(*cut_out(bundle, spec_of(plan)), threads)  # for its session's options: they are the edge's
    edge = Edge(bundle, plan, Instant(len(bundle.manifest.classes)), threads=threads)
    everything = np.random.default_rng(0).random((max(batch_sizes), *bundle.manifest.preprocessing.shape), np.float32)
    figures: dict[str, Any] = {}
    common = {"bundles": (str(bundle.path),), "threads": threads, "runtime": "onnxruntime", "precision": "fp32"}
    with (
        child_node(CloudSettings(**common)) as node,
        child_node(EdgeSettings(**common, plan=plan, cloud=node.address(), degraded=False)) as front,
        Peer(front.address()) as client,
        Conversation(client) as conversation,
    ):
        figures["edge_runtime"] = describe_edge(client).runtime
        for size, repeats in batch_sizes.items():
            image = everything[:size]
            calls: Steps = {
                "bare": lambda image=image: bare.session.run(bare.targets, {bare.sources[0]: image}),
                "library": lambda image=image: edge.infer(image),
                "unary": lambda image=image: client.infer(CLASSIFIER, {IMAGE: image}, timeout=TIMEOUT),
                "stream": lambda image=image: asked(conversation, image),
            }
            unary, (streamed, sent) = calls["unary"](), calls["stream"]()
            if not (
                left_here(calls["library"](), size, plan.exit)
                and left_here(read_answers(unary.outputs), size, plan.exit, int(unary.parameters["bytes_to_cloud"]))
                and left_here(streamed, size, plan.exit, sent)
            ):
                raise SystemExit(f"not every sample leaves at exit {plan.exit}: choose another --exit or --seed.")
            found = alternate(calls, rounds=rounds, repeats=repeats)
            steps = alternate(steps_of(edge, image), rounds=rounds, repeats=repeats)
            figures[f"batch_{size}"] = {
                "calls_a_round": repeats,
                "seconds_a_call": {name: Spread.of(seconds) for name, seconds in found.items()},
                "samples_per_second": {
                    name: Spread.of([size / value for value in seconds]) for name, seconds in found.items()
                },
                "over_bare": {name: ratio(seconds, found["bare"]) for name, seconds in found.items()},
                "step_seconds": {name: Spread.of(seconds) for name, seconds in steps.items()},
                "step_shares": shares_of(steps),
            }
    return figures


def print_tables(figures: dict[str, Any], title: str, rounds: int) -> None:
    """Contenders and steps, by batch size."""
    for key in [key for key in figures if key.startswith("batch_")]:
        found, size = figures[key], key.removeprefix("batch_")
        show(
            f"{title}, batch {size}",
            ("", "ms a call", "samples/s", "time over bare"),
            [
                (
                    name,
                    seconds.show(1000),
                    f"{found['samples_per_second'][name].median:,.0f}",
                    found["over_bare"][name].show(),
                )
                for name, seconds in found["seconds_a_call"].items()
            ],
            f"Median (least to most) of {rounds} alternating rounds of {found['calls_a_round']} calls, one at a time; "
            "ratios are of neighbours.",
        )
        shares = found["step_shares"]
        show(
            f"What the library's call is made of, batch {size}",
            ("step", "microseconds", "% of the call"),
            [
                (name, seconds.show(1e6), shares[name].show(100) if name in shares else "")
                for name, seconds in found["step_seconds"].items()
            ]
            + [("rest", "", shares["rest"].show(100))],
            "Each step by itself. compaction: of the divided call, of which half goes on."
            if "compaction" in shares
            else None,
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds of few calls: to see that it runs")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--model", default="mem")
    parser.add_argument("--exit", type=int, default=3, help="where every sample leaves")
    parser.add_argument("--threads", type=int, default=1, help="of each session; 0 for every core")
    parser.add_argument("--seed", type=int, default=0, help="of the untrained network")
    parser.add_argument("--rounds", type=int, help="default 15")
    options = parser.parse_args()
    rounds = options.rounds or (3 if options.quick else 15)
    batch_sizes = {1: 30, 32: 4} if options.quick else {1: 200, 32: 20}

    architecture = architecture_of(options.preset, options.model)
    plan = Plan.of(options.exit, 1.0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        bundle = export(untrained(architecture, path, options.seed), path / "bundle", noise(architecture, 32))
        figures = measure(bundle, plan, options.threads, batch_sizes, rounds)

    title = f"Edge: {options.preset} {options.model}, exit {options.exit}, {options.threads or 'all'} thread(s)"
    print_tables(figures, title, rounds)
    last_line(
        "edge",
        figures,
        Conditions(**here(), batch_size=max(batch_sizes), link="loopback, unshaped", runtime=RUNTIME, dtype="fp32"),
        preset=options.preset,
        model=options.model,
        exit=options.exit,
        threshold=plan.threshold,
        threads=options.threads,
        batch_sizes=list(batch_sizes),
        seed=options.seed,
        rounds=rounds,
    )


if __name__ == "__main__":
    main()
