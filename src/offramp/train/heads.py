"""Train heads alone, on a backbone that stays as it is: all of them at once, on features that were computed before.

The heads know nothing of each other: the sum of their losses has each head's own gradient. After every epoch they are
looked at on the validation set, and each head keeps the weights by
which that was likeliest, once its temperature was set: heads grow too sure before they grow worse.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field, ValidationError
from torch import Tensor, nn
from torch.nn import functional as F

from offramp.artifacts.document import Frozen, why
from offramp.errors import InputError, TrainingError
from offramp.models.exit_net import ExitNet
from offramp.models.heads import GraphHead
from offramp.train.observe import EpochRecord, Observer
from offramp.train.regimes.distill import divergence
from offramp.train.stand import Rows, Stand
from offramp.train.temperature import temperature

AT_ONCE = 1_024  # samples that are looked at together
SMALLEST, LARGEST, STEPS = 16, 256, 40  # of a batch; and steps of an epoch, at least, where it can be had
ENOUGH, FEWEST, MOST_EPOCHS = 2_000, 8, 20  # steps in all, and epochs
SURE_ENOUGH = 2_000  # samples that tell which epoch's weights are best
WARM_UP = 0.1  # share of the steps in which the learning rate rises


class HeadRecipe(Frozen):
    """How heads are trained on a frozen backbone: AdamW, one cosine over all steps.

    `distill` is the share of the loss that is the divergence from the last exit's own answer, in place of the labels'.
    With two `views`, a mirrored image stands beside each, where the image set says that it keeps its class.
    """

    name: str = "heads"
    head: GraphHead = "mlp"
    epochs: int | None = Field(default=None, ge=1)  # None: by the size of the set
    batch_size: int | None = Field(default=None, ge=1)  # None: by the size of the set
    learning_rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    distill: float = Field(default=0.0, ge=0, le=1)
    temperature: float = Field(default=3.0, gt=0)  # of that divergence
    views: int = Field(default=1, ge=1, le=2)
    temperatures: bool = True

    def batch(self, samples: int) -> int:
        """Samples a step: so that an epoch of a small set has as many steps as learning needs."""
        return self.batch_size or max(SMALLEST, min(LARGEST, samples // STEPS))

    def rounds(self, samples: int) -> int:
        """Epochs: of a large set fewer, since heads have learnt what they can before."""
        most = ENOUGH * self.batch(samples) // samples
        return self.epochs or max(FEWEST, min(MOST_EPOCHS, most))


def head_recipe(**changes: object) -> HeadRecipe:
    """The recipe with some values changed, None changing nothing; an InputError says which does not fit."""
    try:
        return HeadRecipe.model_validate({name: value for name, value in changes.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"recipe: {'.'.join(map(str, first['loc']))}: {why(error)}, got {first['input']!r}."
        ) from error


@dataclass(frozen=True)
class Learnt:
    """What came of it: accuracies on the validation set by exit, and the temperatures to divide each exit's logits by.

    The last exit's is the backbone's own.
    """

    accuracy: dict[int, float]
    temperatures: dict[int, float]
    seconds: float


def train_heads(
    net: ExitNet, train: Stand, validation: Stand, recipe: HeadRecipe, seed: int, observers: Sequence[Observer] = ()
) -> Learnt:
    """Train the network's local heads in place; TrainingError where features or losses are not numbers.

    The same stands, recipe and seed give the same weights, on the same processor with as many threads.
    """
    # What comes before the rest of a head is in the stand: `models.heads.standing_on`.
    rests = {exit_: _rest(net.head(exit_)) for exit_ in net.exits[:-1]}
    began = time.perf_counter()
    _standardize(rests, train)
    trainer = _Trainer(rests, train, validation, recipe, seed)
    for number in range(trainer.epochs):
        record = trainer.epoch(number, observers)
        for observer in observers:
            observer.epoch(record)
    trainer.keep_best()
    logits, labels = trainer.look(), validation.labels
    by_exit = {}
    if recipe.temperatures:
        by_exit = {exit_: round(temperature(logits[exit_].numpy(), labels), 5) for exit_ in rests}
    return Learnt(trainer.accuracies(logits), by_exit, time.perf_counter() - began)


class _Trainer:
    """Heads, what they learn on, and the best that each has been."""

    def __init__(
        self, rests: dict[int, nn.Sequential], train: Stand, validation: Stand, recipe: HeadRecipe, seed: int
    ) -> None:
        self.rests, self.train, self.validation, self.recipe, self.seed = rests, train, validation, recipe, seed
        parameters = [parameter for rest in rests.values() for parameter in rest.parameters()]
        decayed, others = [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=recipe.learning_rate,
        )
        self.batch = recipe.batch(len(train.labels))
        self.epochs = recipe.rounds(len(train.labels))
        self.steps = math.ceil(len(train.labels) / self.batch)
        self.best: dict[int, tuple[float, dict[str, Tensor]]] = {}

    def epoch(self, number: int, observers: Sequence[Observer]) -> EpochRecord:
        """Once over the training samples, and a look."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        order = torch.randperm(len(self.train.labels), generator=generator).numpy()
        start, total, total_steps, rate = time.perf_counter(), 0.0, self.epochs * self.steps, 0.0
        for step in range(self.steps):
            rate = self._set_rate((number * self.steps + step) / total_steps)
            rows = order[step * self.batch : (step + 1) * self.batch]
            total += (loss := self._step(rows))
            if not math.isfinite(loss):
                raise TrainingError(
                    f"the loss of the heads is not a number any more (epoch {number + 1}, step {step + 1} of "
                    f"{self.steps}, learning rate {rate:.3g}). Lower the learning rate, and attach again."
                )
            for observer in observers:
                observer.step(number * self.steps + step + 1, total_steps, loss)
        seconds = time.perf_counter() - start
        logits = self.look()
        self._remember(logits)
        return EpochRecord(
            epoch=number + 1,
            of=self.epochs,
            loss=total / self.steps,
            learning_rate=rate,
            validation_accuracy=self.accuracies(logits),
            seconds=round(seconds, 3),
            images_per_second=round(len(order) / seconds, 1),
        )

    def look(self) -> dict[int, Tensor]:
        """Logits of the validation set at every exit, each head as it answers; the last exit's are the backbone's."""
        parts: list[dict[int, Tensor]] = []
        for start in range(0, len(self.validation.labels), AT_ONCE):
            read = self.validation.read(np.arange(start, min(start + AT_ONCE, len(self.validation.labels))))
            with torch.inference_mode():
                parts.append(
                    {k: self.rests[k].eval()(found) if k in self.rests else found for k, found in read.items()}
                )
        return {exit_: torch.cat([part[exit_] for part in parts]) for exit_ in parts[0]}

    def accuracies(self, logits: dict[int, Tensor]) -> dict[int, float]:
        """Share of right answers on the validation set."""
        labels = torch.from_numpy(self.validation.labels)
        return {exit_: round(float((at.argmax(1) == labels).float().mean()), 6) for exit_, at in logits.items()}

    def keep_best(self) -> None:
        """Give each head the weights by which the validation set was likeliest."""
        for exit_, (_, weights) in self.best.items():
            self.rests[exit_].load_state_dict(weights)

    def _step(self, rows: Rows) -> float:
        read, labels = self.train.read(rows), torch.from_numpy(self.train.labels[rows])
        losses = [self._loss(_learning(rest)(read[exit_]), labels, read) for exit_, rest in self.rests.items()]
        loss = torch.stack(losses).sum()
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return float(loss.detach())

    def _loss(self, logits: Tensor, labels: Tensor, read: dict[int, Tensor]) -> Tensor:
        loss = F.cross_entropy(logits, labels)
        if not (share := self.recipe.distill):
            return loss
        return (1 - share) * loss + share * divergence(logits, read[max(read)], self.recipe.temperature)

    def _set_rate(self, progress: float) -> float:
        rising, falling = progress / WARM_UP, 0.5 * (1 + math.cos(math.pi * progress))
        rate = self.recipe.learning_rate * min(max(rising, 0.02), falling)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _remember(self, logits: dict[int, Tensor]) -> None:
        labels = self.validation.labels[:SURE_ENOUGH]
        for exit_, rest in self.rests.items():
            found = logits[exit_][:SURE_ENOUGH]
            divisor = temperature(found.numpy(), labels) if self.recipe.temperatures else 1.0
            loss = float(F.cross_entropy(found / divisor, torch.from_numpy(labels)))
            if exit_ not in self.best or loss < self.best[exit_][0]:
                self.best[exit_] = loss, {name: tensor.clone() for name, tensor in rest.state_dict().items()}


def _rest(head: nn.Module) -> nn.Sequential:
    """A head without its first layer, of the same modules."""
    return nn.Sequential(*list(head.children())[1:])


def _learning(rest: nn.Sequential) -> nn.Sequential:
    """As it learns: what standardizes vectors stays as it is."""
    rest.train()
    for layer in rest:
        if isinstance(layer, nn.BatchNorm1d):
            layer.eval()
    return rest


def _standardize(rests: dict[int, nn.Sequential], train: Stand) -> None:
    """Give each head that reads vectors the mean and deviation of the training samples'."""
    wanted = {exit_: rest[0] for exit_, rest in rests.items() if isinstance(rest[0], nn.BatchNorm1d)}
    sums: dict[int, list[Tensor]] = {exit_: [] for exit_ in wanted}
    size = len(train.labels)
    for start in range(0, size if wanted else 0, AT_ONCE):
        read = train.read(np.arange(start, min(start + AT_ONCE, size)))
        for exit_ in wanted:
            exact = read[exit_].double()
            sums[exit_].append(torch.stack([exact.sum(0), exact.square().sum(0)]))
    for exit_, layer in wanted.items():
        mean, square = torch.stack(sums[exit_]).sum(0) / size
        variance = (square - mean.square()).clamp_min(0)
        if not bool(torch.isfinite(variance).all()):
            raise TrainingError(
                f"exit {exit_}: the backbone's features there are not numbers on some of the {size} training samples. "
                "Choose another exit, or mend the network."
            )
        # What never moves on these samples says nothing: one that moves later must not shout.
        still = variance <= 1e-8 * variance.max().clamp_min(1e-12)
        assert layer.running_mean is not None
        assert layer.running_var is not None
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(torch.where(still, torch.ones_like(variance), variance))
