"""One ONNX graph of a network, whose boundaries are named tensors: image, features_1, logits_1, …"""

import io
import warnings
from typing import Any, Literal

import torch
from torch import Tensor, nn

from offramp.artifacts.stages import IMAGE, logits_name
from offramp.models.exit_net import ExitNet

OPSET = 18
Exporter = Literal["torchscript", "dynamo"]


class _Boundaries(nn.Module):
    """The network as a function from the image to every boundary and every exit, in the order of `output_names`."""

    def __init__(self, net: ExitNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        features = self.net.features(image)
        return (*features, *(self.net.head(exit_)(features[exit_ - 1]) for exit_ in self.net.exits))


def output_names(net: ExitNet) -> list[str]:
    """Names of the graph's outputs, in order."""
    boundaries = [name for boundary in range(1, net.last + 1) for name in net.names(boundary)]
    return [*boundaries, *map(logits_name, net.exits)]


def to_onnx(net: ExitNet, shape: tuple[int, ...], exporter: Exporter = "torchscript") -> bytes:
    """Write a network in evaluation mode as an ONNX graph with a free batch size.

    The older exporter is the default: 0.25 s where the newer takes 4.8 s on the nine-block network, with the same
    outputs to 1e-7. When torch drops it, `dynamo` is ready.
    """
    module, names = _Boundaries(net).eval(), output_names(net)
    example, buffer = (torch.zeros(2, *shape),), io.BytesIO()
    also: dict[str, Any] = {"input_names": [IMAGE], "output_names": names, "opset_version": OPSET}
    with torch.no_grad(), warnings.catch_warnings():
        # Both exporters warn of torch's own deprecations at each use.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        if exporter == "torchscript":
            free = {name: {0: "batch"} for name in (IMAGE, *names)}
            # The annotation forgot what the older exporter takes.
            torch.onnx.export(module, example, buffer, dynamic_axes=free, dynamo=False, **also)  # type: ignore[arg-type]
            return buffer.getvalue()
        batch = ({0: torch.export.Dim("batch")},)
        program = torch.onnx.export(module, example, dynamic_shapes=batch, dynamo=True, verbose=False, **also)
        assert program is not None
        graph: bytes = program.model_proto.SerializeToString()
        return graph
