"""A torch module with heads at what some of its modules give: somebody else's network while it is tuned with exits.

Its code is not ours and stays in one piece: hooks take the features where they come by. What comes of the tuning is
exported again, and a checkpoint of it holds a graph and no code (`models.graph_network`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor, nn

from offramp.artifacts.inputs import Input
from offramp.errors import InputError
from offramp.graphs.spec import InputSpec
from offramp.models.architecture import Architecture
from offramp.models.exit_net import ExitNet, Passed


class TappedModule(Architecture):
    """Which modules of a network have a head behind them, by their paths; the last exit is the network's own."""

    family: Literal["tapped"] = "tapped"
    model: str
    input: Input
    paths: tuple[str, ...]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.exits != tuple(range(1, len(self.paths) + 2)):
            raise ValueError(f"exits: one at each of the paths and one at the end are needed, got {self.exits}")
        return self

    @property
    def takes(self) -> Input:
        """What comes in."""
        return self.input

    @property
    def name(self) -> str:
        """What its maker calls it."""
        return self.model


class Prepare(nn.Module):
    """What a spec says comes before the first layer, as `graphs.inputs` puts it before a graph."""

    scale: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, spec: InputSpec, channels: int) -> None:
        super().__init__()
        self.bgr, self.grey, self.last, self.channels = spec.bgr, spec.grey, bool(spec.channels_last), channels
        for name, values in (("scale", (spec.scale,)), ("mean", spec.mean or (0.0,)), ("std", spec.std or (1.0,))):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Take images `(N, C, H, W)` in [0, 1]."""
        if self.grey:
            image = image.expand(-1, self.channels, -1, -1)
        if self.bgr:
            image = image.flip(1)
        image = (image * self.scale - self.mean) / self.std
        return image.permute(0, 2, 3, 1) if self.last else image


class TappedNet(ExitNet):
    """A whole network as its one stage, and heads at boundaries inside it."""

    def __init__(
        self, model: nn.Module, paths: Sequence[str], heads: Mapping[int, nn.Module], prepare: nn.Module
    ) -> None:
        super().__init__([nn.ModuleDict({"prepare": prepare, "model": model})], heads)
        self.paths = tuple(paths)

    @property
    def model(self) -> nn.Module:
        """The network."""
        inner = self.stages[0]
        assert isinstance(inner, nn.ModuleDict)
        return inner["model"]

    @property
    def last(self) -> int:
        """The last exit: behind the heads' boundaries, the network's own."""
        return max(self.exits, default=0)

    def features(self, image: Tensor) -> list[Any]:
        """What each tapped module gives, and the logits."""
        found: list[Any] = []

        def passed(_boundary: int, features: Any) -> Any:
            found.append(features)
            return features

        self.walk(image, passed)
        return found

    def walk(self, image: Tensor, passed: Passed, *, frozen: bool = False) -> None:
        """Go through the network; what comes by at a boundary is told to `passed`, and what that gives goes on.

        As a copy: a layer behind it that works in place must not change what a head has read.
        """
        inner, ambient = self.stages[0], torch.is_grad_enabled()
        assert isinstance(inner, nn.ModuleDict)

        def tap(boundary: int) -> Callable[[nn.Module, Any, Any], Tensor]:
            def told(_module: nn.Module, _args: Any, features: Any) -> Tensor:
                with torch.set_grad_enabled(ambient):  # heads learn where the network does not
                    onwards: Tensor = passed(boundary, features)
                return onwards.clone()

            return told

        taps = {path: tap(boundary) for boundary, path in enumerate(self.paths, start=1)}
        with torch.set_grad_enabled(ambient and not frozen), _hooked(self.model, taps):
            logits = logits_in(inner["model"](inner["prepare"](image)))
        passed(self.last, logits)


def logits_in(answer: Any) -> Tensor:
    """The logits of what a network answers: a tensor, or what holds one by that name."""
    found = answer if isinstance(answer, Tensor) else getattr(answer, "logits", None)
    if not isinstance(found, Tensor):
        raise InputError(f"model: answers with a {type(answer).__name__}, and logits are a tensor. Wrap it.")
    return found


@contextmanager
def _hooked(model: nn.Module, taps: Mapping[str, Callable[[nn.Module, Any, Any], Tensor]]) -> Iterator[None]:
    handles = [model.get_submodule(path).register_forward_hook(tap) for path, tap in taps.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
