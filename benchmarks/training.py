"""Training throughput: a plain loop against offramp's, on the same network, images, batch size and threads.

plain    float32, NCHW, no autocast; each image cropped and flipped by itself on the CPU, then stacked into a batch
offramp  `offramp.train.loop.train` itself, by recipe: bf16 where the processor has it, channels last, whole batches
         cropped and flipped at once

offramp's figure is what its own record of an epoch says. After each of its epochs, from inside an observer, the plain
loop trains as many batches: the two alternate within one run.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from alternate import Spread, alternate, last_line, ratio, show
from offramp.artifacts.measurement import Conditions
from offramp.data.image_set import ImageSet, Splits
from offramp.data.load import load
from offramp.models.architecture import preset
from offramp.models.cnn import standard_cnn
from offramp.train.augment import Batches
from offramp.train.loop import Run, native_bf16, train
from offramp.train.observe import EpochRecord
from offramp.train.pixels import channel_statistics
from offramp.train.recipe import Recipe, recipe
from untrained import architecture_of, noise

WARM_UP = 1  # epochs of either that are not counted


class Plain:
    """The loop that one writes first."""

    def __init__(self, run: Run, images: ImageSet, device: torch.device) -> None:
        self.recipe, self.images, self.device = run.recipe, images, device
        self.net = standard_cnn(run.architecture, channel_statistics(images), run.seed).to(device)
        self.optimizer = torch.optim.SGD(
            self.net.parameters(), lr=0.01, momentum=run.recipe.momentum, nesterov=run.recipe.nesterov
        )
        self.rng = np.random.default_rng(run.seed)
        self.pixels = torch.from_numpy(images.images)

    def batch(self) -> tuple[Tensor, Tensor]:
        """One batch, image by image."""
        crop, height, width = self.recipe.crop, *self.images.images.shape[1:3]
        rows = self.rng.integers(0, len(self.images), self.recipe.batch_size)
        images = []
        for row in rows:
            image = self.pixels[row].permute(2, 0, 1).float() / 255
            if crop:
                top, left = self.rng.integers(0, 2 * crop + 1, 2)
                image = F.pad(image, (crop,) * 4, mode="reflect")[:, top : top + height, left : left + width]
            if self.recipe.flip and self.images.mirrors and self.rng.random() < 0.5:
                image = image.flip(2)
            images.append(image)
        return torch.stack(images).to(self.device), torch.from_numpy(self.images.labels[rows]).to(self.device)

    def images_per_second(self, steps: int) -> float:
        """Train some batches."""
        self.net.train()
        total = torch.zeros((), device=self.device)
        start = time.perf_counter()
        for _ in range(steps):
            images, labels = self.batch()
            loss = torch.stack([F.cross_entropy(logits, labels) for logits in self.net(images).values()]).sum()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.detach()
        total.item()  # waits for the device
        return steps * self.recipe.batch_size / (time.perf_counter() - start)


class Alternating:
    """An observer that lets the plain loop have its turn after each epoch of offramp's."""

    def __init__(self, plain: Plain, steps: int) -> None:
        self.contender, self.steps = plain, steps
        self.offramp: list[float] = []
        self.plain: list[float] = []

    def step(self, done: int, total: int, loss: float) -> None:
        """Nothing to do within an epoch."""

    def epoch(self, record: EpochRecord) -> None:
        """Take offramp's figure, then the plain loop's."""
        plain = self.contender.images_per_second(self.steps)
        if record.epoch > WARM_UP:
            self.offramp.append(record.images_per_second)
            self.plain.append(plain)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds of few batches: to see that it runs")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--model", default="mem")
    parser.add_argument("--recipe", default="modern")
    parser.add_argument("--data", help="what offramp's --data takes; random images of the preset's shape without it")
    parser.add_argument("--rounds", type=int, help="epochs of each, default 25")
    parser.add_argument("--steps", type=int, help="batches an epoch, default 12")
    parser.add_argument("--batch-size", type=int, help="default: the recipe's")
    parser.add_argument("--threads", type=int, help="torch's; default: its own choice")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    rounds = options.rounds or (3 if options.quick else 25)
    steps = options.steps or (4 if options.quick else 12)
    if options.threads:
        torch.set_num_threads(options.threads)

    device = torch.device(options.device)
    architecture = architecture_of(options.preset, options.model)
    settings: Recipe = recipe(options.recipe).but(epochs=rounds + WARM_UP, batch_size=options.batch_size)
    count, few = steps * settings.batch_size, slice(10)
    if options.data:
        sizes = preset(options.preset)
        splits = load(options.data, architecture.shape)
        architecture = sizes.architecture(architecture.exits, splits.train.classes)
        steps = min(steps, len(splits.train) // settings.batch_size)
        held = splits.validation.rows(few)  # nobody reads the accuracies
        splits = Splits(splits.train.rows(slice(count)), held, held, held)
    else:
        held = noise(architecture, 10, seed=1)
        splits = Splits(noise(architecture, count), held, held, held)

    run = Run(architecture, settings, options.data or "noise", 0)
    plain = Plain(run, splits.train, device)
    turns = Alternating(plain, steps)
    with tempfile.TemporaryDirectory() as folder:
        train(run, splits, Path(folder) / "run", observers=[turns], device=options.device)

    batches = Batches(
        splits.train, batch_size=settings.batch_size, flip=settings.flip, crop=settings.crop, seed=0, device=device
    )
    epoch = iter(batches.epoch(0))
    making = alternate(
        {"plain": plain.batch, "offramp": lambda: next(epoch)}, rounds=max(1, min(steps - 1, 15)), warm_up=1
    )
    low = settings.precision == "bf16" or (settings.precision == "auto" and native_bf16(device))
    found = {"plain": Spread.of(turns.plain), "offramp": Spread.of(turns.offramp)}
    batch = {name: Spread.of(seconds) for name, seconds in making.items()}
    gain = ratio(turns.offramp, turns.plain)
    show(
        f"Training {options.preset} {options.model}, batch {settings.batch_size}, {torch.get_num_threads()} threads, "
        f"{options.device}",
        ("", "images/s", "against plain", "making a batch, ms"),
        [
            ("plain (fp32, NCHW)", found["plain"].show(), "1", batch["plain"].show(1000)),
            (
                f"offramp ({'bf16' if low else 'fp32'}, {'channels last' if settings.channels_last else 'NCHW'})",
                found["offramp"].show(),
                gain.show(),
                batch["offramp"].show(1000),
            ),
        ],
        f"Median (least to most) of {rounds} alternating epochs of {steps} batches; ratios are of neighbours.",
    )
    last_line(
        "training",
        {"images_per_second": found, "offramp_over_plain": gain, "batch_seconds": batch},
        Conditions.here(
            batch_size=settings.batch_size,
            link="none",
            runtime=f"torch {torch.__version__}",
            dtype="bf16 against fp32" if low else "fp32",
        ),
        preset=options.preset,
        model=options.model,
        recipe=options.recipe,
        data=options.data or "noise",
        device=options.device if device.type == "cpu" else torch.cuda.get_device_name(device),
        threads=torch.get_num_threads(),
        rounds=rounds,
        steps=steps,
    )


if __name__ == "__main__":
    main()
