"""earlyon's exits on a backbone, as `benchmarks/attach.py` asks for them: a JSON object a line in, one out.

Runs in earlyon's own environment (`setup.sh`). What is trained, and on what, comes in a file of arrays. Its own heads,
its own trainer with its own defaults but for the epochs, its own routing by entropy.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from earlyon import EarlyExitConfig, EarlyExitHead, EarlyExitWrapper, ExitPoint
from earlyon.training.two_stage_trainer import stage2_train_exits
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

sys.path.insert(0, str(Path(__file__).parents[1]))
from backbone_nets import NETWORKS, normalized

BATCH = 128


def wrapped(backbone: nn.Module, layers: dict[str, int], size: tuple[int, ...], classes: int, pool: str) -> Any:
    """As its `custom_ee` puts it together, which cannot be imported where torchvision cannot."""
    points = [ExitPoint(name=f"exit_{i}", layer_name=layer, in_channels=width)
              for i, (layer, width) in enumerate(layers.items())]  # fmt: skip
    heads = {point.name: EarlyExitHead(point.in_channels, classes, pool_tokens=pool) for point in points}
    config = EarlyExitConfig("custom", classes, points, routing_policy="entropy")
    return EarlyExitWrapper(backbone, heads, nn.Identity(), config, input_shape=(1, *size))


def logits(model: Any, images: torch.Tensor) -> np.ndarray:
    """Of every exit and the end, `(exits, N, classes)`."""
    model.eval()
    with torch.inference_mode():
        parts = [torch.stack(model(some, mode="training")).numpy() for some in images.split(250)]
    return np.concatenate(parts, axis=1)


def timed(model: Any, images: torch.Tensor, batch: int) -> dict[str, float]:
    """Seconds of each call over some images, with real early exits."""
    model.eval()
    seconds = []
    for start in range(0, len(images), batch):
        some = images[start : start + batch]
        begin = time.perf_counter()
        if batch == 1:
            model(some, mode="inference")
        else:
            model.forward_inference_batched(some)
        seconds.append(time.perf_counter() - begin)
    return {"p50": float(np.median(seconds)), "seconds": float(np.sum(seconds)), "images": len(images)}


def main() -> None:
    model: Any = None
    images: dict[str, torch.Tensor] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["do"] == "start":
            answer: dict[str, Any] = {}
        elif asked["do"] == "train":
            torch.set_num_threads(asked["threads"])
            torch.manual_seed(asked["seed"])
            arrays = np.load(asked["arrays"])
            images = {name: normalized(torch.from_numpy(arrays[name]).permute(0, 3, 1, 2).float() / 255)
                      for name in ("train", "test")}  # fmt: skip
            labels = torch.from_numpy(arrays["labels"])
            backbone = NETWORKS[asked["network"]]()
            backbone.load_state_dict(load_file(asked["weights"]))
            model = wrapped(
                backbone.eval(), asked["layers"], images["train"].shape[1:], int(labels.max()) + 1, asked["pool"]
            )
            loader = DataLoader(TensorDataset(images["train"], labels), batch_size=BATCH, shuffle=True)
            start = time.perf_counter()
            stage2_train_exits(model, loader, epochs=asked["epochs"], on_epoch_end=lambda log: None)
            seconds = time.perf_counter() - start
            np.save(asked["out"], logits(model, images["test"]))
            answer = {"seconds": seconds}
        elif asked["do"] == "time":
            model.config.entropy_thresholds = asked["thresholds"]  # in nats, an exit with less leaves
            answer = timed(model, images["test"][asked["first"] : asked["first"] + asked["images"]], asked["batch"])
        else:
            answer = {"error": f"{asked['do']}: unknown"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
