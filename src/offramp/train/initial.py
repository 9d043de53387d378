"""What a recipe makes of a network before its first step: its filters, what stays as it is, how soon it forgets."""

import numpy as np
import torch
from torch import Tensor, nn

from offramp.data.image_set import ImageSet
from offramp.errors import InputError
from offramp.models.architecture import Architecture, StandardCnn
from offramp.models.exit_net import ExitNet
from offramp.models.whitening import Whitening
from offramp.train.pixels import to_tensor
from offramp.train.recipe import Recipe

PATCHES_OF = 5_000  # images: as airbench takes; more move no eigenvalue that counts


def prepare(net: ExitNet, architecture: Architecture, recipe: Recipe, images: ImageSet) -> None:
    """Bring freshly built `net` to where the recipe starts from; the same again after a training was interrupted.

    Raises InputError where filters would be drawn anew that a network came with.
    """
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            if recipe.norm_momentum is not None:  # or as the network has it
                module.momentum = recipe.norm_momentum
            if not recipe.norm_scale and module.affine:
                module.weight.requires_grad_(False)
    if recipe.initialization == "dirac":
        if not isinstance(architecture, StandardCnn):
            raise InputError(
                f"recipe: initialization dirac: of a network that is drawn here, and {architecture.family} comes with "
                'its weights. Train with "initialization": "he".'
            )
        dirac(net)
    for module in net.modules():
        if isinstance(module, Whitening):
            module.fit(_standardized(net, images))


def dirac(net: ExitNet) -> None:
    """Have each 3x3 convolution pass on the channels that it is given, as far as it has filters; the others stay drawn.

    A stack of such layers begins as the identity, and its last layers learn from the first step on (Zagoruyko &
    Komodakis 2017, arXiv 1706.00388; as in Jordan's cifar10-airbench, arXiv 2404.00498, section 3.3).
    """
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
            nn.init.dirac_(layer.weight.data[: layer.in_channels])


def _standardized(net: ExitNet, images: ImageSet) -> Tensor:
    """Images as the first convolution meets them; from all over the set, which may stand in order of its classes."""
    first, count = next(net.stages[0].children()), len(images)
    some = np.unique(np.linspace(0, count - 1, min(count, PATCHES_OF)).astype(np.intp))
    with torch.no_grad():
        found: Tensor = first(to_tensor(images.rows(some), torch.device("cpu")))
    return found
