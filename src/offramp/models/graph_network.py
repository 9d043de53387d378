"""Any classifier with exits: an ONNX graph that stays as it is, and heads at some of its boundaries.

The document, and the network it describes. The graph's stages run on onnxruntime, the heads on torch: they learn, the
graph does not. How a graph's boundaries are found is `offramp.graphs`' affair.
"""

from collections.abc import Mapping
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import nn

from offramp.artifacts.document import Frozen
from offramp.artifacts.inputs import Input
from offramp.artifacts.stages import IMAGE, Shape, features_name
from offramp.graphs.layout import Kind
from offramp.models.architecture import Architecture
from offramp.models.exit_net import ExitNet, Statistics
from offramp.models.heads import GraphHead, standing_on
from offramp.models.summary import Features
from offramp.runtime.cut import extract
from offramp.runtime.onnx_span import OnnxSpan

BACKBONE = "backbone.onnx"


class GraphStage(Frozen):
    """A stage, and the tensors that it leaves at its boundary: the first is what a head stands on."""

    name: str  # of the boundary, in its maker's words
    tensors: dict[str, Shape]
    kind: Kind
    macs: int
    parameters: int


class GraphNetwork(Architecture):
    """An ONNX graph cut into stages, with a head at each boundary; the last exit's answer is the graph's own.

    `files` are the graph's, and what else lies beside the weights, with their sha256. `heads` gives the kind of each
    local exit's, `tolerance` the largest difference that was found between the graph in pieces and whole, as a share
    of the largest value.
    """

    family: Literal["graph"] = "graph"
    model: str
    input: Input
    files: dict[str, str]
    stages: tuple[GraphStage, ...]
    heads: dict[int, GraphHead]
    tolerance: float = Field(ge=0)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.exits != tuple(range(1, len(self.stages) + 1)):
            raise ValueError(f"exits: one at each of the {len(self.stages)} boundaries is needed, got {self.exits}")
        if tuple(sorted(self.heads)) != self.exits[:-1]:
            raise ValueError(f"heads: one for each exit but the last is needed, got {sorted(self.heads)}")
        if BACKBONE not in self.files:
            raise ValueError(f"files: {BACKBONE} is not listed")
        if self.stages[-1].tensors != {features_name(self.last): (len(self.classes),)}:
            raise ValueError(f"stages: the last one gives {len(self.classes)} logits as {features_name(self.last)}")
        return self

    @property
    def last(self) -> int:
        """The last exit, and the number of stages."""
        return len(self.stages)

    @property
    def takes(self) -> Input:
        """What comes in."""
        return self.input

    @property
    def beside(self) -> Mapping[str, str]:
        """The graph, and what else it needs."""
        return self.files

    @property
    def name(self) -> str:
        """What its maker calls it."""
        return self.model


class OnnxStage(nn.Module):
    """A stage of an ONNX graph, run on onnxruntime: no gradient goes through it. Copies share the graph."""

    def __init__(self, graph: bytes, takes: tuple[str, ...], stage: GraphStage) -> None:
        super().__init__()
        self.graph, self.takes, self.stage = graph, takes, stage
        self.spans: dict[int, OnnxSpan] = {}  # by their threads: what torch computes on may change

    def forward(self, features: Features) -> Features:
        """From the tensors of one boundary to those of the next; one alone is no tuple."""
        tensors = features if isinstance(features, tuple) else (features,)
        found = self._span().run(*(one.detach().cpu().numpy() for one in tensors))
        made = tuple(torch.from_numpy(found[name]).to(tensors[0].device) for name in self.stage.tensors)
        return made if len(made) > 1 else made[0]

    def _span(self) -> OnnxSpan:
        threads = torch.get_num_threads()
        if threads not in self.spans:
            names = list(self.stage.tensors)
            part = extract(self.graph, [*self.takes], names, BACKBONE).SerializeToString()
            self.spans[threads] = OnnxSpan(part, self.takes, {name: name for name in names}, threads)
        return self.spans[threads]

    def __deepcopy__(self, memo: dict[int, object]) -> "OnnxStage":
        """Nothing in it changes, and a session of onnxruntime cannot be copied."""
        return OnnxStage(self.graph, self.takes, self.stage)


class GraphNet(ExitNet):
    """Stages of a graph, and heads that learn."""

    def __init__(self, stages: list[OnnxStage], heads: Mapping[int, nn.Module]) -> None:
        super().__init__(stages, heads)
        self.described = [stage.stage for stage in stages]

    def names(self, boundary: int) -> tuple[str, ...]:
        """As the graph calls them."""
        return tuple(self.tensors_at(boundary))

    def tensors_at(self, boundary: int) -> dict[str, Shape]:
        """The tensors at a boundary by their names, with a sample's shape of each."""
        return self.described[boundary - 1].tensors


def graph_network(
    architecture: GraphNetwork,
    statistics: Statistics | None = None,
    seed: int = 0,
    *,
    files: Mapping[str, bytes],
) -> GraphNet:
    """Build the network on its graph, one of `files`, with heads freshly drawn, each from a seed of its own."""
    takes: tuple[str, ...] = (IMAGE,)
    stages = []
    for stage in architecture.stages:
        stages.append(OnnxStage(files[BACKBONE], takes, stage))
        takes = tuple(stage.tensors)
    heads: dict[int, nn.Module] = {architecture.last: nn.Identity()}
    with torch.random.fork_rng(devices=[]):
        for exit_, head in architecture.heads.items():
            torch.manual_seed(seed * 1_000 + exit_)
            stage = architecture.stages[exit_ - 1]
            shape = next(iter(stage.tensors.values()))
            heads[exit_] = standing_on(stage.kind, shape, len(architecture.classes), head)
    return GraphNet(stages, heads)
