"""A span of a bundle: the stages between two boundaries and the heads asked for, run as one graph.

The nouns alone. `runtime.cut` cuts a span's graph out of a bundle's, `runtime.open` makes one ready to run. Knows
nothing of scores, thresholds or the network.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import Codec, encode_image

Array = npt.NDArray[Any]
Tensors = dict[str, Array]  # by name, all with a row for each sample


@dataclass(frozen=True)
class SpanSpec:
    """Which part of the network: stages `start + 1` to `end`, the logits at `exits`, the features at `end` or not.

    `takes` is the codec that the features at `start` arrive in, `gives` the one that those at `end` leave in.
    """

    start: int
    end: int
    exits: tuple[int, ...] = ()
    gives: Codec | None = None  # None: the features at the end are not wanted
    takes: Codec = "fp32"

    def noise(self, bundle: Bundle, size: int) -> tuple[Array, ...]:
        """A batch that the span takes, of values as good as any: to warm it up, or to time it."""
        made, manifest = np.random.default_rng(0), bundle.manifest
        if self.start == 0:
            return (encode_image(manifest.preprocessing.noise(made, size), self.takes),)
        return tuple(
            encode_image(made.random((size, *shape), np.float32), manifest.codec_of(self.start, name, self.takes))
            for name, shape in manifest.tensors(self.start).items()
        )


class Span(Protocol):
    """Runs one fixed part of the network."""

    def run(self, *tensors: Array) -> Tensors:
        """Give the outputs of a batch by name: `logits_k` `(N, classes)`, and the tensors of the boundary at its end.

        The batch is the tensors of the boundary at its start, in their order: `features_k` `(N, C, H, W)`, most often.
        """
