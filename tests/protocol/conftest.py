"""A small model in memory: it writes down what it was asked, and waits or fails where it is told to."""

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from offramp.errors import DeadlineError, OfframpError, OverloadedError, UnreachableError
from offramp.protocol.served import Call, Result, TensorSpec

WAIT = 30.0  # seconds after which a test that hangs fails


class Doubler:
    """Doubles pairs of numbers. Parameters: `wait` for `opened`; `fail` with an error of `FAILURES`."""

    name, version = "double", "7"
    inputs = (TensorSpec("x", "FP32", (-1, 2), ("INT32",)),)
    outputs = (TensorSpec("twice", "FP32", (-1, 2)), TensorSpec("word", "BYTES", (-1,)))

    def __init__(self) -> None:
        self.config = {"colour": "green"}
        self.calls: list[Call] = []
        self.prepared = 0
        self.entered, self.opened = threading.Event(), threading.Event()

    def prepare(self) -> None:
        """Count it."""
        self.prepared += 1

    def infer(self, call: Call) -> Result:
        """Double."""
        self.calls.append(call)
        if "wait" in call.parameters:
            self.entered.set()
            assert self.opened.wait(WAIT)
        if failure := call.text("fail"):
            raise FAILURES[failure]
        (x,) = call.tensors("x")
        words = np.empty(len(x), np.object_)
        words[:] = [f"row {row}".encode() for row in range(len(x))]
        return Result({"twice": (x * 2).astype(np.float32), "word": words}, {"rows": len(x)})

    def stream(self, call: Call) -> Iterator[Result]:
        """Double row by row."""
        whole = self.infer(call)
        for row in range(len(whole.outputs["word"])):
            part = {name: array[row : row + 1] for name, array in whole.outputs.items()}
            yield Result(part, {"row": row}, last=row == len(whole.outputs["word"]) - 1)


FAILURES: dict[str, Exception] = {
    "overloaded": OverloadedError("too much to do."),
    "deadline": DeadlineError("too late."),
    "unreachable": UnreachableError("nobody there."),
    "ours": OfframpError("something of ours."),
    "defect": ZeroDivisionError("a defect"),
}


@pytest.fixture
def double() -> Doubler:
    """A model."""
    return Doubler()


@pytest.fixture(scope="module")
def make() -> Callable[[], Doubler]:
    """A maker of models, for fixtures that live longer than a test."""
    return Doubler
