"""Hold two builds' demos against each other: every accuracy, count and byte, number for number. Times are not compared.

    offramp demo --out after; …the other build… offramp demo --out before
    python benchmarks/same.py before/reproduction.json after/reproduction.json

Documents of either version are read. Fails where anything differs, or where one has a setup that the other has not.
"""

import argparse
import json
import sys
from pathlib import Path

from offramp.paper.reproduction import Reproduction


def figures(document: Reproduction) -> dict[str, object]:
    """What must not change, by what it is of."""
    rows = {f"{row.setup.model_dump_json()}": (row.outcome, row.bytes_to_cloud) for row in document.rows}
    models = {
        model.model: (model.test_accuracy, model.macs, model.feature_bytes, model.training) for model in document.models
    }
    return rows | models


def main() -> None:
    """Compare, and say it in one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    options = parser.parse_args()
    before, after = (figures(Reproduction.read(path)) for path in (options.before, options.after))
    differing = [key for key in before | after if before.get(key) != after.get(key)]
    for key in differing:
        print(f"{key}\n  before {before.get(key)}\n  after  {after.get(key)}")
    print(json.dumps({"benchmark": "same", "compared": len(before | after), "differing": len(differing)}))
    sys.exit(bool(differing))


if __name__ == "__main__":
    main()
