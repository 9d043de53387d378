"""How long recipes take to an accuracy: MEM of preset `small` with conv heads on CIFAR-10, one thread.

    python benchmarks/time_to.py --data data/cifar10 --out time-to.jsonl

Each training runs to its end, as long as its recipe and epochs say, and is as accurate as it is after its last epoch:
what stands between is of a learning rate that is high still. Its time is the processor's, epochs and looks at the
validation images, without what others on the machine took. A training that stands in the file is not done again.
Bar: the last recipe comes to the accuracy at the last exit in at most half of the time of the first.
"""

import argparse
import json
import time
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from alternate import last_line, show
from offramp.artifacts.measurement import Conditions
from offramp.data.load import load
from offramp.machine import here
from offramp.models.architecture import preset
from offramp.models.threads import torch_threads
from offramp.train.loop import Run, Trainer, native_bf16
from offramp.train.recipe import recipe

HALF = 0.5


def trained(name: str, epochs: int, data: str, sizes: str, seed: int) -> dict[str, Any]:
    """Train one network to the end of its recipe; what it came to, and in how many seconds of a processor."""
    chosen, of = recipe(name).but(epochs=epochs), preset(sizes)
    splits = load(data, (of.channels, of.size, of.size), seed=seed)
    architecture = of.architecture(tuple(range(1, len(of.widths) + 1)), splits.train.classes, "conv")
    trainer = Trainer(Run(architecture, chosen, data, seed), splits, torch.device("cpu"))
    began = time.process_time()
    for _ in range(epochs):
        record = trainer.epoch([])
    took = time.process_time() - began
    right = {exit_: round(100 * share, 2) for exit_, share in record.validation_accuracy.items()}
    return {"recipe": name, "epochs": epochs, "seed": seed, "preset": sizes, "seconds": round(took, 1), "right": right}


def main() -> None:
    """Train what is not in the file yet, and say whether the bar is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--recipes", default="modern:20,sprint:9", help="each with its epochs")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--goal", type=float, default=84.0, help="percent at the last exit")
    parser.add_argument("--out", type=Path, required=True, help="a line for each training")
    options = parser.parse_args()
    contenders = [(name, int(epochs)) for name, _, epochs in (one.partition(":") for one in options.recipes.split(","))]
    lines = options.out.read_text().splitlines() if options.out.exists() else []
    done = [one for one in map(json.loads, lines) if one["preset"] == options.preset]
    seeds = [int(seed) for seed in options.seeds.split(",")]
    with torch_threads(1):
        for seed in seeds:
            for name, epochs in contenders:
                if any((one["recipe"], one["epochs"], one["seed"]) == (name, epochs, seed) for one in done):
                    continue
                done.append(trained(name, epochs, options.data, options.preset, seed))
                with options.out.open("a") as file:
                    file.write(json.dumps(done[-1]) + "\n")
    found: dict[str, dict[str, Any]] = {}
    for name, epochs in contenders:
        runs = [one for one in done if (one["recipe"], one["epochs"]) == (name, epochs) and one["seed"] in seeds]
        last = [list(one["right"].values())[-1] for one in runs]
        found[f"{name}, {epochs} epochs"] = {"seconds": mean(one["seconds"] for one in runs), "last_exit": last}
    first, *_, best = found.values()
    share = round(best["seconds"] / first["seconds"], 3)
    reached = mean(best["last_exit"]) >= options.goal
    show(
        f"validation accuracy in % at the last exit, seeds {options.seeds}; {share} of the first one's time",
        ("", "seconds", "accuracy"),
        [[name, f"{of['seconds']:.0f}", " / ".join(map(str, of["last_exit"]))] for name, of in found.items()],
    )
    dtype = "bf16" if native_bf16(torch.device("cpu")) else "fp32"
    conditions = Conditions(batch_size=1, link="none", runtime="torch", dtype=dtype, **here())
    last_line(
        "time_to", found | {"share_of_time": share, "passes": reached and share <= HALF}, conditions,
        goal=options.goal, seeds=options.seeds, preset=options.preset,
    )  # fmt: skip


if __name__ == "__main__":
    main()
