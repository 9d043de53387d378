"""Training throughput: offramp's loop against airbench's and a plain one, on the same network, images and threads.

plain       a Dataset and a DataLoader as in tutorials, float32, NCHW, image by image; in this process, or with one
            worker beside it, which is a second process whatever the threads (`plain_loop.py`)
airbench    the loop of KellerJordan/cifar10-airbench, eager and compiled (`airbench_loop.py` says what was kept of it)
offramp     `offramp.train.loop.Trainer` itself by recipe, eager and with `compile`

Everybody trains an epoch in turn. What the first epoch takes longer than the others is compiling, and is told apart;
the compiler's cache is empty at the start. Accuracies are not compared: loss, schedule and optimizer are each's own.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Mapping
from statistics import median
from typing import Protocol

import torch

from airbench_loop import AirbenchLoop
from alternate import Spread, alternate, last_line, ratio, show
from offramp.artifacts.measurement import Conditions
from offramp.data.image_set import ImageSet, Splits
from offramp.data.load import load
from offramp.machine import here
from offramp.models.architecture import preset
from offramp.train.loop import Run, Trainer
from offramp.train.recipe import recipe
from plain_loop import PlainLoop
from untrained import architecture_of, noise

COMPILED = ", compiled"
WARM_UP = 1  # epochs of each that are not counted; the compilers have theirs in it


class Contender(Protocol):
    """A loop over the same images."""

    def batches(self) -> None:
        """Make an epoch's batches and train nothing."""

    def epoch(self) -> float:
        """Train an epoch; give images/s."""


class OfframpLoop:
    """offramp's own loop; it counts its seconds without the validation, and the others have none."""

    def __init__(self, run: Run, images: ImageSet, device: torch.device, *, compiled: bool) -> None:
        few = images.rows(slice(10))  # nobody reads the accuracies
        run = Run(run.architecture, run.recipe.but(compile=compiled), run.data, run.seed)
        self.trainer = Trainer(run, Splits(images, few, few, few), device)

    def batches(self) -> None:
        """Make an epoch's batches and train nothing."""
        for _ in self.trainer.batches.epoch(0):
            pass

    def epoch(self) -> float:
        """Train an epoch; give images/s."""
        before = self.trainer.seconds
        self.trainer.epoch([])
        return len(self.trainer.batches) * self.trainer.batches.batch_size / (self.trainer.seconds - before)


def contenders(run: Run, images: ImageSet, device: torch.device, *, compiled: bool) -> dict[str, Contender]:
    """Everybody who trains, in the order of their turns."""
    epochs = run.recipe.epochs
    found: dict[str, Contender] = {
        "plain": PlainLoop(run, images, device, epochs=2 * epochs),  # as many again for `batches`
        "plain, 1 worker": PlainLoop(run, images, device, epochs=epochs, workers=1),
        "airbench": AirbenchLoop(run, images, device, epochs=epochs, compiled=False),
        "offramp": OfframpLoop(run, images, device, compiled=False),
    }
    if compiled:
        # offramp's comes first: when it is made, it forgets what torch has compiled so far.
        found["offramp" + COMPILED] = OfframpLoop(run, images, device, compiled=True)
        found["airbench" + COMPILED] = AirbenchLoop(run, images, device, epochs=epochs, compiled=True)
    return found


def compiling(rates: list[float], images: int) -> float:
    """Seconds that the first of some epochs took more than the others."""
    return round(images / rates[0] - images / median(rates[WARM_UP:]), 2)


def start_compiler(device: torch.device) -> float:
    """Compile next to nothing, so that who compiles first does not pay for the compiler's start; give its seconds."""
    start = time.perf_counter()
    torch.compile(torch.square)(torch.ones(4, requires_grad=True, device=device)).sum().backward()
    return round(time.perf_counter() - start, 2)


def _mode(name: str) -> str:
    return COMPILED if name.endswith(COMPILED) else ""


def pays_after(seconds: float, compiled: list[float], eager: list[float]) -> float | None:
    """Images from which on compiling takes less time than not compiling; None: never."""
    gain = 1 / median(eager) - 1 / median(compiled)
    return round(seconds / gain) if gain > 0 else None


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds of few batches: to see that it runs")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--model", default="mem")
    parser.add_argument("--recipe", default="modern")
    parser.add_argument("--data", help="what offramp's --data takes; random images of the preset's shape without it")
    parser.add_argument("--rounds", type=int, help="epochs of each, default 9")
    parser.add_argument("--steps", type=int, help="batches an epoch, default 10")
    parser.add_argument("--batch-size", type=int, help="default: the recipe's")
    parser.add_argument("--threads", type=int, default=1, help="torch's in this process, default 1")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True, help="the compiled ones too")
    options = parser.parse_args()
    rounds = options.rounds or (2 if options.quick else 9)
    steps = options.steps or (2 if options.quick else 10)
    torch.set_num_threads(options.threads)

    device = torch.device(options.device)
    architecture = architecture_of(options.preset, options.model)
    settings = recipe(options.recipe).but(epochs=rounds + WARM_UP, batch_size=options.batch_size)
    count = steps * settings.batch_size
    if options.data:
        images = load(options.data, architecture.shape).train.rows(slice(count))
        architecture = preset(options.preset).architecture(architecture.exits, images.classes)
    else:
        images = noise(architecture, count)
    if len(images) < count:
        parser.error(f"--steps {steps} of {settings.batch_size} take {count} images, and {options.data} has fewer")

    run = Run(architecture, settings, options.data or "noise", 0)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        compiler = start_compiler(device) if options.compile else 0.0
        loops = contenders(run, images, device, compiled=options.compile)
        rates: dict[str, list[float]] = {name: [] for name in loops}
        for _ in range(WARM_UP + rounds):
            for name, loop in loops.items():
                rates[name].append(loop.epoch())
    makers = {name: loops[name].batches for name in ("plain", "airbench", "offramp")}
    making = alternate(makers, rounds=rounds, warm_up=WARM_UP)
    report(options, run, count, rates, {name: [s / steps for s in found] for name, found in making.items()}, compiler)


def report(
    options: argparse.Namespace,
    run: Run,
    count: int,
    rates: Mapping[str, list[float]],
    making: Mapping[str, list[float]],
    compiler: float,
) -> None:
    """Print a table and the JSON line."""
    counted = {name: found[WARM_UP:] for name, found in rates.items()}
    over_plain = {name: ratio(found, counted["plain"]) for name, found in counted.items()}
    over_airbench = {name: ratio(found, counted["airbench" + _mode(name)]) for name, found in counted.items()}
    compile_seconds = {name: compiling(found, count) for name, found in rates.items() if _mode(name)}
    pays = {
        name: pays_after(seconds, counted[name], counted[name.removesuffix(COMPILED)])
        for name, seconds in compile_seconds.items()
    }
    show(
        f"Training {options.preset} {options.model}, batch {run.recipe.batch_size}, threads {options.threads}, "
        f"{options.device}",
        ("", "images/s", "over plain", "over airbench"),
        [
            (name, Spread.of(found).show(), over_plain[name].show(), over_airbench[name].show())
            for name, found in counted.items()
        ],
        f"Median (least to most) of {run.recipe.epochs - WARM_UP} alternating epochs of {count} images, without "
        "compiling; ratios are of neighbours, compiled over compiled in the last column.",
    )
    show("Making one batch", ("", "ms"), [(name, Spread.of(found).show(1000)) for name, found in making.items()])
    if compile_seconds:
        show(
            "Compiling",
            ("", "s", "saves time after, images (predicted)"),
            [
                (name, f"{seconds:.1f}", "never" if pays[name] is None else f"{pays[name]:,}")
                for name, seconds in compile_seconds.items()
            ],
            f"Cold cache; the compiler's own start, {compiler:.1f} s, left out.",
        )
    device = torch.device(options.device)
    last_line(
        "training",
        {
            "images_per_second": {name: Spread.of(found) for name, found in counted.items()},
            "over_plain": over_plain,
            "over_airbench": over_airbench,
            "batch_seconds": {name: Spread.of(found) for name, found in making.items()},
            "compiler_start_seconds": compiler,
            "compile_seconds": compile_seconds,
            "compiling_pays_after_images": pays,
        },
        Conditions(
            **here(),
            batch_size=run.recipe.batch_size,
            link="none",
            runtime=f"torch {torch.__version__}",
            dtype="plain fp32; airbench half precision; offramp by recipe",
        ),
        preset=options.preset,
        model=options.model,
        recipe=run.recipe.name,
        data=options.data or "noise",
        device=options.device if device.type == "cpu" else torch.cuda.get_device_name(device),
        threads=options.threads,
        rounds=run.recipe.epochs - WARM_UP,
        images_an_epoch=count,
    )


if __name__ == "__main__":
    main()
