"""Two classifiers as somebody else would have them, trained on CIFAR-10 without a local exit: a ResNet and a small ViT.

    python benchmarks/backbones.py resnet --data data/cifar10 --out backbones/resnet --epochs 12 --threads 1

Plain torch: a module, a loop, an ONNX file. Nothing of offramp but its reader of image sets and its augmentation. The
networks want normalized images, as most do: `preprocessor_config.json` says how, in Hugging Face's words. An
interrupted run goes on with the epoch that it was in. `benchmarks/own_network.py` gives them exits.
"""

import argparse
import json
import math
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from alternate import last_line
from offramp.artifacts.measurement import Conditions
from offramp.data.image_set import ImageSet, Splits
from offramp.data.load import load
from offramp.machine import here
from offramp.train.augment import Batches

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
    """Six residual blocks over maps of 16, 8 and 4 pixels: 58 million multiply-adds for 32x32."""

    def __init__(self, widths: tuple[int, ...] = (48, 96, 192)) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, padding=1, bias=False)
        self.bn1, self.relu, self.pool = nn.BatchNorm2d(32), nn.ReLU(inplace=True), nn.AvgPool2d(2)
        before = 32
        for number, width in enumerate(widths, start=1):
            stride = 1 if number == 1 else 2
            self.add_module(f"layer{number}", nn.Sequential(Residual(before, width, stride), Residual(width, width, 1)))
            before = width
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(before, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        x = self.pool(self.relu(self.bn1(self.conv1(image))))
        x = self.layer3(self.layer2(self.layer1(x)))
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
        x = torch.cat([self.cls_token.expand(len(image), -1, -1), patches], dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.norm(x)[:, 0])
        return logits


def resnet() -> nn.Module:
    """The ResNet with fresh weights, in evaluation mode: what `offramp boundaries backbones:resnet` names."""
    return ResNet().eval()


def vit() -> nn.Module:
    """The ViT with fresh weights, in evaluation mode."""
    return ViT().eval()


NETWORKS = {"resnet": resnet, "vit": vit}
RATES = {"resnet": 0.1, "vit": 1e-3}


def normalized(images: Tensor) -> Tensor:
    """Pixels in [0, 1] as the networks want them."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (images - mean) / std


def train(name: str, splits: Splits, out: Path, epochs: int, seed: int) -> tuple[nn.Module, float]:
    """One-cycle, bf16 where the processor multiplies it; gives the network and the seconds that this process took."""
    torch.manual_seed(seed)
    net = NETWORKS[name]().train().to(memory_format=torch.channels_last)
    decayed = [p for p in net.parameters() if p.ndim > 1]
    groups = [
        {"params": decayed, "weight_decay": 5e-4 if name == "resnet" else 0.05},
        {"params": [p for p in net.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer: torch.optim.Optimizer
    if name == "resnet":
        optimizer = torch.optim.SGD(groups, lr=RATES[name], momentum=0.9, nesterov=True)
    else:
        optimizer = torch.optim.AdamW(groups, lr=RATES[name])
    batches = Batches(splits.train, batch_size=128, flip=True, crop=3, seed=seed, device=torch.device("cpu"))
    state, first = out / "state.pt", 0
    if state.exists():  # ours, written below, and read without running what is in it
        saved = torch.load(state, weights_only=True)
        net.load_state_dict(saved["net"])
        optimizer.load_state_dict(saved["optimizer"])
        first = saved["epochs"]
    start, steps = time.perf_counter(), epochs * len(batches)
    for epoch in range(first, epochs):
        total = torch.zeros(())
        for step, (images, labels) in enumerate(batches.epoch(epoch), start=epoch * len(batches)):
            for group in optimizer.param_groups:
                group["lr"] = RATES[name] * min(step / (0.2 * steps), (1 - step / steps) / 0.8)
            with torch.autocast("cpu", torch.bfloat16, enabled=torch.cpu._is_avx512_bf16_supported()):
                loss = F.cross_entropy(net(normalized(images)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
        if not math.isfinite(float(total)):
            raise SystemExit(f"{name}: the loss is not a number in epoch {epoch + 1}.")
        torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict(), "epochs": epoch + 1}, state)
        right = accuracy(net, splits.validation)
        print(
            f"{name}: epoch {epoch + 1} of {epochs}, loss {total / len(batches):.4f}, validation {right:.2%}, "
            f"{time.perf_counter() - start:.0f} s",
            flush=True,
        )
    return net.eval(), time.perf_counter() - start


def accuracy(net: nn.Module, images: ImageSet) -> float:
    """Share of images classified rightly, in fp32."""
    net.eval()
    right = 0
    with torch.inference_mode():
        for start in range(0, len(images), 250):
            pixels = torch.from_numpy(images.images[start : start + 250]).permute(0, 3, 1, 2).float() / 255
            right += int((net(normalized(pixels)).argmax(1).numpy() == images.labels[start : start + 250]).sum())
    net.train()
    return right / len(images)


def write(net: nn.Module, out: Path) -> None:
    """Weights, ONNX with a free batch size, and how its input is made, as others hand a network on."""
    net = net.eval().to(memory_format=torch.contiguous_format)
    save_file({key: value.contiguous() for key, value in net.state_dict().items()}, out / "model.safetensors")
    shapes = ({0: torch.export.Dim("batch", min=1)},)
    program = torch.onnx.export(
        net,
        (torch.zeros(2, 3, 32, 32),),
        input_names=["pixel_values"],
        output_names=["logits"],
        dynamic_shapes=shapes,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    (out / "model.onnx").write_bytes(program.model_proto.SerializeToString())
    config = {
        "do_normalize": True,
        "image_mean": MEAN,
        "image_std": STD,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_resize": True,
        "size": {"height": 32, "width": 32},
        "resample": 2,
    }
    (out / "preprocessor_config.json").write_text(json.dumps(config, indent=2) + "\n")


def load_weights(name: str, folder: Path) -> nn.Module:
    """A trained one, in evaluation mode."""
    net = NETWORKS[name]()
    net.load_state_dict(load_file(folder / "model.safetensors"))
    return net.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    asked.out.mkdir(parents=True, exist_ok=True)
    splits = load(asked.data, (3, 32, 32), seed=asked.seed)
    net, seconds = train(asked.network, splits, asked.out, asked.epochs, asked.seed)
    write(net, asked.out)
    test = accuracy(net, splits.test)
    figures = {
        "parameters": sum(p.numel() for p in net.parameters()),
        "test_accuracy": round(test, 4),
        "seconds": round(seconds, 1),
    }
    last_line(
        "backbones",
        figures,
        Conditions(**here(), batch_size=128, link="none", runtime=f"torch {torch.__version__}", dtype="bf16 and fp32"),
        network=asked.network,
        epochs=asked.epochs,
        threads=asked.threads,
        seed=asked.seed,
    )


if __name__ == "__main__":
    main()
