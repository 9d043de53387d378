"""Accuracy of every exit over an image set, on the device where the network is."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch

from offramp.data.image_set import ImageSet
from offramp.models.exit_net import ExitNet
from offramp.train.pixels import to_tensor

BATCH = 500


def accuracies(
    net: ExitNet, images: ImageSet, autocast: Callable[[], AbstractContextManager[object]] = nullcontext
) -> dict[int, float]:
    """Share of right answers at every exit, every sample at every exit. The device is waited for once, at the end."""
    device = next(net.parameters()).device
    right = torch.zeros(len(net.exits), dtype=torch.int64, device=device)
    training = net.training
    net.eval()
    with torch.inference_mode(), autocast():
        for start in range(0, len(images), BATCH):
            part = images.rows(slice(start, start + BATCH))
            labels = torch.from_numpy(part.labels).to(device)
            logits = net(to_tensor(part, device))
            right += torch.stack([(at_exit.argmax(1) == labels).sum() for at_exit in logits.values()])
    net.train(training)
    return {exit_: round(count / len(images), 6) for exit_, count in zip(net.exits, right.tolist(), strict=True)}
