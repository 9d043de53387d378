"""Two classifiers as somebody else would have them, in plain torch: a ResNet and a small ViT for 32x32 images.

`offramp boundaries backbone_nets:resnet --shape 3x32x32` shows where they can be cut; `backbones.py` trains them.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # of CIFAR-10's training images
CLASSES = 10


class Residual(nn.Module):
    """Two 3x3 convolutions and the way past them (He et al., arXiv 1512.03385)."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or before != width:
            self.downsample = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(inner + self.downsample(x))


class ResNet(nn.Module):
    """Two residual blocks a width, each width but the first on maps half as large as those before it.

    As it stands, over maps of 16, 8 and 4 pixels: 58 million multiply-adds for 32x32.
    """

    def __init__(self, widths: tuple[int, ...] = (48, 96, 192), stem: int = 32, pooled: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, stem, 3, padding=1, bias=False)
        self.bn1, self.relu = nn.BatchNorm2d(stem), nn.ReLU(inplace=True)
        self.pool = nn.AvgPool2d(2) if pooled else nn.Identity()
        self.depth, before = len(widths), stem
        for number, width in enumerate(widths, start=1):
            stride = 1 if number == 1 else 2
            self.add_module(f"layer{number}", nn.Sequential(Residual(before, width, stride), Residual(width, width, 1)))
            before = width
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(before, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        x = self.pool(self.relu(self.bn1(self.conv1(image))))
        for number in range(1, self.depth + 1):
            x = self.get_submodule(f"layer{number}")(x)
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


class Attention(nn.Module):
    """Pre-normalized self-attention and two linear layers (Dosovitskiy et al., arXiv 2010.11929)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(batch, tokens, width)
        x = x + self.proj(mixed)
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    """Six blocks over 64 tokens of two strided convolutions, with a class token: 32 million multiply-adds for 32x32.

    Convolutions in place of patches, since a small set has no images to learn them from (arXiv 2106.14881).
    """

    def __init__(self, width: int = 96, depth: int = 6, heads: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width // 2, 3, 2, 1, bias=False),
            nn.BatchNorm2d(width // 2),
            nn.ReLU(inplace=True),
            nn.Conv2d(width // 2, width, 3, 2, 1),
        )
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, 65, width))
        self.blocks = nn.ModuleList(Attention(width, heads) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        patches = self.stem(image).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(image.shape[0], -1, -1), patches], dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.norm(x)[:, 0])
        return logits


def resnet() -> nn.Module:
    """The ResNet with fresh weights, in evaluation mode: as `backbone_nets:resnet` names it."""
    return ResNet().eval()


def resnet18() -> nn.Module:
    """ResNet-18 as it is for 32x32, its first convolution of 3x3 and no pooling: 556 million multiply-adds."""
    return ResNet((64, 128, 256, 512), stem=64, pooled=False).eval()


def vit() -> nn.Module:
    """The ViT with fresh weights, in evaluation mode."""
    return ViT().eval()


NETWORKS = {"resnet": resnet, "vit": vit}


def normalized(images: Tensor) -> Tensor:
    """Pixels in [0, 1] as the networks want them."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (images - mean) / std
