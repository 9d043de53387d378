"""What each part of a fast recipe gives: MEM of preset `small`, conv heads, a few epochs, one part added at a time.

    python benchmarks/ablation.py --data data/cifar10 --out ablation.jsonl

The first row is recipe `modern` as it is, the second the same by Muon in batches of 250; each further row adds one part
to that. Trainings that stand in the file with the same settings are not done again, so that it can be stopped at any
time. Accuracies are of training images that were held out; the test set is not looked at. A part that costs
multiply-adds has them stated, and its seconds.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from alternate import last_line, show
from offramp.artifacts.measurement import Conditions
from offramp.data.image_set import Splits
from offramp.data.load import load
from offramp.machine import here
from offramp.models.architecture import Preset, preset
from offramp.models.count import count
from offramp.models.threads import torch_threads
from offramp.train.loop import Run, Trainer, native_bf16
from offramp.train.recipe import RECIPES, Recipe

SHOWN = (2, 5, 9)  # exits
HELD = 10_000  # images of which accuracies are: a standard error of 0.4 points
MUON: dict[str, Any] = {"optimizer": "muon", "batch_size": 250}
# What each adds to the second row: to the recipe, and to the network.
PARTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "whitening": ({}, {"whitened": True}),
    "shortcuts": ({}, {"shortcuts": True}),
    "maximum pooling": ({}, {"pooling": "max"}),
    "dirac": ({"initialization": "dirac"}, {}),
    "running statistics from the last batches": ({"norm_momentum": 0.4}, {}),
    "normalization without a scale": ({"norm_scale": False}, {}),
    "biases at 8 x the rate": ({"bias_rate": 8.0}, {}),
    "label smoothing 0.1": ({"label_smoothing": 0.1}, {}),
    "alternating flip": ({"alternating": True}, {}),
    "windows of 4 pixels": ({"crop": 4}, {}),
    "lookahead": ({"lookahead": 0.95}, {}),
    "Muon at twice the rate": ({"muon_learning_rate": 0.2}, {}),
    **{f"regime {name}": ({"regime": name}, {}) for name in ("distill", "equilibrium", "project", "equalize", "fade")},
}
ROWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "modern": ({}, {}),
    "Muon": (MUON, {}),
    **{f"+ {name}": (MUON | recipe, network) for name, (recipe, network) in PARTS.items()},
}


def trained(sizes: Preset, recipe: Recipe, splits: Splits, data: str, seed: int) -> dict[str, Any]:
    """Train MEM of these sizes; what it came to."""
    exits = tuple(range(1, len(sizes.widths) + 1))
    architecture = sizes.architecture(exits, splits.train.classes, "conv")
    trainer = Trainer(Run(architecture, recipe, data, seed), splits, torch.device("cpu"))
    for _ in range(recipe.epochs):
        record = trainer.epoch([])
    stages, heads = count(trainer.net, architecture.shape)
    macs = sum(one.macs for one in (*stages.values(), *heads.values()))
    by_exit = {str(exit_): share for exit_, share in record.validation_accuracy.items()}
    return {"accuracy": by_exit, "macs": macs, "seconds": round(trainer.seconds, 1), "loss": round(record.loss, 4)}


def main() -> None:
    """Train what is not in the file yet, and print a row for each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--out", type=Path, required=True, help="a line for each training")
    parser.add_argument("--rows", help="names of rows, by ;; default: all")
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--samples", type=int, default=15_000, help="training images")
    options = parser.parse_args()
    said = {"data": options.data, "preset": options.preset, "epochs": options.epochs, "samples": options.samples}
    lines = options.out.read_text().splitlines() if options.out.exists() else []
    done = [one for one in map(json.loads, lines) if said.items() <= one.items()]
    rows = options.rows.split(";") if options.rows else list(ROWS)
    sizes, seeds = preset(options.preset), [int(seed) for seed in options.seeds.split(",")]
    with torch_threads(1):
        for seed in seeds:
            splits = load(options.data, (sizes.channels, sizes.size, sizes.size), seed=seed)
            pool, first = splits.train, options.samples
            # Training images that are not trained on: as many as it takes to tell half a point from nothing.
            held = pool.rows(slice(first, first + HELD))
            splits = replace(splits, train=pool.rows(slice(first)), validation=held)
            for row in rows:
                if any((one["row"], one["seed"]) == (row, seed) for one in done):
                    continue
                recipe, network = ROWS[row]
                chosen = RECIPES["modern"].but(epochs=options.epochs, **recipe)
                found = trained(sizes.model_copy(update=network), chosen, splits, options.data, seed)
                done.append({"row": row, "seed": seed} | said | found)
                with options.out.open("a") as file:
                    file.write(json.dumps(done[-1]) + "\n")
    table = {}
    for row in rows:
        runs = [one for one in done if one["row"] == row and one["seed"] in seeds]
        at = {exit_: [round(100 * one["accuracy"][str(exit_)], 2) for one in runs] for exit_ in SHOWN}
        table[row] = {"macs": runs[0]["macs"], "seconds": mean(one["seconds"] for one in runs), "accuracy": at}
    show(
        f"held-out accuracy in %, {options.epochs} epochs of {options.samples:,} images; seeds {options.seeds}",
        ("", "M MACs", *(f"exit {exit_}" for exit_ in SHOWN)),
        [[row, f"{of['macs'] / 1e6:.1f}", *(" / ".join(map(str, of["accuracy"][exit_])) for exit_ in SHOWN)]
         for row, of in table.items()],
    )  # fmt: skip
    dtype = "bf16" if native_bf16(torch.device("cpu")) else "fp32"
    conditions = Conditions(batch_size=MUON["batch_size"], link="none", runtime="torch", dtype=dtype, **here())
    last_line("ablation", table, conditions, **said, seeds=options.seeds)


if __name__ == "__main__":
    main()
