"""A learned bottleneck: few channels where features cross from one node to another, learned with the network.

After Eshratifar et al., "BottleNet" (arXiv 1902.01000), and Matsubara et al., "BottleFit" (arXiv 2201.02693): an
encoder at the end of the sender's part, a decoder at the start of the receiver's, trained with everything else. Here
both are 1x1 convolutions. The boundary itself carries the few channels, so that stages, cuts and codecs know nothing
of it: the uint8 codec sends a byte a channel and place.
"""

import torch
from torch import Tensor, nn

from offramp.models.heads import convolved

LEVELS = 255  # steps of the uint8 codec


class FakeQuantize(nn.Module):
    """While training, round features as the uint8 codec will; gradients pass as if nothing was done.

    One scale a channel, from 0 to its largest value in the batch, as the codec takes it from calibration samples. The
    straight-through estimator is Bengio, Léonard & Courville's (arXiv 1308.3432). In evaluation nothing is rounded: the
    codec does that where, and only where, features really cross.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Take and give features `(N, C, H, W)` that are nowhere below 0; while training, in fp32."""
        if not self.training:
            return features
        values = features.detach().float()
        step = values.amax((0, 2, 3), keepdim=True).clamp_min(1e-6) / LEVELS
        return features.float() + (torch.round(values / step) * step - values)


def squeeze(width: int, channels: int) -> list[nn.Module]:
    """From a stage's channels to the few that cross: what ends the stage before the cut."""
    return [*convolved(width, channels, 1), FakeQuantize()]


def expand(channels: int, width: int) -> list[nn.Module]:
    """And back: what begins the stage after the cut, and the head at it."""
    return convolved(channels, width, 1)
