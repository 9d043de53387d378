"""What every exit makes of an image set, and how right it is, on the device where the network is."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from offramp.data.image_set import ImageSet
from offramp.models.exit_net import ExitNet
from offramp.train.pixels import to_tensor

BATCH = 500

Autocast = Callable[[], AbstractContextManager[object]]


def accuracies(net: ExitNet, images: ImageSet, autocast: Autocast = nullcontext) -> dict[int, float]:
    """Share of right answers at every exit, every sample at every exit. The device is waited for once, at the end."""
    device = next(net.parameters()).device
    right = torch.zeros(len(net.exits), dtype=torch.int64, device=device)
    for part, logits in _passes(net, images, autocast):
        labels = torch.from_numpy(part.labels).to(device)
        right += torch.stack([(at_exit.argmax(1) == labels).sum() for at_exit in logits.values()])
    return {exit_: round(count / len(images), 6) for exit_, count in zip(net.exits, right.tolist(), strict=True)}


def logits_of(net: ExitNet, images: ImageSet) -> dict[int, npt.NDArray[np.float32]]:
    """Logits `(N, classes)` of every image at every exit, in fp32."""
    passes = [logits for _, logits in _passes(net, images, nullcontext)]
    return {exit_: np.concatenate([one[exit_].cpu().numpy() for one in passes]) for exit_ in net.exits}


def _passes(net: ExitNet, images: ImageSet, autocast: Autocast) -> Iterator[tuple[ImageSet, dict[int, Tensor]]]:
    """Part by part, as the network answers and not as it learns."""
    device, training = next(net.parameters()).device, net.training
    net.eval()
    try:
        for start in range(0, len(images), BATCH):
            part = images.rows(slice(start, start + BATCH))
            with torch.inference_mode(), autocast():
                logits: dict[int, Tensor] = net(to_tensor(part, device))
            yield part, logits
    finally:
        net.train(training)
