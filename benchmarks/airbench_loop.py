"""The training loop of KellerJordan/cifar10-airbench (MIT licence) around a network with local exits.

Written after `legacy/airbench94.py` and `legacy/airbench94_compiled.py` of github.com/KellerJordan/cifar10-airbench,
commit f1c599c, in our own words. Their scripts cannot be imported for this: they train a network of their own, and ask
for torchvision and a GPU.

Kept: the whole set on the device, normalized, mirrored and padded once; a whole epoch's windows cut at once, by one
strided selection for each offset; every second epoch mirrored as a whole; weights and activations in half precision
with normalization in fp32; channels last; loss summed over samples, with label smoothing; SGD with Nesterov momentum in
two groups, normalization's apart; the triangular schedule by LambdaLR at every step; the slow average of the weights at
every fifth; torch.compile of the network with mode max-autotune; no look at the loss within an epoch.

Changed: the network is offramp's, and a batch goes through it as in offramp's training, less the first layer, since
the loader normalizes (in place of eight layers with a whitening convolution, frozen scales and a scaled output); the
loss is the sum over its exits; batch size and pixels of padding are the recipe's (in place of 1024, and 2); on a CPU,
half precision is bf16 (in place of fp16, for which it has few kernels).

Batches were compared once with those of the original `CifarLoader`, half precision replaced by fp32: from the same
seed, the same pixels, labels and memory layout over three epochs.
"""

import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from offramp.data.image_set import ImageSet
from offramp.models.build import build
from offramp.train.forward import forward
from offramp.train.loop import Run
from offramp.train.pixels import channel_statistics, to_tensor

MOMENTUM, SMOOTHING, LOOKAHEAD_EVERY = 0.85, 0.2, 5
SCALE = 1024 * (1 + 1 / (1 - MOMENTUM))
RATE = 11.5 / SCALE
DECAY_OF_1024 = 0.0153
NORM_RATE = 64  # times the others'


class Loader:
    """Batches `(B, C, H, W)` in half precision and labels, an epoch for each iteration."""

    def __init__(
        self, images: ImageSet, *, batch_size: int, flip: bool, crop: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        mean, std = (of_channel.view(1, -1, 1, 1).to(device) for of_channel in channel_statistics(images))
        ready = ((to_tensor(images, device) - mean) / std).to(dtype)
        self.labels = torch.from_numpy(images.labels).to(device)
        self.batch_size, self.flip, self.size, self.crop = batch_size, flip, ready.shape[2:], crop
        if flip:
            mirrored = (torch.rand(len(ready), device=device) < 0.5).view(-1, 1, 1, 1)
            ready = torch.where(mirrored, ready.flip(-1), ready)
        self.ready = F.pad(ready, (crop,) * 4, mode="reflect") if crop else ready
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.labels) // self.batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        images = self._cut() if self.crop else self.ready
        if self.flip and self.epoch % 2:
            images = images.flip(-1)
        self.epoch += 1
        order = torch.randperm(len(images), device=images.device)
        for rows in order.split(self.batch_size)[: len(self)]:
            yield images[rows], self.labels[rows]

    def _cut(self) -> Tensor:
        height, width = self.size
        offsets = range(2 * self.crop + 1)
        drawn = torch.randint(len(offsets), (len(self.ready), 2), device=self.ready.device)
        cut = self.ready.new_empty((*self.ready.shape[:2], height, width))
        for top in offsets:
            for left in offsets:
                here = (drawn[:, 0] == top) & (drawn[:, 1] == left)
                cut[here] = self.ready[here, :, top : top + height, left : left + width]
        return cut


class Lookahead:
    """A slow average of the weights, which they are set back to."""

    def __init__(self, net: nn.Module) -> None:
        self.slow = [tensor.clone() for tensor in net.state_dict().values()]

    def update(self, net: nn.Module, decay: float) -> None:
        """Move the average towards the weights, and the weights to it."""
        for slow, tensor in zip(self.slow, net.state_dict().values(), strict=True):
            if tensor.is_floating_point():
                slow.lerp_(tensor, 1 - decay)
                tensor.copy_(slow)


class AirbenchLoop:
    """Trains the run's network for `epochs`."""

    def __init__(self, run: Run, images: ImageSet, device: torch.device, *, epochs: int, compiled: bool) -> None:
        recipe = run.recipe
        dtype = torch.float16 if device.type == "cuda" else torch.bfloat16
        self.device = device
        self.loader = Loader(
            images,
            batch_size=recipe.batch_size,
            flip=recipe.flip and images.mirrors,
            crop=recipe.crop,
            device=device,
            dtype=dtype,
        )
        net = build(run.architecture, seed=run.seed).to(device, dtype).to(memory_format=torch.channels_last)
        net.stages[0][0] = nn.Identity()  # the loader normalizes
        norms = [module.float() for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
        self.net = net

        def through(images: Tensor) -> dict[int, Tensor]:
            return forward(net, images)

        self.forward = torch.compile(through, mode="max-autotune") if compiled else through

        apart = [parameter for norm in norms for parameter in norm.parameters()]
        among = {id(parameter) for parameter in apart}
        others = [parameter for parameter in net.parameters() if id(parameter) not in among]
        decay = DECAY_OF_1024 * recipe.batch_size / SCALE
        self.optimizer = torch.optim.SGD(
            [
                {"params": apart, "lr": RATE * NORM_RATE, "weight_decay": decay / (RATE * NORM_RATE)},
                {"params": others, "lr": RATE, "weight_decay": decay / RATE},
            ],
            momentum=MOMENTUM,
            nesterov=True,
        )
        self.total, self.done = epochs * len(self.loader), 0
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._rate)
        self.lookahead = Lookahead(net)
        self.loss = nn.CrossEntropyLoss(label_smoothing=SMOOTHING, reduction="none")

    def _rate(self, step: int) -> float:
        rising = int(self.total * 0.23)
        if step < rising:
            return 0.2 + 0.8 * step / rising
        return 1.0 - 0.93 * (step - rising) / (self.total - rising)

    def batches(self) -> None:
        """Make an epoch's batches and train nothing."""
        for _ in self.loader:
            pass

    def epoch(self) -> float:
        """Train an epoch; give images/s."""
        start = time.perf_counter()
        self.net.train()
        for images, labels in self.loader:
            loss = torch.stack([self.loss(logits, labels).sum() for logits in self.forward(images).values()]).sum()
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            self.done += 1
            if self.done % LOOKAHEAD_EVERY == 0:
                self.lookahead.update(self.net, 0.95**5 * (self.done / self.total) ** 3)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return len(self.loader) * self.loader.batch_size / (time.perf_counter() - start)
