"""Train a network of several views as one: every device's exit, the aggregator's and the last, with views left out.

DDNN trains so, all exits at once with equal weights, but for the views that are left out at random here: so that the
part behind the join has seen what it gets when a device is silent.
"""

import math
import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from offramp.artifacts.document import Frozen
from offramp.artifacts.preprocessing import Preprocessing
from offramp.artifacts.values import Values
from offramp.data.image_set import ImageSet
from offramp.data.view_set import ViewSet, ViewSplits
from offramp.errors import InputError, TrainingError
from offramp.models.threads import torch_threads
from offramp.models.views import ViewsNetwork
from offramp.models.views_net import TrainedViews, ViewsNet
from offramp.progress import Watch, unwatched
from offramp.train.pixels import channel_statistics

AT_ONCE = 512  # samples that are looked at together


class ViewsRecipe(Frozen):
    """AdamW on the sum of three cross-entropies: the devices' in the mean, the aggregator's, the last exit's.

    `silent` is the probability with which each view of a sample is left out at the join; one always stays.
    """

    name: str = "views"
    epochs: int = Field(default=60, ge=1)
    batch_size: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=4e-3, gt=0)
    weight_decay: float = Field(default=5e-2, ge=0)
    silent: float = Field(default=0.2, ge=0, lt=1)
    flip: bool = False  # mirror every view of a sample, every other time


def train_views(
    document: ViewsNetwork,
    splits: ViewSplits,
    recipe: ViewsRecipe,
    seed: int,
    *,
    threads: int | None = None,
    watch: Watch = unwatched,
) -> TrainedViews:
    """Train from freshly drawn weights, the same for the same seed and number of threads.

    Raises InputError where the data have other views than the document, TrainingError where the loss is no number.
    """
    train = splits.train
    if train.names != document.names:
        raise InputError(f"views: the network has {', '.join(document.names)}, the data {', '.join(train.names)}.")
    with torch_threads(threads):
        start = time.perf_counter()
        statistics = {name: channel_statistics(one) for name, one in train.views.items() if one.noun == "images"}
        net = ViewsNet(document, statistics, seed)
        _fit(net, train, recipe, seed, watch)
        net.eval()
        seconds, right = time.perf_counter() - start, accuracies(net, splits.validation)
        return TrainedViews(net, recipe.model_dump(mode="json"), recipe.epochs, recipe.silent, seed, seconds, right)


def takes_of(views: ViewSet) -> dict[str, Preprocessing | Values]:
    """What a network of these views takes: images of their size, or values of their shape."""
    found: dict[str, Preprocessing | Values] = {}
    for name, one in views.views.items():
        if one.noun == "images":
            height, width, channels = one.images.shape[1:]
            found[name] = Preprocessing(channels=channels, height=height, width=width)
        else:
            found[name] = Values(shape=one.images.shape[1:])
    return found


def _fit(net: ViewsNet, train: ViewSet, recipe: ViewsRecipe, seed: int, watch: Watch) -> None:
    drawn = torch.Generator().manual_seed(seed)
    steps = max(1, len(train) // recipe.batch_size)
    optimizer = torch.optim.AdamW(net.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    total = max(recipe.epochs * steps, 2)  # and its rise is longer than a step, or torch would divide by 0
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=total, pct_start=max(0.2, 1.5 / total)
    )
    tensors, labels = as_tensors(train), torch.from_numpy(train.labels)
    there = torch.from_numpy(train.there)
    net.train()
    for epoch in range(recipe.epochs):
        watch("training", epoch, recipe.epochs)
        for rows in torch.randperm(len(train), generator=drawn)[: steps * recipe.batch_size].chunk(steps):
            mirrored = recipe.flip and bool(torch.rand((), generator=drawn) < 0.5)
            batch = [_ready(view[rows], mirrored) for view in tensors]
            had = left_out(there[rows], recipe.silent, drawn)
            alone, joint = net(batch, there[rows], had)
            loss = _loss(alone, joint, labels[rows], there[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            rate.step()
        if not math.isfinite(float(loss.detach())):
            raise TrainingError(f"the loss is not a number any more (epoch {epoch + 1}). Lower the learning rate.")


def _loss(alone: Sequence[Tensor], joint: Sequence[Tensor], labels: Tensor, there: Tensor) -> Tensor:
    """Of the devices the mean over the views that are there; a view that is not says nothing."""
    each = torch.stack([F.cross_entropy(logits, labels, reduction="none") for logits in alone], dim=1)
    of_devices = (each * there).sum() / there.sum()
    return torch.stack([of_devices, *(F.cross_entropy(logits, labels) for logits in joint)]).sum()


def left_out(there: Tensor, share: float, drawn: torch.Generator) -> Tensor:
    """Which views are joined `(N, V)`: of those that are there each with probability 1 - `share`, and one at least."""
    chance = torch.rand(there.shape, generator=drawn)
    had = there & (chance >= share)
    # Where none is left, the one that was nearest to staying.
    stays = torch.where(there, chance, -1.0).argmax(dim=1)
    none = ~had.any(dim=1)
    had[none, stays[none]] = True
    return had


def as_tensors(views: ViewSet) -> list[Tensor]:
    """Every view as it is kept: uint8 `(N, C, H, W)`, or float32 values."""
    return [_kept(one) for one in views.views.values()]


def _kept(view: ImageSet) -> Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(view.images))
    return tensor.permute(0, 3, 1, 2).contiguous() if view.noun == "images" else tensor


def _ready(view: Tensor, mirrored: bool = False) -> Tensor:
    if view.dtype != torch.uint8:
        return view
    ready = view.float().div_(255)
    return ready.flip(3) if mirrored else ready


@torch.inference_mode()
def accuracies(net: ViewsNet, views: ViewSet) -> dict[str, float]:
    """Share that is right by each device's exit, of the samples that it sees; by `joint` and `last` with all views."""
    right: dict[str, list[Tensor]] = {name: [] for name in (*views.names, "joint", "last")}
    labels, there, tensors = torch.from_numpy(views.labels), torch.from_numpy(views.there), as_tensors(views)
    for rows in _batches(len(views)):
        alone, joint = net([_ready(view[rows]) for view in tensors], there[rows], there[rows])
        for number, logits in enumerate(alone):
            hit = logits.argmax(dim=1) == labels[rows]
            right[views.names[number]].append(hit[there[rows][:, number]])
        for name, logits in zip(("joint", "last"), joint, strict=True):
            right[name].append(logits.argmax(dim=1) == labels[rows])
    return {name: round(float(torch.cat(hits).float().mean()), 6) for name, hits in right.items()}


def _batches(count: int) -> Iterator[slice]:
    for start in range(0, count, AT_ONCE):
        yield slice(start, start + AT_ONCE)
