"""The training loop: from an architecture, a recipe and splits to a checkpoint, resumable at every epoch."""

import hashlib
import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import safetensors.torch
import torch

from offramp.artifacts.document import writing
from offramp.data.image_set import ImageSet, Splits
from offramp.errors import TrainingError
from offramp.machine import commit, processor
from offramp.models.architecture import Architecture
from offramp.models.build import FAMILIES, Families, build
from offramp.models.checkpoint import CARD, Checkpoint, ModelCard, write_checkpoint
from offramp.models.exit_net import ExitNet
from offramp.models.threads import torch_threads
from offramp.train.accuracy import accuracies
from offramp.train.augment import Batches
from offramp.train.forward import compiled, forward
from offramp.train.initial import prepare
from offramp.train.lookahead import Lookahead
from offramp.train.observe import EpochRecord, JsonLog, Observer, TensorBoardLog
from offramp.train.optimizer import Optimizer
from offramp.train.pixels import channel_statistics
from offramp.train.recipe import Recipe, learning_rate
from offramp.train.state import load_state, plain, save_state
from offramp.train.temperature import fold, temperatures
from offramp.train.workers import Alone, Workers, local_device, workers

STATE = "resume.safetensors"
LOG = "log.jsonl"
LOOK_EVERY = 20  # steps between looks at the loss: each look waits for the device


@dataclass(frozen=True)
class Run:
    """What is trained, on what, how. `key` tells runs apart: a folder is resumed only by the run that began in it.

    `families` are those that its network may be of.
    """

    architecture: Architecture
    recipe: Recipe
    data: str
    seed: int
    families: Families = field(default_factory=lambda: FAMILIES)

    def key(self, train: ImageSet, workers: int = 1) -> str:
        """Name everything that the weights depend on."""
        parts = [self.architecture.model_dump_json(), self.recipe.model_dump_json(), str(self.seed)]
        if workers > 1:
            parts.append(f"{workers} workers")
        digest = hashlib.sha256("\n".join(parts).encode())
        digest.update(b"mirrors" if train.mirrors else b"")
        digest.update(train.images.tobytes())
        digest.update(train.labels.tobytes())
        return digest.hexdigest()


def train(
    run: Run,
    splits: Splits,
    out: Path,
    *,
    resume: bool = False,
    observers: Sequence[Observer] = (),
    device: str | None = None,
    threads: int | None = None,
) -> Checkpoint:
    """Train and write a checkpoint into `out`, with a log beside it.

    After each epoch everything needed to go on is written; `resume` goes on from there and ends with the weights that
    an uninterrupted run gives (bit for bit on the same CPU with as many `threads`; None is torch's own choice). Raises
    TrainingError when the loss is not a number, when `out` holds a run and `resume` is not asked for, or when it holds
    another run.

    Under torchrun all of its processes train the one network, and the first writes the files.
    """
    if out.exists() and not out.is_dir():
        raise TrainingError(f"{out}: is a file, and a run is a folder. Choose an empty or a new one.")
    target = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if target.type == "cuda" and target.index is None:
        target = local_device() or target
    team = workers(target)
    key = run.key(splits.train, team.size)
    if (out / CARD).exists() or (out / STATE).exists():
        if not resume:
            raise TrainingError(f"{out}: holds a run already. Go on with it by --resume, or choose another folder.")
        if not (out / STATE).exists():
            return _finished(run, splits, out)
    with torch_threads(threads):
        return _train(run, out, observers, Trainer(run, splits, target, team), key)


def _train(run: Run, out: Path, observers: Sequence[Observer], trainer: "Trainer", key: str) -> Checkpoint:
    team, target = trainer.team, trainer.device
    if (out / STATE).exists():
        load_state(out / STATE, key, trainer)
    team.wait()  # nobody writes before all have read
    if team.rank:
        while trainer.epochs_done < run.recipe.epochs:
            trainer.epoch([])
        team.wait()
        return Checkpoint.open(out, run.families)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    board = TensorBoardLog(out, trainer.epochs_done)
    log = JsonLog(out / LOG, trainer.epochs_done)
    try:
        while trainer.epochs_done < run.recipe.epochs:
            record = trainer.epoch(observers)
            log.epoch(record)  # before the state: what is logged and not kept is taken out on resuming, not the reverse
            board.epoch(record)
            save_state(out / STATE, key, trainer)
            for observer in observers:
                observer.epoch(record)
    finally:
        board.close()
    right = accuracies(trainer.net, trainer.splits.validation, trainer.autocast)
    by_exit = temperatures(trainer.net, trainer.splits.validation) if run.recipe.temperatures else {}
    fold(trainer.net, by_exit)
    weights: bytes = safetensors.torch.save(plain(trainer.net.state_dict()))
    card = ModelCard(
        architecture=run.architecture,
        recipe=run.recipe.model_dump(mode="json"),
        data=run.data,
        seed=run.seed,
        commit=commit(),
        hardware=processor() if target.type == "cpu" else torch.cuda.get_device_name(target),
        epochs=run.recipe.epochs,
        seconds=round(trainer.seconds, 3),
        validation_accuracy=right,
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        record=trainer.splits.record,
        temperatures=by_exit,
    )
    write_checkpoint(out, card, weights)
    (out / STATE).unlink()
    team.wait()
    return Checkpoint.open(out, run.families)


def _finished(run: Run, splits: Splits, out: Path) -> Checkpoint:
    checkpoint = Checkpoint.open(out, run.families)
    card = checkpoint.card
    was, now = (record and record.fingerprint for record in (card.record, splits.record))
    if was and now and was != now and card.data == run.data:
        raise TrainingError(
            f"{out}: holds a finished run of {card.data} as it was (fingerprint {was}, now {now}). Choose another "
            "folder, or give the data of then."
        )
    recipe = run.recipe.model_dump(mode="json")  # as a card that was read has it: keys of loss_weights are strings
    if (card.architecture, card.recipe, card.data, card.seed) != (run.architecture, recipe, run.data, run.seed):
        raise TrainingError(f"{out}: holds a finished run of other settings. Choose another folder.")
    return checkpoint


class Trainer:
    """The state of a training, taken on by an epoch at a time. It writes nothing of its own accord."""

    def __init__(self, run: Run, splits: Splits, device: torch.device, team: Workers | None = None) -> None:
        recipe = self.recipe = run.recipe
        self.team = team or Alone()
        self.splits, self.device = splits, device
        if device.type == "cuda":
            torch.backends.cudnn.benchmark = True  # every batch has the same shape: look for the fastest kernels once
        net = build(run.architecture, channel_statistics(splits.train), run.seed, run.families)
        prepare(net, run.architecture, recipe, splits.train)
        net = net.to(device)
        # What was computed and is not learned: processors round apart, and no gradient would bring them together.
        self.team.average(parameter.data for parameter in net.parameters() if not parameter.requires_grad)
        if recipe.channels_last:
            net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub knows tensors only
        self.net: ExitNet = net
        self.regime = recipe.regime_for(net.exits)
        self.forward = compiled(device) if recipe.compile else forward
        self.low_precision = recipe.precision == "bf16" or (recipe.precision == "auto" and native_bf16(device))
        # Fused is one kernel for all parameters; on the CPU its sums would round differently.
        self.optimizer = Optimizer(
            net, recipe, fused=device.type == "cuda", low_precision=self.low_precision and native_bf16(device)
        )
        self.lookahead = Lookahead(net, recipe.lookahead) if recipe.lookahead else None
        self.batches = Batches(
            splits.train,
            batch_size=recipe.batch_size,
            flip=recipe.flip,
            crop=recipe.crop,
            alternating=recipe.alternating,
            jpeg=recipe.jpeg,
            jpeg_quality=recipe.jpeg_quality,
            seed=run.seed,
            device=device,
            workers=self.team,
        )
        self.epochs_done, self.seconds = 0, 0.0

    def autocast(self) -> AbstractContextManager[object]:
        """Compute convolutions and linear layers in bf16, where that is wanted; everything else stays fp32."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.low_precision else nullcontext()

    def epoch(self, observers: Sequence[Observer]) -> EpochRecord:
        """Train one epoch and measure every exit on the validation set."""
        steps, number = len(self.batches), self.epochs_done
        total = torch.zeros((), device=self.device)
        self.net.train()
        if self.lookahead:
            self.lookahead.epoch()
        rate = self.recipe.learning_rate
        start = time.perf_counter()
        for step, (images, labels) in enumerate(self.batches.epoch(number)):
            progress = (number * steps + step) / (self.recipe.epochs * steps)
            phase = self.regime.phase(progress)
            self.net.stages.train(not phase.frozen)
            rate = learning_rate(self.recipe, phase.progress)
            self.optimizer.set_rate(rate)
            if not self.recipe.channels_last:
                images = images.contiguous()  # noqa: PLW2901  # the batch in the layout asked for
            with self.autocast():
                logits = self.forward(self.net, images, phase.exits, frozen=phase.frozen, meeting=phase.meeting)
            loss = self.regime.loss(logits, labels, progress)
            self.optimizer.forget()
            loss.backward()  # type: ignore[no-untyped-call]
            self.team.average(p.grad for p in self.optimizer.parameters if p.grad is not None)
            self.optimizer.step()
            if self.lookahead:
                self.lookahead.step(step + 1, steps, progress)
            total += loss.detach()
            if (step + 1) % LOOK_EVERY == 0 or step + 1 == steps:
                current = float(loss.detach())
                if not math.isfinite(float(total)):
                    raise _diverged("the loss is not a number", number, step, steps, rate)
                for observer in observers:
                    observer.step(number * steps + step + 1, self.recipe.epochs * steps, current)
        self.team.average([total, *self.net.buffers()])
        # The last step's loss says nothing of what that step made of the weights, nor of the running statistics.
        finite = torch.stack([torch.isfinite(tensor).all() for tensor in self.net.state_dict().values()])
        if not bool(finite.all()):  # one look, since each waits for the device
            raise _diverged("the weights are not numbers", number, steps - 1, steps, rate)
        seconds = time.perf_counter() - start
        self.seconds += seconds
        self.epochs_done += 1
        return EpochRecord(
            epoch=self.epochs_done,
            of=self.recipe.epochs,
            loss=float(total) / steps,
            learning_rate=rate,
            validation_accuracy=accuracies(self.net, self.splits.validation, self.autocast),
            seconds=round(seconds, 3),
            images_per_second=round(steps * self.batches.batch_size / seconds, 1),
        )


def _diverged(what: str, epoch: int, step: int, steps: int, rate: float) -> TrainingError:
    again = (  # what is kept is another run's than that of a lower rate
        f"in another folder: this one keeps epoch {epoch}, and --resume goes on from there at the same rate alone."
        if epoch
        else "in this folder or another: no epoch was kept."
    )
    return TrainingError(
        f"{what} any more (epoch {epoch + 1}, step {step + 1} of {steps}, learning rate {rate:.3g}). "
        f"Lower the learning rate and train again, {again}"
    )


def native_bf16(device: torch.device) -> bool:
    """Does this device multiply bf16 natively, so that it is faster than fp32?"""
    if device.type == "cuda":
        with torch.cuda.device(device):  # torch asks the current one
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())
