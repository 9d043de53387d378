"""How much one request may take, by what a node serves: samples, bytes of a message, of a body, of its tensors.

Takes models and the largest batch, gives bounds that hold on every way in, before memory is taken.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from offramp.errors import TooLargeError
from offramp.protocol.served import Array, Served

SLACK = 1 << 16  # bytes of a request beside its tensors
ENCODED = 1 << 24  # bytes of a request of encoded images: a camera's are far larger than a network's input
BATCH_BOUND = "samples in one request"  # by these words a refusal is known from a node that is crowded
TEXT = 3  # a number in JSON takes up to 24 characters and comma, the widest tensor 8 bytes


@dataclass(frozen=True)
class RequestBounds:
    """Bounds of one request."""

    batch: int  # samples
    message: int  # bytes of a gRPC message
    body: int  # bytes of an HTTP body

    @classmethod
    def of(cls, models: Iterable[Served], max_batch: int) -> Self:
        """The bounds for batches of up to `max_batch` samples of any of these models' inputs."""
        inputs = [model.inputs for model in models]
        elements = (sum(math.prod(max(extent, 1) for extent in spec.shape) for spec in specs) for specs in inputs)
        tensors = max_batch * 8 * max(elements, default=0)
        encoded = ENCODED if any("BYTES" in spec.forms for specs in inputs for spec in specs) else 0
        return cls(max_batch, max(tensors + SLACK, encoded), max(TEXT * tensors + SLACK, encoded))

    def check(self, model: Served, inputs: Mapping[str, Array]) -> None:
        """Raise TooLargeError where an input of the model holds more samples than a request may."""
        for spec in model.inputs:
            array = inputs.get(spec.name)
            if array is not None and array.ndim and len(array) > self.batch:
                raise TooLargeError(
                    f"{spec.name}: a batch of {len(array)}, and this node takes at most {self.batch} "
                    f"{BATCH_BOUND}. Send smaller batches, or start the node with a larger --max-batch."
                )

    def check_body(self, size: int) -> None:
        """Raise TooLargeError where an HTTP body is, or says that it is, larger than any request that is answered."""
        if size > self.body:
            raise TooLargeError(
                f"body: {size} bytes, and this node takes at most {self.body} in one request. Send smaller batches, or "
                "start the node with a larger --max-batch."
            )
