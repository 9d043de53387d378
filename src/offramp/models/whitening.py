"""Whitening of an image's patches: a first convolution that is computed from the training images and not learned."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 2  # pixels of a patch
AT_ONCE = 100  # images whose patches are held in memory
SMALLEST = 5e-4  # added to each variance: patches have directions that are all noise


class Whitening(nn.Module):
    """A 2x2 convolution to the patches' principal components, each of variance 1, and their negatives; then ReLU.

    Takes `(N, C, H, W)` and gives `(N, 8 C, H, W)`. Pixels beside each other are nearly the same, and gradient descent
    is slow in the directions in which they differ: here all have one length (Page 2019, "How to train your ResNet";
    the negatives as in Jordan, arXiv 2404.00498, section 3.2). The filters do not learn, their biases do.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, self.width(channels), SIDE)
        self.convolution.weight.requires_grad_(False)
        nn.init.zeros_(self.convolution.bias)  # type: ignore[arg-type]  # it has one

    @staticmethod
    def width(channels: int) -> int:
        """Channels that it gives."""
        return 2 * channels * SIDE**2

    def fit(self, images: Tensor) -> None:
        """Take the filters from standardized images `(N, C, H, W)`.

        Which way round a direction comes is the processor's choice: here its first large number is positive.
        """
        values = self.convolution.in_channels * SIDE**2
        moments, count = torch.zeros(values, values, dtype=torch.float64), 0
        for some in torch.split(images, AT_ONCE):
            windows = some.unfold(2, SIDE, 1).unfold(3, SIDE, 1)  # (N, C, H - 1, W - 1, 2, 2)
            patches = windows.permute(0, 2, 3, 1, 4, 5).reshape(-1, values).double()
            moments, count = moments + patches.T @ patches, count + len(patches)
        variances, directions = torch.linalg.eigh(moments / count)
        for direction in directions.T:
            large = direction.abs() > direction.abs().max() / 2
            direction.mul_(direction[large][0].sign())
        filters = (directions / torch.sqrt(variances + SMALLEST)).T.flip(0)  # the largest variance first
        shaped = filters.reshape(-1, *self.convolution.weight.shape[1:])
        self.convolution.weight.data.copy_(torch.cat([shaped, -shaped]))

    def forward(self, image: Tensor) -> Tensor:
        """Whiten standardized images; the row and column that a 2x2 window lacks are padded by 0."""
        return F.relu(self.convolution(F.pad(image, (0, SIDE - 1, 0, SIDE - 1))))
