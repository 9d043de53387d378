"""Shuffled and augmented batches against a naive implementation of each claim."""

from itertools import product

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.data.digits import digits
from offramp.data.image_set import ImageSet
from offramp.data.jpeg import through_jpeg
from offramp.errors import InputError
from offramp.train.augment import Batches
from offramp.train.recipe import RECIPES

CPU = torch.device("cpu")
Pixels = npt.NDArray[np.uint8]


def noise(count: int, height: int = 5, width: int = 7, channels: int = 2, *, mirrors: bool = True) -> ImageSet:
    """Images of which no two are alike, each with a label of its own: the label tells which image came out."""
    images = np.random.default_rng(0).integers(0, 256, (count, height, width, channels), np.uint8)
    classes = tuple(map(str, range(count)))
    return ImageSet("noise", images, np.arange(count), classes, np.arange(count), mirrors)


def batches(images: ImageSet, *, batch_size: int = 4, flip: bool = False, crop: int = 0, seed: int = 0) -> Batches:
    """Batches on the CPU, plain unless asked for more."""
    return Batches(images, batch_size=batch_size, flip=flip, crop=crop, seed=seed, device=CPU)


def epoch(source: Batches, number: int = 0) -> tuple[Pixels, list[int]]:
    """All images of an epoch as the bytes that they were, `(N, H, W, C)`, and their labels."""
    parts = list(source.epoch(number))
    images = torch.cat([images for images, _ in parts]).permute(0, 2, 3, 1).numpy() * 255
    assert np.abs(images - np.rint(images)).max() < 1e-4
    return np.rint(images).astype(np.uint8), [int(label) for _, labels in parts for label in labels]


def windows(image: Pixels, crop: int, *, flip: bool) -> dict[tuple[int, int, bool], Pixels]:
    """Every window that may be cut out of one image: padded by its reflection, cut, and mirrored if that is allowed."""
    height, width, _ = image.shape
    padded = np.pad(image, ((crop, crop), (crop, crop), (0, 0)), mode="reflect")
    cut = {
        (top, left, False): padded[top : top + height, left : left + width]
        for top, left in product(range(2 * crop + 1), repeat=2)
    }
    return cut | {(top, left, True): window[:, ::-1] for (top, left, _), window in cut.items() if flip}


@settings(max_examples=40)
@given(st.integers(1, 30), st.booleans(), st.booleans(), st.integers(0, 4), st.integers(0, 99), st.integers(0, 99))
def test_each_image_is_a_window_of_the_padded_image_that_its_label_names(
    count: int, flip: bool, mirrors: bool, crop: int, seed: int, number: int
) -> None:
    """Whatever the settings: labels stay with their images, and no pixel comes from elsewhere."""
    source = noise(count, mirrors=mirrors)
    for image, label in zip(*epoch(batches(source, flip=flip, crop=crop, seed=seed), number), strict=True):
        allowed = windows(source.images[label], crop, flip=flip and mirrors)
        assert any(np.array_equal(image, window) for window in allowed.values())


@settings(max_examples=40)
@given(st.integers(1, 50), st.integers(1, 60), st.integers(0, 99), st.integers(0, 99), st.booleans())
def test_an_epoch_is_a_permutation_less_the_last_incomplete_batch(
    count: int, batch_size: int, seed: int, number: int, augmented: bool
) -> None:
    """No image twice; all of them where the batch size divides their number; one batch where it exceeds it."""
    source = batches(noise(count), batch_size=batch_size, flip=augmented, crop=2 * augmented, seed=seed)
    sizes = [len(labels) for _, labels in source.epoch(number)]
    labels = epoch(source, number)[1]
    size = min(batch_size, count)
    assert sizes == [size] * (count // size)
    assert len(source) == count // size
    assert len(set(labels)) == len(labels) == count - count % size


def test_every_window_occurs_and_each_sample_draws_its_own() -> None:
    """One batch of many copies of an image shows each offset, mirrored and not, about as often as the others."""
    crop, count = 1, 1800
    one = noise(1, height=6, width=6)
    copies = np.repeat(one.images, count, axis=0)
    source = ImageSet("copies", copies, np.zeros(count, np.int64), ("it",), np.arange(count), mirrors=True)
    seen = dict.fromkeys(windows(one.images[0], crop, flip=True), 0)
    for image in epoch(batches(source, batch_size=count, flip=True, crop=crop))[0]:
        for place, window in windows(one.images[0], crop, flip=True).items():
            seen[place] += bool(np.array_equal(image, window))
    assert sum(seen.values()) == count
    assert len(seen) == 18
    assert min(seen.values()) > 60  # of 100 expected: four standard deviations
    assert max(seen.values()) < 140


@given(st.integers(2, 30), st.integers(0, 9), st.integers(0, 9))
def test_an_alternating_image_is_mirrored_every_other_epoch(count: int, seed: int, number: int) -> None:
    """Never twice as it is before it was mirrored; half of the images are in one epoch, the others in the next."""
    source = noise(count)
    alternating = Batches(source, batch_size=1, flip=True, crop=0, alternating=True, seed=seed, device=CPU)
    seen = []
    for at in (number, number + 1, number + 2):
        images, labels = epoch(alternating, at)
        seen.append({
            label: np.array_equal(image, source.images[label][:, ::-1])
            for image, label in zip(images, labels, strict=True)
        })  # fmt: skip
    assert all(seen[0][label] != seen[1][label] == (not seen[2][label]) for label in range(count))


def test_digits_are_never_mirrored() -> None:
    """The set says that a mirrored digit is another digit, and a recipe that flips does not overrule it."""
    pool = digits().rows(slice(0, 60))
    assert RECIPES["digits"].flip
    assert not pool.mirrors
    named = ImageSet("digits", pool.images, np.arange(60), tuple(map(str, range(60))), pool.index, pool.mirrors)
    for number in range(3):
        images, labels = epoch(batches(named, flip=RECIPES["digits"].flip), number)
        assert np.array_equal(images, pool.images[labels])


def test_without_augmentation_images_come_as_they_are() -> None:
    """Neither flip nor crop: only the order changes."""
    source = noise(12)
    images, labels = epoch(batches(source))
    assert labels != sorted(labels)
    assert np.array_equal(images, source.images[labels])


@settings(max_examples=20)
@given(st.integers(0, 1_000), st.integers(0, 2_000))
def test_seed_and_epoch_alone_decide_an_epochs_batches(seed: int, number: int) -> None:
    """Two programs, or one that was interrupted, see the same batches, whatever epochs came before."""
    fresh, used = (batches(noise(16), flip=True, crop=2, seed=seed) for _ in range(2))
    epoch(used, 3)
    images, labels = epoch(fresh, number)
    again, same = epoch(used, number)
    assert np.array_equal(images, again)
    assert labels == same


@pytest.mark.parametrize(("seed", "number"), [(0, 1), (1, 0), (1, 1)])
def test_another_seed_or_epoch_shuffles_and_crops_anew(seed: int, number: int) -> None:
    """Both the order and the windows are others."""
    source = noise(40)
    orders, tops = [], []
    for each_seed, each_number in ((0, 0), (seed, number)):
        images, labels = epoch(batches(source, crop=2, seed=each_seed), each_number)
        orders.append(labels)
        places = [
            next(
                place
                for place, window in windows(source.images[label], 2, flip=False).items()
                if (window == image).all()
            )
            for image, label in zip(images, labels, strict=True)
        ]
        tops.append(dict(zip(labels, places, strict=True)))
    assert orders[0] != orders[1]
    assert tops[0] != tops[1]


def test_a_batch_is_what_the_network_takes() -> None:
    """float32 `(B, C, H, W)` in [0, 1], channels last in memory, with int64 labels."""
    for crop in (0, 1):
        images, labels = next(iter(batches(noise(8), crop=crop).epoch(0)))
        assert images.shape == (4, 2, 5, 7)
        assert images.dtype == torch.float32
        assert images.is_contiguous(memory_format=torch.channels_last)
        assert 0 <= float(images.min()) < float(images.max()) <= 1
        assert (labels.shape, labels.dtype) == ((4,), torch.int64)


def test_a_crop_beyond_what_reflection_can_pad_is_refused() -> None:
    """The least of height and width is the bound: 4 pixels fit 5x7 images, 5 do not."""
    assert len(epoch(batches(noise(4), crop=4))[1]) == 4
    with pytest.raises(InputError) as caught:
        batches(noise(4), crop=5)
    assert str(caught.value) == (
        "crop 5: images of 5x7 can be padded by their own reflection with at most 4 pixels on each side. "
        "Choose a smaller crop."
    )


@settings(max_examples=20)
@given(st.sampled_from((0.3, 1.0)), st.integers(0, 2), st.integers(0, 99), st.integers(0, 9))
def test_images_go_through_jpeg_at_a_quality_between_the_two(share: float, crop: int, seed: int, number: int) -> None:
    """Each is as it was, or as Pillow gives it back at a quality of the range; cut before, as it is when it is met."""
    source = noise(12, 9, 11, 3)
    plain, order = epoch(batches(source, crop=crop, seed=seed), number)
    batch = Batches(
        source, batch_size=4, flip=False, crop=crop, jpeg=share, jpeg_quality=(30, 32), seed=seed, device=CPU
    )
    lossy, same_order = epoch(batch, number)
    assert order == same_order
    for before, after in zip(plain, lossy, strict=True):
        through = [through_jpeg(before, quality) for quality in (30, 31, 32)]
        assert not any(np.array_equal(before, image) for image in through)  # else this test could not tell
        assert any(np.array_equal(after, image) for image in (through if share == 1 else [before, *through]))


def test_the_share_of_images_that_go_through_jpeg() -> None:
    """Of 4,000 drawn at a share of 0.3, by the binomial distribution, four standard deviations to each side."""
    source = noise(40, 8, 8, 1)
    plain, lossy = (
        Batches(source, batch_size=40, flip=False, crop=0, jpeg=share, jpeg_quality=(1, 1), seed=0, device=CPU)
        for share in (0.0, 0.3)
    )
    changed = sum(
        int((before != after).any())
        for number in range(100)
        for before, after in zip(epoch(plain, number)[0], epoch(lossy, number)[0], strict=True)
    )
    assert abs(changed - 1200) < 4 * (4000 * 0.3 * 0.7) ** 0.5
