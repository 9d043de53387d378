"""Make one network of `networks.py` with random weights and export it: what runs inside its package's environment.

    python benchmarks/foreign/export.py PLACE FILE.onnx

PLACE counts from 0. The last line is JSON: parameters, and the processor seconds that the export took.
"""

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from networks import ALL, Network
from torch import nn

from offramp.export.module import Example, module_graph

CLASSES = 1000
ASLEEP = 1e-3  # largest value of such weights


def make(network: Network) -> nn.Module:
    """One of them, in evaluation mode."""
    package: Any = importlib.import_module(network.package)
    if network.package == "torchvision":
        made: nn.Module = package.models.get_model(network.name, weights=None)
    elif network.package == "timm":
        made = package.create_model(network.name, pretrained=False)
    else:
        kind = "SequenceClassification" if len(network.shape) == 1 else "ImageClassification"
        config = getattr(package, f"{network.name}Config")(num_labels=CLASSES if kind[0] == "I" else 2)
        made = getattr(package, f"{network.name}For{kind}")(config)
    return made.eval()


def awake(model: nn.Module) -> nn.Module:
    """Draw what training would have to wake up: heads of 0 and scales of 1e-6, behind which no wrong cut is seen."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.abs().max() > ASLEEP or name.endswith("bias"):
                continue
            if weight.numel() == max(weight.shape, default=1):  # a scale for each channel
                weight.uniform_(0.1, 1.0)
            else:
                weight.normal_(0.0, 0.02)
    return model


def example(network: Network) -> Example:
    """What it is exported with."""
    if len(network.shape) > 1:
        return network.shape
    ids = torch.randint(1, 1000, (2, *network.shape))
    if not network.mask:
        return {"input_ids": ids}
    mask = torch.ones_like(ids)
    mask[1, network.shape[0] // 2 :] = 0
    return {"input_ids": ids, "attention_mask": mask}


def main() -> None:
    """Make, export, write."""
    network, out = ALL[int(sys.argv[1])], Path(sys.argv[2])
    torch.manual_seed(0)
    model = awake(make(network))
    start = time.process_time()
    content = module_graph(model, example(network))
    seconds = time.process_time() - start
    out.write_bytes(content)
    parameters = sum(weight.numel() for weight in model.parameters())
    print(json.dumps({"parameters": parameters, "export_s": round(seconds, 2), "bytes": len(content)}))


if __name__ == "__main__":
    main()
