"""A network of several views in torch: trained as one, and taken apart into ordinary networks of stages and heads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from offramp.artifacts.preprocessing import Preprocessing
from offramp.artifacts.views import Join
from offramp.models.exit_net import ExitNet, Standardize, Statistics, unit_statistics
from offramp.models.heads import convolved
from offramp.models.views import ViewsNetwork


class ViewsNet(nn.Module):
    """Fronts and heads by view, then a join, and behind it two stages with a head each."""

    def __init__(
        self, document: ViewsNetwork, statistics: Mapping[str, Statistics] | None = None, seed: int = 0
    ) -> None:
        super().__init__()
        self.document = document
        # A module's name may not have a dot in it, and a view's may: they are kept in order.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            found = [_front(document, name, (statistics or {}).get(name)) for name in document.names]
            self.fronts = nn.ModuleList(front for front, _ in found)
            self.heads = nn.ModuleList(head for _, head in found)
            self.stages, self.behind = (nn.ModuleList(part) for part in _joint(document))

    def features(self, batch: Sequence[Tensor], there: Tensor) -> list[Tensor]:
        """What each front leaves of a batch `(N, …)` a view; zeros where a view is not `there` `(N, V)`."""
        found = []
        for front, view, mask in zip(self.fronts, batch, there.T, strict=True):
            if bool(mask.all()):
                found.append(front(view))
                continue
            some = front(view[mask]) if int(mask.sum()) > 1 or not self.training else front(view)[mask]
            found.append(torch.zeros(len(view), *some.shape[1:]).masked_scatter(_beside(mask, some), some))
        return found

    def forward(self, batch: Sequence[Tensor], there: Tensor, had: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Logits of every device for itself, and those of the two exits behind the join of what it `had` `(N, V)`."""
        features = self.features(batch, there)
        alone = [head(one) for head, one in zip(self.heads, features, strict=True)]
        sent = [signs(one) for one in features] if self.document.bits else features
        at, joint = join(sent, had, self.document.join), []
        for stage, head in zip(self.stages, self.behind, strict=True):
            at = stage(at)
            joint.append(head(at))
        return alone, joint

    def alone(self, view: str) -> ExitNet:
        """The network as it is where one device alone sees the thing; it shares the weights."""
        number = self.document.names.index(view)
        first, second = self.stages
        before = [_Among(number, len(self.fronts))] if self.document.join == "concat" else []
        heads = {1: self.heads[number], 2: self.behind[0], 3: self.behind[1]}
        return ExitNet([self.fronts[number], nn.Sequential(*before, first), second], heads)

    def joint(self) -> ExitNet:
        """What comes behind the join; it shares the weights."""
        return ExitNet(self.stages, {1: self.behind[0], 2: self.behind[1]})


@dataclass(frozen=True)
class TrainedViews:
    """A trained network in evaluation mode, and what it took."""

    net: ViewsNet
    recipe: Mapping[str, Any]
    epochs: int
    silent: float  # the probability with which each view was left out
    seed: int
    seconds: float
    accuracy: Mapping[str, float]  # on the validation set, all views there: each device's exit, `joint` and `last`


def join(views: Sequence[Tensor], had: Tensor, how: Join) -> Tensor:
    """`exits.joining.join`, of tensors that gradients go through."""
    masks = [_beside(mask, view) for mask, view in zip(had.T, views, strict=True)]
    if how == "max":
        kept = [view.masked_fill(~mask, -torch.inf) for view, mask in zip(views, masks, strict=True)]
        return torch.stack(kept).amax(dim=0)
    kept = [view.masked_fill(~mask, 0.0) for view, mask in zip(views, masks, strict=True)]
    if how == "concat":
        return torch.cat(kept, dim=1)
    return torch.stack(kept).sum(dim=0) / torch.stack(masks).sum(dim=0)


def signs(features: Tensor) -> Tensor:
    """-1 or 1 for each value; the gradient passes as if nothing had been done (a straight-through estimator).

    Y. Bengio et al. 2013, arXiv 1308.3432; I. Hubara et al. 2016, arXiv 1602.02830, whose networks DDNN's devices run.
    The features lie in [-1, 1] already, where that estimator lets gradients through.
    """
    return features + (torch.where(features > 0, 1.0, -1.0) - features).detach()


class _Among(nn.Module):
    """One view among others that are not there: zeros in their place. All leave features of one shape."""

    def __init__(self, number: int, of: int) -> None:
        super().__init__()
        self.before, self.after = number, of - number - 1

    def forward(self, features: Tensor) -> Tensor:
        none = torch.zeros_like(features)
        return torch.cat([none] * self.before + [features] + [none] * self.after, dim=1)


def _beside(mask: Tensor, features: Tensor) -> Tensor:
    return mask.reshape(-1, *[1] * (features.ndim - 1))


def _front(document: ViewsNetwork, view: str, statistics: Statistics | None) -> tuple[nn.Module, nn.Module]:
    """A device's stage and its head. Where logits are joined they are what the stage gives, and the head adds none."""
    takes, widths = document.takes[view], document.front
    layers: list[nn.Module]
    if isinstance(takes, Preprocessing):
        layers, before = [Standardize(*(statistics or unit_statistics(takes.channels)))], takes.channels
        for number, width in enumerate(widths):
            layers += [*([nn.MaxPool2d(2)] if number else []), *convolved(before, width)]
            before = width
        halved = len(widths) - 1
        size = before * (takes.height >> halved) * (takes.width >> halved)
    else:
        # Brings each value to mean 0 and deviation 1, by what training saw.
        layers, before = [nn.BatchNorm1d(takes.shape[0], affine=False)], takes.shape[0]
        for width in widths:
            layers += [nn.Linear(before, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
            before = width
        size = before
    if document.bits:
        layers[-1] = nn.Hardtanh()
    # Of a vector there is nothing to flatten, and the exporter would give its copy the boundary's name.
    flat = [nn.Flatten()] if isinstance(takes, Preprocessing) else []
    head = nn.Sequential(*flat, nn.Linear(size, len(document.classes)))
    if document.at == "logits":
        return nn.Sequential(*layers, head), _AsItIs()
    return nn.Sequential(*layers), head


class _AsItIs(nn.Module):
    """A head over logits: a copy, so that the graph has a tensor for each of the two names."""

    def forward(self, logits: Tensor) -> Tensor:
        return logits * 1.0


def _joint(document: ViewsNetwork) -> tuple[list[nn.Module], list[nn.Module]]:
    """The stages and heads behind the join: convolutions on maps, linear layers on vectors."""
    shape, width, classes = document.joined, document.behind, len(document.classes)
    if len(shape) == 1:
        stages = [nn.Sequential(nn.Linear(before, width), nn.ReLU()) for before in (shape[0], width)]
        return [*stages], [nn.Linear(width, classes) for _ in stages]
    channels, height, columns = shape
    halve = min(height, columns) >= 6
    first = [*convolved(channels, width), *([nn.MaxPool2d(2)] if halve else [])]
    size = width * (height >> halve) * (columns >> halve)
    heads = [nn.Sequential(nn.Flatten(), nn.Linear(size, classes)) for _ in range(2)]
    return [nn.Sequential(*first), nn.Sequential(*convolved(width, width))], [*heads]
