"""Heads: what classifies the features of a boundary."""

from torch import nn


def pooled_linear(width: int, classes: int) -> list[nn.Module]:
    """The paper's fully connected block: average pooling and a linear layer."""
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes)]


def convolutional(width: int, classes: int) -> list[nn.Module]:
    """A strided 3x3 convolution to twice the channels before pooling and linear layer.

    An average over a low stage's map keeps how often an edge occurs and not where: early exits starve on it. MSDNet
    (Huang et al., ICLR 2018, arXiv 1703.09844) puts two such convolutions into each classifier; this is one of them.
    """
    return [*convolved(width, 2 * width, stride=2), *pooled_linear(2 * width, classes)]


def convolved(before: int, width: int, size: int = 3, stride: int = 1) -> list[nn.Module]:
    """A convolution that keeps the map's size at a stride of 1, batch normalization, ReLU."""
    convolution = nn.Conv2d(before, width, size, stride, padding=size // 2, bias=False)
    return [convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
