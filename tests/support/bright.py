"""An edge and its cloud in memory behind real servers: what is bright leaves at the edge, the rest is the cloud's."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from offramp.artifacts.plan import Plan
from offramp.errors import InputError, OverloadedError
from offramp.nodes.contract import BYTES_TO_CLOUD, CLASSIFIER, DIRECT, REPLY_AS, ROW, Reply
from offramp.nodes.replies import Replies
from offramp.protocol.served import Call, Result, TensorSpec

WAIT = 30.0  # seconds after which a test that hangs fails
OUTPUTS = ("probabilities", "label", "exit", "score", "tier", "degraded", "dropped", ROW)


class Bright:
    """A classifier of 2x2 images: the label is whether the first value is above the threshold, and so is who answers.

    A batch is answered in two parts, the edge's at once, the cloud's when `cloud_opened` is set. `threshold` 1 fails.
    """

    name = CLASSIFIER
    inputs = (TensorSpec("image", "FP32", (-1, 1, 2, 2), ("BYTES",)),)
    outputs = tuple(TensorSpec(name, "FP32", (-1,)) for name in OUTPUTS)

    def __init__(self, version: str, model: str, replies: Replies) -> None:
        self.version, self.replies, self.calls = version, replies, list[Call]()
        self.cloud_opened = threading.Event()
        self.cloud_opened.set()
        self.logit = 4.0  # of the first class, in the cloud's direct answers
        self.no_reply: Callable[[], bool] = lambda: False  # asked before a direct answer goes out
        self.stands_in = False  # answers after a direct answer has gone out
        self.config = {
            "model": model, "bundle": version, "plan": Plan.of(3, 0.5).to_json(), "runtime": "onnxruntime 1.0",
            "precision": "fp32",
        }  # fmt: skip

    def prepare(self) -> None:
        """Nothing has to be opened."""

    def infer(self, call: Call) -> Result:
        """Answer whole."""
        parts = list(self.stream(call))
        joined = {name: np.concatenate([part.outputs[name] for part in parts]) for name in OUTPUTS}
        order = np.argsort(joined[ROW])
        return Result({name: array[order] for name, array in joined.items()}, {BYTES_TO_CLOUD: 7})

    def stream(self, call: Call) -> Iterator[Result]:
        """Answer in parts."""
        self.calls.append(call)
        threshold = call.number("threshold", float)
        if threshold == 1:
            raise OverloadedError("too much to do.")
        (image,) = call.tensors("image")
        if image.dtype != np.float32:
            raise InputError(f"image: expected float32, got {image.dtype}.")
        here = image[:, 0, 0, 0] > (0.5 if threshold is None else threshold)
        yield Result(_answers(np.flatnonzero(here), b"edge", 1), {BYTES_TO_CLOUD: 0}, last=bool(here.all()))
        if here.all():
            return
        assert self.cloud_opened.wait(WAIT)
        rows = np.flatnonzero(~here)
        to = Reply.of(call)
        if to is None:
            yield Result(_answers(rows, b"cloud", 0), {BYTES_TO_CLOUD: 7})
            return
        logits = np.tile(np.array([[self.logit, 0.0]], np.float32), (len(rows), 1))
        if not self.no_reply():
            self.replies.send(to.token, Result({"logits_9": logits, ROW: rows}, {REPLY_AS: to.request}, last=False))
        if self.stands_in:
            yield Result(_answers(rows, b"edge", 1), {BYTES_TO_CLOUD: 9})
        else:
            yield Result({ROW: rows}, {BYTES_TO_CLOUD: 9, DIRECT: True})


def _answers(rows: Any, tier: bytes, label: int) -> dict[str, Any]:
    count = len(rows)
    return {
        "probabilities": np.tile(np.eye(2, dtype=np.float32)[label], (count, 1)),
        "label": np.full(count, label, np.int64),
        "exit": np.full(count, 3 if tier == b"edge" else 9, np.int64),
        "score": np.zeros(count, np.float32),
        "tier": np.full(count, tier, np.object_),
        "degraded": np.zeros(count, np.bool_),
        "dropped": np.zeros(count, np.bool_),
        ROW: rows.astype(np.int64),
    }
