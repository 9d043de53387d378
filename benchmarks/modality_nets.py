"""Two networks in plain torch, of text and of sensors, and the few lines that train them."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """A transformer's block, normalization first."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.taken, self.given = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        batch, length, width = x.shape
        parts = self.taken(self.first(x)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :])
        x = x + self.given(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.narrow(F.gelu(self.wide(self.second(x))))


class Reader(nn.Module):
    """Tokens and their places, four blocks, the mean over what is no padding."""

    def __init__(self, words: int, length: int, classes: int, pad: int, width: int = 64) -> None:
        super().__init__()
        self.length, self.pad = length, pad
        self.words, self.places = nn.Embedding(words, width), nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks = nn.ModuleList(Attention(width, 4) for _ in range(4))
        self.last, self.answer = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        x, mask = self.words(input_ids) + self.places, attention_mask.bool()
        for block in self.blocks:
            x = block(x, mask)
        kept = attention_mask.to(x.dtype)[..., None]
        return self.answer((self.last(x) * kept).sum(1) / kept.sum(1))

    def classify(self, ids: Tensor) -> Tensor:
        """From ids as offramp has them, float32."""
        return self(ids.long(), (ids != self.pad).long())

    def example(self) -> dict[str, Tensor]:
        """Two samples, by the names that the inputs have."""
        ids = torch.ones(2, self.length, dtype=torch.long)
        return {"input_ids": ids, "attention_mask": ids}


class Convolution(nn.Module):
    """A residual block over time."""

    def __init__(self, taken: int, given: int) -> None:
        super().__init__()
        self.one, self.two = nn.Conv1d(taken, given, 5, padding=2), nn.Conv1d(given, given, 3, padding=1)
        self.a, self.b = nn.BatchNorm1d(given), nn.BatchNorm1d(given)
        self.past = nn.Identity() if taken == given else nn.Conv1d(taken, given, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.past(x) + self.b(self.two(F.relu(self.a(self.one(x))))))


class Sensors(nn.Module):
    """Four blocks over time, what was seen in the mean and at most, a layer."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.shape = (channels, 29)
        widths = (channels, 32, 32, 64, 64)
        self.scale = nn.BatchNorm1d(channels)
        self.blocks = nn.ModuleList(Convolution(*pair) for pair in pairwise(widths))
        self.answer = nn.Linear(2 * widths[-1], classes)

    def forward(self, values: Tensor) -> Tensor:
        x = self.scale(values)
        for block in self.blocks:
            x = block(x)
        return self.answer(torch.cat([x.mean(2), x.amax(2)], 1))

    def classify(self, values: Tensor) -> Tensor:
        """As it is."""
        return self(values)

    def example(self) -> tuple[int, int]:
        """One sample's shape."""
        return self.shape


def fit(net: nn.Module, x: Tensor, labels: Tensor, *, epochs: int, batch: int = 32, rate: float = 2e-3) -> None:
    """AdamW, a cosine over all steps, on one thread."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    steps = epochs * -(-len(x) // batch)
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    net.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(batch):
            loss = F.cross_entropy(net.classify(x[rows]), labels[rows], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
