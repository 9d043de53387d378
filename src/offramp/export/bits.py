"""What a bit stands for where features cross in one bit a value: signs, or the two means of each channel."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from offramp.artifacts.cut import Levels
from offramp.artifacts.stages import IMAGE
from offramp.runtime.onnx_span import OnnxSpan

# sign: -1 or 1, of a network that was trained on these; means: above a channel's mean or not, and the mean of either,
# for a network that knows nothing of bits.
Bits = Literal["sign", "means"]
AT_ONCE = 256


def levels_of(graph: bytes, axes: Mapping[str, int], image: npt.NDArray[np.float32], how: Bits) -> dict[str, Levels]:
    """The levels of some tensors, by the axis of a sample that holds their channels, over calibration samples."""
    if how == "sign":
        return {name: Levels(above=(0.0,), low=(-1.0,), high=(1.0,)) for name in axes}
    span = OnnxSpan(graph, (IMAGE,), {name: name for name in axes})
    batches = [span.run(image[start : start + AT_ONCE]) for start in range(0, len(image), AT_ONCE)]
    return {name: _means(np.concatenate([batch[name] for batch in batches]), axis + 1) for name, axis in axes.items()}


def _means(values: npt.NDArray[np.float32], axis: int) -> Levels:
    """Of each channel its mean, and the means of what lies below and above it."""
    channels = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1).astype(np.float64)
    above = channels.mean(axis=1)
    high = np.array(
        [of[of > mean].mean() if (of > mean).any() else mean for of, mean in zip(channels, above, strict=True)]
    )
    low = np.array([of[of <= mean].mean() for of, mean in zip(channels, above, strict=True)])
    return Levels(above=tuple(above.tolist()), low=tuple(low.tolist()), high=tuple(high.tolist()))
