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
ALIKE = 1e-3  # of the largest logit: two samples whose answers are no farther apart show no wrong cut


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


def awake(model: nn.Module, network: Network) -> nn.Module:
    """Draw what training would have to wake up, behind which no wrong cut is seen.

    Heads of 0 and scales of 1e-6; and all weights by He's rule where they are so small that features die on the way.
    """
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.abs().max() > ASLEEP or name.endswith("bias"):
                continue
            if weight.numel() == max(weight.shape, default=1):  # a scale for each channel
                weight.uniform_(0.1, 1.0)
            else:
                weight.normal_(0.0, 0.02)
        if alike(model, network):
            for weight in model.parameters():
                if weight.ndim > 1:
                    nn.init.kaiming_normal_(weight, nonlinearity="relu")
    return model


def alike(model: nn.Module, network: Network) -> bool:
    """Whether it answers two samples of noise nearly the same."""
    given = example(network)
    answer = model(**given) if isinstance(given, dict) else model(torch.randn(2, *network.shape))
    logits = getattr(answer, "logits", answer)
    return bool((logits[0] - logits[1]).abs().max() <= ALIKE * logits.abs().max())


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
    model = awake(make(network), network)
    start = time.process_time()
    content = module_graph(model, example(network))
    seconds = time.process_time() - start
    out.write_bytes(content)
    parameters = sum(weight.numel() for weight in model.parameters())
    print(json.dumps({"parameters": parameters, "export_s": round(seconds, 2), "bytes": len(content)}))


if __name__ == "__main__":
    main()
