"""Tune somebody else's torch module together with its exits, by any regime; then export it again.

What comes of it is a checkpoint like any attached one: a graph and heads, no code.
"""

import copy
import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from offramp.artifacts.document import write_bytes
from offramp.artifacts.preprocessing import Preprocessing
from offramp.attaching import Job, Prepared, attach_at
from offramp.data.image_set import Splits
from offramp.errors import InputError
from offramp.export.module import Example, load_with_example, module_graph
from offramp.graphs.boundary import Boundary
from offramp.graphs.pick import pick
from offramp.graphs.source import parse_graph
from offramp.models.build import Families, NetworkFamily, build
from offramp.models.checkpoint import Checkpoint, write_checkpoint
from offramp.models.exit_net import ExitNet
from offramp.models.graph_network import GraphNetwork
from offramp.models.tapped import Prepare, TappedModule, TappedNet
from offramp.train.accuracy import logits_of
from offramp.train.attached import check_free
from offramp.train.heads import HeadRecipe
from offramp.train.loop import LOG, Run, train
from offramp.train.recipe import RECIPES, Recipe
from offramp.train.state import plain
from offramp.train.temperature import fold, temperature

HEADS, TUNING = "heads", "tuning"  # folders of the two runs, inside the checkpoint's, while they go on
CLOSE = 1e-3  # of the largest value: how near a module's output must be to its boundary, by another engine
LOOKED_AT = 8  # samples that tell whether it is
# A network that is good already is moved by small steps; where its statistics are frozen, larger ones do no harm.
TUNED = RECIPES["modern"].but(name="tuned", epochs=10, learning_rate=0.01)


@dataclass(frozen=True)
class Tuning:
    """A torch module, its example, and how it is tuned."""

    model: nn.Module
    example: Example
    recipe: Recipe = TUNED

    def but(self, **changes: object) -> "Tuning":
        """With another regime, or other values of the recipe; None changes nothing."""
        return replace(self, recipe=self.recipe.but(**changes))


def tuning_of(model: str, shape: tuple[int, ...] | None = None) -> Tuning:
    """Call `package.module:function` for what is tuned; InputError where it is an ONNX file, or gives no example."""
    if ":" not in model:
        raise InputError(
            f"model {model!r}: a graph is not tuned. Give package.module:function, which gives a torch module, or "
            "attach without --tune."
        )
    return Tuning(*load_with_example(model, shape))


def tune(tuning: Tuning, prepared: Prepared, chosen: Sequence[Boundary], job: Job, heads: HeadRecipe) -> Checkpoint:
    """Train a module with heads at some boundaries, and write the checkpoint of what it has become.

    The heads are trained alone first. Each boundary must be what one of the network's modules gives, by its path. An
    interrupted run goes on where it stopped. Raises InputError, DataError and TrainingError as `attach` does.
    """
    check_free(job.out)
    takes, name, out = prepared.takes, job.name, job.out
    if not isinstance(takes, Preprocessing):
        raise InputError(f"tune: images alone are trained on, and {name} takes {takes.name}. Attach without --tune.")
    splits = job.splits(prepared)
    if (out / HEADS).exists():
        shutil.rmtree(out / HEADS)
    attached = attach_at(prepared, chosen, replace(job, data=splits, out=out / HEADS), heads)
    network = attached.card.architecture
    assert isinstance(network, GraphNetwork)
    document = TappedModule(
        model=name, classes=network.classes, exits=network.exits, input=network.input,
        paths=tuple(boundary.name for boundary in chosen),
    )  # fmt: skip

    def builder(_document: TappedModule, _statistics: object, _seed: int) -> ExitNet:
        model = copy.deepcopy(tuning.model).requires_grad_(True)
        channels = int(prepared.own_shape[-1 if prepared.spec.channels_last else 0])
        return TappedNet(model, document.paths, copied(attached.net), Prepare(prepared.spec, channels))

    families: Families = {document.family: NetworkFamily(TappedModule, builder)}
    _check_taps(build(document, families=families).eval(), attached.net, splits, document.paths, takes)
    recipe = tuning.recipe.but(temperatures=False)  # the last exit has no layer to take one in
    run = Run(document, recipe, attached.card.data, job.seed, families)
    tuned = train(run, splits, out / TUNING, resume=True, observers=job.observers, threads=job.threads)
    return _exported(tuned, tuning, prepared, network, splits, out, heads)


def copied(net: ExitNet) -> dict[int, nn.Module]:
    """A network's heads, as new ones."""
    return {exit_: copy.deepcopy(net.head(exit_)) for exit_ in net.exits}


def _check_taps(tapped: ExitNet, attached: ExitNet, splits: Splits, paths: Sequence[str], takes: Preprocessing) -> None:
    """Raise InputError unless each tapped module gives what stands at its boundary."""
    assert isinstance(tapped, TappedNet)
    known = dict(tapped.model.named_modules())
    for path in paths:
        if path not in known:
            raise InputError(
                f"exit {path!r}: not what one of the network's modules gives, and so nothing that can be tuned with a "
                "head behind it. Choose a boundary that is called as a module, or attach without --tune."
            )
    image = torch.from_numpy(takes.from_uint8(splits.validation.images[:LOOKED_AT]))
    with torch.inference_mode():
        found, expected = tapped.features(image), attached.features(image)
    for path, one, other in zip(paths, found, expected, strict=False):
        right = other[0] if isinstance(other, tuple) else other
        alike = isinstance(one, torch.Tensor) and one.shape == right.shape
        if len(found) != len(expected) or not alike or not _close(one, right):
            raise InputError(
                f"exit {path!r}: its module gives something else than stands at the boundary (it works in place, gives "
                "several tensors, or runs more than once). Choose another boundary, or attach without --tune."
            )


def _close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return float((one - other).abs().max()) <= CLOSE * max(1.0, float(other.abs().max()))


def _exported(
    tuned: Checkpoint, tuning: Tuning, prepared: Prepared, before: GraphNetwork, splits: Splits, out: Path,
    heads: HeadRecipe,
) -> Checkpoint:  # fmt: skip
    """The graph of what the module has become, with the heads that learnt with it."""
    net = tuned.net
    assert isinstance(net, TappedNet)
    model = net.model.to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    source = parse_graph(module_graph(model, tuning.example), prepared.source.origin)
    again = Prepared.of(source, prepared.spec)
    chosen = pick(again.found, list(net.paths))
    network, files = again.network(chosen, before.classes, before.model, heads.head, before.input)
    final = build(network, files=files).eval()
    final.heads.load_state_dict(net.heads.state_dict())
    logits, labels = logits_of(final, splits.validation), splits.validation.labels
    right = {exit_: round(float((found.argmax(1) == labels).mean()), 6) for exit_, found in logits.items()}
    by_exit = {exit_: round(temperature(logits[exit_], labels), 5) for exit_ in final.exits[:-1]}
    fold(final, by_exit)
    weights: bytes = safetensors.torch.save(plain(final.state_dict()))
    card = tuned.card.model_copy(
        update={
            "architecture": network,
            "validation_accuracy": right,
            "temperatures": by_exit,
            "weights_sha256": hashlib.sha256(weights).hexdigest(),
        }
    )
    write_bytes(out / LOG, (out / TUNING / LOG).read_bytes())
    write_checkpoint(out, card, weights, files)
    for folder in (HEADS, TUNING):
        shutil.rmtree(out / folder)
    return Checkpoint(out, card, final.eval(), files)
