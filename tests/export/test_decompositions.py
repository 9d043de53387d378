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


class Masked(nn.Module):
    """Takes a mask of integers from a fraction, as older code does, and a multiple of one from a whole number."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.out = nn.Embedding(9, 6), nn.Linear(6, 3)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        unseen = torch.rsub(mask, 1.5, alpha=0.5) - (2 - mask)
        return self.out((self.table(ids) * unseen[..., None]).mean(1))


def test_a_number_less_a_tensor_of_another_type_is_exported_and_computes_the_same() -> None:
    """The exporter of torch 2.14 cannot promote the type of what is taken from a number."""
    torch.manual_seed(0)
    model = Masked().eval()
    ids, mask = torch.randint(0, 9, (3, 5)), torch.randint(0, 2, (3, 5))
    graph = module_graph(model, {"ids": ids[:2], "mask": mask[:2]})
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"ids": ids.numpy(), "mask": mask.numpy()})
    np.testing.assert_allclose(found, model(ids, mask).detach().numpy(), atol=1e-6)
