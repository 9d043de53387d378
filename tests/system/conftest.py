"""An edge and its cloud as processes, and somebody else's clients of the protocol to ask them: unmodified."""

import asyncio
import gc
import importlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from command_line import Node, running
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.stages import features_name, logits_name
from offramp.data.image_set import Splits
from offramp.protocol.datatypes import NAMES
from offramp.protocol.served import Array
from offramp.runtime.open import open_span
from offramp.runtime.span import SpanSpec

WAIT = 30.0  # seconds after which a test that hangs fails
KINDS = ("grpc", "grpc.aio", "http", "http.aio")
ROWS = 24  # of the test set


@dataclass(frozen=True)
class Side:
    """A running node, and a good request to it."""

    node: Node
    model: str
    version: str
    input: str
    batch: Array
    output: str  # that says most


class Triton:
    """One of tritonclient's clients. What is asked at once is asked on one connection, one thing after another."""

    def __init__(self, kind: str, node: Node) -> None:
        self.kind, self.http = kind, kind.startswith("http")
        self.module = importlib.import_module(f"tritonclient.{kind}")
        self.address = node.http_address() if self.http else node.address()

    def __call__(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method and give its answer, or raise its error."""
        (answer,) = self.all((method, arguments, options))
        if isinstance(answer, InferenceServerException):
            raise answer
        return answer

    def all(self, *calls: tuple[str | Callable[[], None], tuple[Any, ...], dict[str, Any]]) -> list[Any]:
        """Answers, and errors where there were some; what stands for a method and is a function is called between."""
        if not self.kind.endswith("aio"):
            return self._answered(calls)
        if not self.http:
            return asyncio.run(self._waited(calls))
        # It leaves answers to health calls unread, and a body that was refused half sent: its connection is then
        # still closing when the loop ends. Collected here and now, neither warns in the middle of another test.
        gc.freeze()  # what is there already is no garbage of this client's, and to look through it all takes 0.3 s
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                answers = asyncio.run(self._waited(calls))
                gc.collect()
                return answers
        finally:
            gc.unfreeze()

    def infer(self, side: Side, batch: Array | None = None, **options: Any) -> Any:
        """Ask a model for its answer."""
        return self("infer", *self.request(side, batch), **options)

    def request(self, side: Side, batch: Array | None = None, *, binary: bool = True) -> tuple[str, list[Any]]:
        """A model's name and inputs: the good batch, or another."""
        return side.model, [self.tensor(side.input, side.batch if batch is None else batch, binary=binary)]

    def tensor(self, name: str, array: Array, *, binary: bool = True, datatype: str | None = None) -> Any:
        """An input."""
        tensor = self.module.InferInput(name, list(array.shape), datatype or NAMES[array.dtype])
        if self.http:
            tensor.set_data_from_numpy(array, binary_data=binary)
        else:
            tensor.set_data_from_numpy(array)
        return tensor

    def output(self, name: str, *, binary: bool = True) -> Any:
        """An output asked for."""
        return self.module.InferRequestedOutput(name, **({"binary_data": binary} if self.http else {}))

    def _options(self, options: dict[str, Any]) -> dict[str, Any]:
        return options if self.http else {"client_timeout": WAIT} | options

    def _answered(self, calls: Any) -> list[Any]:
        answers: list[Any] = []
        with self.module.InferenceServerClient(self.address) as client:
            for method, arguments, options in calls:
                if callable(method):
                    method()
                    continue
                try:
                    answers.append(getattr(client, method)(*arguments, **self._options(options)))
                except InferenceServerException as error:
                    answers.append(error)
        return answers

    async def _waited(self, calls: Any) -> list[Any]:
        answers: list[Any] = []
        async with self.module.InferenceServerClient(self.address) as client:
            for method, arguments, options in calls:
                if callable(method):
                    method()
                    continue
                try:
                    answers.append(await getattr(client, method)(*arguments, **self._options(options)))
                except InferenceServerException as error:
                    answers.append(error)
        return answers


def arrays(answer: Any, *names: str) -> dict[str, Array]:
    """The outputs of an answer; text as the bytes that it is."""
    found = {name: answer.as_numpy(name) for name in names}
    for name, array in found.items():
        if array.dtype == np.object_:
            found[name] = np.array([v.encode() if isinstance(v, str) else v for v in array.ravel()], np.object_)
    return found


@pytest.fixture(scope="module")
def cloud(bundle: Bundle, digits: Splits) -> Iterator[Side]:
    """A running cloud, asked for what is behind boundary 3."""
    pixels = bundle.manifest.preprocessing.from_uint8(digits.test.images[:ROWS])
    features = open_span(bundle, SpanSpec(0, 3, gives="fp32")).run(pixels)[features_name(3)]
    with running("cloud", str(bundle.path), *PORTABLE, "--max-batch", "32") as node:
        node.address()
        yield Side(node, "tail-3", bundle.id, features_name(3), features, logits_name(9))


@pytest.fixture(scope="module")
def edge(bundle: Bundle, digits: Splits, cloud: Side) -> Iterator[Side]:
    """A running edge in front of it."""
    pixels = bundle.manifest.preprocessing.from_uint8(digits.test.images[:ROWS])
    plan = ("--exit", "3", "--threshold", "0.3", "--cloud", cloud.node.address(), "--max-batch", "32")
    with running("edge", str(bundle.path), *plan, *PORTABLE) as node:
        node.address()
        yield Side(node, "classifier", bundle.id, "image", pixels, "probabilities")


PORTABLE = ("--port", "0", "--threads", "1", "--runtime", "onnxruntime", "--precision", "fp32")


@pytest.fixture(params=["edge", "cloud"])
def side(request: pytest.FixtureRequest, edge: Side, cloud: Side) -> Side:
    """Each of the two."""
    return {"edge": edge, "cloud": cloud}[request.param]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of client."""
    return str(request.param)


@pytest.fixture
def client_of() -> Callable[[str, Side], Triton]:
    """A maker of clients of a kind, for one side."""
    return lambda kind, side: Triton(kind, side.node)


@pytest.fixture
def client(kind: str, side: Side) -> Triton:
    """A client of each kind for each side."""
    return Triton(kind, side.node)


@pytest.fixture(scope="session")
def read() -> Callable[..., dict[str, Array]]:
    """Reads outputs of an answer."""
    return arrays
