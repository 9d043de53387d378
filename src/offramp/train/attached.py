"""Train the heads of a network whose graph is somebody else's, and write the checkpoint."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import safetensors.torch

from offramp.artifacts.document import writing
from offramp.artifacts.inputs import TOKENIZER, read_samples
from offramp.data.image_set import Splits
from offramp.errors import TrainingError
from offramp.machine import commit, processor
from offramp.models.build import build
from offramp.models.checkpoint import CARD, Checkpoint, ModelCard, write_checkpoint
from offramp.models.graph_network import BACKBONE, GraphNet, GraphNetwork
from offramp.models.threads import torch_threads
from offramp.progress import Watch, unwatched
from offramp.train.class_order import check_order
from offramp.train.heads import HeadRecipe, train_heads
from offramp.train.loop import LOG, STATE
from offramp.train.observe import JsonLog, Observer
from offramp.train.stand import MOST, Backbone, standing
from offramp.train.state import plain
from offramp.train.temperature import fold

FEATURES = "features"  # folder of what is kept while heads learn


@dataclass(frozen=True)
class AttachedRun:
    """Which heads are trained, on what, how."""

    network: GraphNetwork
    files: Mapping[str, bytes]
    recipe: HeadRecipe
    data: str
    seed: int
    in_order: bool = False  # the order of the network's classes was said, and is the data's


def train_attached(
    run: AttachedRun,
    splits: Splits,
    out: Path,
    *,
    threads: int | None = None,
    most: int = MOST,
    observers: Sequence[Observer] = (),
    watch: Watch = unwatched,
) -> Checkpoint:
    """Train heads on a frozen graph and write a checkpoint into `out`, with a log beside it.

    Up to `most` bytes of features are kept there meanwhile. The same run on the same processor with as many `threads`
    gives the same weights. Raises TrainingError where `out` holds a run already.
    """
    check_free(out)
    net = build(run.network, None, run.seed, files=run.files)
    assert isinstance(net, GraphNet)
    read = partial(read_samples, run.network.takes, tokenizer=run.files.get(TOKENIZER))
    # What heads learn on needs the rest of the network only where they learn from its answers.
    local, whole = (
        Backbone(run.files[BACKBONE], net, run.network.shape, exits, read, threads or 0)
        for exits in (net.exits if run.recipe.distill else net.exits[:-1], net.exits)
    )
    views = run.recipe.views if splits.train.mirrors else 1
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    with (
        torch_threads(threads),
        standing(
            local, whole, splits.train, splits.validation, out / FEATURES, views=views, most=most, watch=watch
        ) as (train, validation),
    ):  # fmt: skip
        if not run.in_order:
            check_order(validation, run.network.classes)
        log = JsonLog(out / LOG, 0)
        learnt = train_heads(net, train, validation, run.recipe, run.seed, [*observers, _Log(log)])
    fold(net, learnt.temperatures)
    weights: bytes = safetensors.torch.save(plain(net.state_dict()))
    card = ModelCard(
        architecture=run.network,
        recipe=run.recipe.model_dump(mode="json"),
        data=run.data,
        seed=run.seed,
        commit=commit(),
        hardware=processor(),
        epochs=run.recipe.rounds(views * len(splits.train)),
        seconds=round(time.perf_counter() - began, 3),
        validation_accuracy=learnt.accuracy,
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        record=splits.record,
        temperatures=learnt.temperatures,
    )
    write_checkpoint(out, card, weights, run.files)
    return Checkpoint(out, card, net.eval(), dict(run.files))


def check_free(out: Path) -> None:
    """Raise TrainingError where a folder is none, or holds a run."""
    if out.exists() and not out.is_dir():
        raise TrainingError(f"{out}: is a file, and a run is a folder. Choose an empty or a new one.")
    if (out / CARD).exists() or (out / STATE).exists():
        raise TrainingError(f"{out}: holds a run already. Choose another folder.")


class _Log:
    """A log as an observer."""

    def __init__(self, log: JsonLog) -> None:
        self.epoch = log.epoch

    def step(self, done: int, total: int, loss: float) -> None:
        """Steps are not logged."""
