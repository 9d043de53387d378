"""What a planner has measured as it goes: the network's own splits, by a crossing, and through JPEG."""

import numpy as np

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import PORTABLE
from offramp.data.image_set import Splits
from offramp.data.jpeg import through_jpeg, to_jpeg
from offramp.measure.crossings import Crossings
from offramp.measure.predict import of_bundle


def test_a_split_is_measured_as_predict_measures_it(bundle: Bundle, digits: Splits) -> None:
    """Whole, and by features that cross in uint8."""
    source = Crossings(bundle, PORTABLE)
    for cut, codec in ((0, "fp32"), (3, "uint8")):
        mine = source.measure("validation", cut, codec)  # type: ignore[arg-type]
        theirs = of_bundle(bundle, cut, codec).predict(digits.validation, "validation")  # type: ignore[arg-type]
        assert mine.header == theirs.header
        assert all(np.array_equal(mine.logits[k], theirs.logits[k]) for k in mine.header.exits)


def test_jpeg_is_measured_on_the_images_that_it_leaves(bundle: Bundle, digits: Splits) -> None:
    """Its bytes in the mean, and who is still right."""
    found, images = Crossings(bundle, PORTABLE).compressed("validation"), digits.validation.images
    assert found.bytes == np.mean([len(to_jpeg(image)) for image in images])
    pixels = bundle.manifest.preprocessing.from_uint8(np.stack([through_jpeg(image) for image in images]))
    last = of_bundle(bundle).run(pixels)[bundle.manifest.last]
    assert found.accuracy == np.mean(last.argmax(axis=1) == digits.validation.labels)
