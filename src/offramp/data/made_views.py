"""Views made of an image set, by a stated process: six devices look at one thing, and none of them sees it well.

There is no set of photographs by several cameras at hand, so DDNN's own case is made (S. Teerapittayanon et al.,
"Distributed deep neural networks over the cloud, the edge and end devices", 2017, arXiv 1709.01921: six cameras, some
of which don't have the object in sight). Each device sees a window of the image at a place of its own, which shakes by
a few pixels; through a blur, and behind an occluder of its own; with its own noise; and for a share of the samples the
thing is not in its sight at all: a grey frame with noise. All that is drawn for a view of a sample depends on the seed,
the device and the sample's position in its source alone: not on which other samples there are.

The numbers below were settled before any network of several views was trained. What they were checked with, on the test
sets: one view of the digits, a support vector machine (scikit-learn's SVC, C = 3): 0.67, 0.68, 0.60, 0.66, 0.63 and
0.33; the first view of CIFAR-10, three convolutions, six epochs of 10,000 images: 0.59. The best device alone should
lie between 0.55 and 0.75.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from offramp.data.image_set import ImageSet
from offramp.data.resize import pillow
from offramp.data.view_set import ViewSet
from offramp.errors import InputError

GREY = 128  # of what is in the way, and of a frame without the thing
SEED = 2017


@dataclass(frozen=True)
class Eye:
    """What one device is like. Lengths are shares of the image's side, so that they fit images of any size."""

    row: float  # where its window lies: 0 the top, 1 the bottom
    column: float  # 0 the left, 1 the right
    window: float  # side of the window
    shake: float  # the window is off by so much, at most, each way and anew for each sample
    blur: float  # radius of a Gaussian blur, in pixels
    noise: float  # standard deviation of what is added to each value, in levels of 255
    occluder: float  # side of a grey square in front, at a place drawn for each sample
    occluded: float  # probability that it is there
    blind: float  # probability that the thing is not in sight


# Of the digits at 16 x 16: windows of 12 x 12.
DIGITS: dict[str, Eye] = {
    "view-1": Eye(0.5, 0.5, 0.75, 0.0625, 0.8, 60, 0.375, 0.5, 0.15),
    "view-2": Eye(0.0, 0.0, 0.75, 0.0625, 0.6, 50, 0.375, 0.4, 0.20),
    "view-3": Eye(0.0, 1.0, 0.75, 0.0625, 0.6, 70, 0.375, 0.4, 0.25),
    "view-4": Eye(1.0, 0.0, 0.75, 0.0625, 0.8, 50, 0.375, 0.4, 0.25),
    "view-5": Eye(1.0, 1.0, 0.75, 0.0625, 0.6, 60, 0.375, 0.5, 0.30),
    "view-6": Eye(0.5, 0.0, 0.75, 0.1250, 1.0, 80, 0.500, 0.5, 0.40),
}
# Of CIFAR-10 at 32 x 32: windows of 24 x 24. Photographs bear less than digits do.
CIFAR10: dict[str, Eye] = {
    "view-1": Eye(0.5, 0.5, 0.75, 0.0625, 0.0, 8, 0.250, 0.2, 0.04),
    "view-2": Eye(0.0, 0.0, 0.75, 0.0625, 0.4, 12, 0.250, 0.3, 0.10),
    "view-3": Eye(0.0, 1.0, 0.75, 0.0625, 0.4, 16, 0.250, 0.3, 0.15),
    "view-4": Eye(1.0, 0.0, 0.75, 0.0625, 0.6, 12, 0.250, 0.3, 0.15),
    "view-5": Eye(1.0, 1.0, 0.75, 0.0625, 0.4, 16, 0.250, 0.3, 0.20),
    "view-6": Eye(0.5, 0.5, 0.75, 0.1250, 0.8, 20, 0.375, 0.4, 0.30),
}


def made_views(images: ImageSet, eyes: Mapping[str, Eye], seed: int = SEED) -> ViewSet:
    """What each of some devices sees of an image set: uint8 `(N, h, w, C)` each, a window's size.

    Every view is there, since a device that does not see the thing sends what it sees all the same.
    """
    if images.images.dtype != np.uint8:
        raise InputError(f"{images.name}: views are made of images, and it holds {images.noun}.")
    views = {}
    for number, (name, eye) in enumerate(eyes.items()):
        seen = np.stack([
            _seen(image, eye, np.random.default_rng((seed, number, int(index))))
            for image, index in zip(images.images, images.index, strict=True)
        ])  # fmt: skip
        views[name] = ImageSet(images.name, seen, images.labels, images.classes, images.index, mirrors=False)
    return ViewSet(images.name, views, np.ones((len(images), len(views)), np.bool_))


def _seen(image: npt.NDArray[np.uint8], eye: Eye, drawn: np.random.Generator) -> npt.NDArray[np.uint8]:
    """One image `(H, W, C)` by one device."""
    height, width, channels = image.shape
    rows, columns = round(height * eye.window), round(width * eye.window)
    # All is drawn in the same order whatever is used of it: one number less would move all others.
    blind, occluded = drawn.random(2)
    shaken, place, noise = (
        drawn.uniform(-1, 1, 2),
        drawn.random(2),
        drawn.normal(0, eye.noise, (rows, columns, channels)),
    )
    if blind < eye.blind:
        seen = np.full((rows, columns, channels), GREY, np.float64)
    else:
        top = _offset(eye.row, height - rows, shaken[0] * eye.shake * height)
        left = _offset(eye.column, width - columns, shaken[1] * eye.shake * width)
        seen = _blurred(image[top : top + rows, left : left + columns], eye.blur).astype(np.float64)
        if occluded < eye.occluded:
            side = round(height * eye.occluder)
            at = int(place[0] * (rows - side + 1)), int(place[1] * (columns - side + 1))
            seen[at[0] : at[0] + side, at[1] : at[1] + side] = GREY
    return np.rint(seen + noise).clip(0, 255).astype(np.uint8)


def _offset(share: float, room: int, shaken: float) -> int:
    return int(np.clip(round(share * room + shaken), 0, room))


def _blurred(image: npt.NDArray[np.uint8], radius: float) -> npt.NDArray[np.uint8]:
    if not radius:
        return image
    pillow()  # or say that it is missing
    from PIL import Image, ImageFilter

    single = image.shape[2] == 1
    frame = Image.fromarray(np.ascontiguousarray(image[:, :, 0] if single else image))
    return np.asarray(frame.filter(ImageFilter.GaussianBlur(radius))).reshape(image.shape)
