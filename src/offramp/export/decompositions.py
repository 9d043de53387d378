"""Operations that torch's exporter does not know as they come, in words that it knows.

Attention over queries that are not 4-D (Hiera's are 5-D), and a number less a tensor of another type (XLNet's mask).
"""

from typing import Any

import torch
from torch import Tensor

ATTENTION: Any = torch.ops.aten.scaled_dot_product_attention.default
LESS: Any = torch.ops.aten.rsub.Scalar


def attention_of_any_rank(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """`scaled_dot_product_attention` of `(..., L, D)` as that of `(N, 1, L, D)`; 4-D stays as it is."""
    if query.ndim == 4 or enable_gqa:
        return NotImplemented
    before = query.shape[:-2]

    def flat(tensor: Tensor) -> Tensor:
        return tensor.expand(*before, *tensor.shape[-2:]).reshape(-1, 1, *tensor.shape[-2:])

    mask = None if mask is None else flat(mask)
    answer = ATTENTION(flat(query), flat(key), flat(value), mask, dropout, causal, scale=scale)
    return answer.reshape(*before, query.shape[-2], value.shape[-1])


def less_another_type(tensor: Tensor, number: float, alpha: float = 1) -> Any:
    """`number - alpha * tensor`, the tensor cast before; of the answer's own type it stays as it is."""
    kind = torch.result_type(tensor, number)
    if tensor.dtype == kind:
        return NotImplemented
    return tensor.to(kind) * -alpha + number


DECOMPOSITIONS = {ATTENTION: attention_of_any_rank, LESS: less_another_type}
