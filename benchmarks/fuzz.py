"""Bytes that mean nothing, or nearly what they should: over both protocols, into documents and bundles.

    python benchmarks/fuzz.py runs/mem/bundle --cases 1000000

The cases are those of `ill_formed.py`, given to the gRPC service and the HTTP application of an edge in this process,
to the documents' classes, and to what opens a bundle. It is a fault where anything but an error of ours comes back (the
node says INTERNAL or 500, an exception is foreign), where a case takes longer than ten seconds, or where the good
request that follows every thousandth is not answered. Memory is taken after a tenth of the cases and at the end.
"""

import argparse
import logging
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

from alternate import last_line, memory_kib
from ill_formed import DEFECTS, SLOW, Documents, Files, Protocols
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.plan import Plan
from offramp.machine import here
from offramp.train.recipe import RecipeFile

GOOD = 1000  # cases between two good requests
GROWS = 0.10  # share of memory, at most


def main() -> None:
    """Run the cases, print what came of them and whether the bars are met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.getLogger("offramp").propagate = False
    logging.getLogger("offramp").addHandler(faults := Defects())
    seen: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        bundle = Bundle.open(options.bundle)
        node, files = Protocols(bundle), Files(options.bundle, Path(scratch), Bundle.open)
        recipe = RecipeFile(base="modern", changes={"epochs": 3})
        documents = Documents((Plan.of(3, 0.3), recipe, bundle.manifest))
        ways = {"grpc": node.grpc, "http": node.http, "document": documents, "bundle": files}
        foreign, slow, good, early = Counter[str](), 0, 0, 0
        for case in range(options.cases):
            chance = random.Random(options.seed * 1_000_003 + case)
            way = chance.choices(list(ways), (40, 40, 19, 1))[0]
            began = time.monotonic()
            try:
                seen.setdefault(way, Counter())[ways[way](chance)] += 1
            except Exception as error:
                foreign[f"{way}: {type(error).__name__}: {str(error)[:120]} (first at case {case})"] += 1
            slow += time.monotonic() - began > SLOW
            if case % GOOD == GOOD - 1:
                good += node.good()
            if case == options.cases // 10:
                early = memory_kib()
        node.close()
    grown = round(memory_kib() / early - 1, 4)
    for way, outcomes in seen.items():
        print(f"{way:9} {sum(outcomes.values()):>9,}: {', '.join(f'{k} {n:,}' for k, n in outcomes.most_common(9))}")
    bad = sum(outcomes[word] for outcomes in seen.values() for word in DEFECTS)
    for words, number in (*foreign.most_common(10), *faults.seen.most_common(10)):
        print(f"  {number} x {words}")
    expected = options.cases // GOOD
    passes = not (bad or foreign or slow) and good == expected and grown <= GROWS
    last_line(
        "fuzz",
        {"cases": options.cases, "defects": bad, "foreign": sum(foreign.values()), "slow": slow, "good": good,
         "good_expected": expected, "memory_grown": grown, "passes": passes},
        Conditions(**here(), batch_size=1, link="none", runtime="onnxruntime", dtype="fp32"),
        seed=options.seed,
    )  # fmt: skip


class Defects(logging.Handler):
    """What the node's log calls a defect."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen = Counter[str]()

    def emit(self, record: logging.LogRecord) -> None:
        """Count it by its error."""
        self.seen[f"{record.getMessage()[:60]}: {record.exc_info[1]!r}"[:200] if record.exc_info else ""] += 1


if __name__ == "__main__":
    main()
