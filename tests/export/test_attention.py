"""Attention over queries of 3 and 5 dimensions: what the exporter alone refuses."""

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from offramp.export.module import module_graph


class Units(nn.Module):
    """Attention inside of units `(N, heads, units, L, D)`, some places masked, then over all `(N, L, D)` in order."""

    def __init__(self) -> None:
        super().__init__()
        self.weigh = nn.Linear(8, 24)
        self.register_buffer("mask", torch.tensor([[True, False, True], [True, True, False], [True, True, True]]))

    def forward(self, x: Tensor) -> Tensor:
        parts = self.weigh(x).reshape(x.shape[0], 2, 3, 3, 2, 4).permute(3, 0, 4, 1, 2, 5)
        queries, keys, values = parts.unbind(0)
        inside = F.scaled_dot_product_attention(queries, keys, values, attn_mask=self.mask, scale=0.7)
        rows = inside.permute(0, 2, 3, 1, 4).reshape(x.shape[0], 6, 8)
        return F.scaled_dot_product_attention(rows, rows, rows, is_causal=True).mean(1)


def test_attention_of_any_rank_is_exported_and_computes_the_same() -> None:
    """At batch sizes other than the example's."""
    torch.manual_seed(0)
    net = Units().eval()
    session = ort.InferenceSession(module_graph(net, (6, 8)), providers=["CPUExecutionProvider"])
    for size in (1, 5):
        x = torch.randn(size, 6, 8)
        (found,) = session.run(None, {"x": x.numpy()})
        with torch.no_grad():
            np.testing.assert_allclose(found, net(x), atol=1e-6)
