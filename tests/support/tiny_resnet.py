"""A small residual network of plain torch, as a user has one; trained on the digits in seconds."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from offramp.data.image_set import ImageSet

SHAPE = (1, 16, 16)


class Block(nn.Module):
    """Two convolutions and a skip."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.skip = nn.Conv2d(before, width, 1, stride, bias=False) if stride > 1 or before != width else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(features)))))
        return F.relu(inner + self.skip(features))


class TinyResNet(nn.Module):
    """A stem, four blocks, pooling and a linear layer; it normalizes nothing itself."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, 1, 1)
        self.layer1 = nn.Sequential(Block(8, 8, 2), Block(8, 8, 1))
        self.layer2 = nn.Sequential(Block(8, 16, 2), Block(16, 16, 1))
        self.fc = nn.Linear(16, 10)

    def forward(self, image: Tensor) -> Tensor:
        features = self.layer2(self.layer1(F.relu(self.stem(image))))
        return self.fc(features.mean((2, 3)))


def untrained() -> tuple[nn.Module, tuple[int, ...]]:
    """A factory, as `offramp attach tiny_resnet:untrained` calls it."""
    torch.manual_seed(0)
    return TinyResNet().eval(), SHAPE


def training() -> tuple[nn.Module, tuple[int, ...]]:
    """A factory that forgot eval()."""
    return TinyResNet(), SHAPE


def trained(images: ImageSet, epochs: int = 5) -> nn.Module:
    """A network that has learnt some."""
    torch.manual_seed(0)
    net = TinyResNet()
    optimizer = torch.optim.AdamW(net.parameters(), 5e-3)
    pixels = torch.from_numpy(images.images.transpose(0, 3, 1, 2).astype(np.float32) / 255)
    labels = torch.from_numpy(images.labels)
    for _ in range(epochs):
        for rows in torch.randperm(len(labels)).split(64):
            loss = F.cross_entropy(net(pixels[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net.eval()
