"""Two classifiers as somebody else would have them, trained on CIFAR-10 without a local exit: a ResNet and a small ViT.

    python benchmarks/backbones.py resnet --data data/cifar10 --out backbones/resnet --epochs 12 --threads 1

Plain torch: a module, a loop, an ONNX file. Nothing of offramp but its reader of image sets and its augmentation. The
networks want normalized images, as most do: `preprocessor_config.json` says how, in Hugging Face's words. An
interrupted run goes on with the epoch that it was in. `benchmarks/attach.py` gives them exits.
"""

import argparse
import json
import math
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from alternate import last_line
from backbone_nets import MEAN, NETWORKS, STD, normalized
from offramp.artifacts.measurement import Conditions
from offramp.data.image_set import ImageSet, Splits
from offramp.data.load import load
from offramp.machine import here
from offramp.train.augment import Batches

RATES = {"resnet": 0.1, "vit": 1e-3}


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
