"""What a server serves: models with named tensors in and out. The nodes implement `Served`; fronts speak for it."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy.typing as npt

from offramp.errors import InputError
from offramp.protocol.gone import Gone
from offramp.protocol.record import Kind, Record

TOOK = "offramp-took"  # of the metadata behind a whole answer over gRPC: seconds that its request was in the node

Number = TypeVar("Number", int, float)
Array = npt.NDArray[Any]
Parameters = Mapping[str, bool | int | float | str]


@dataclass(frozen=True)
class TensorSpec:
    """A tensor that a model takes or gives; -1 in the shape is free. `forms` are other datatypes it is taken in.

    `labels` are the names of what its numbers stand for, in their order, where they have any.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    forms: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Call:
    """One request to a model, decoded."""

    inputs: dict[str, Array]
    parameters: Parameters = field(default_factory=dict)
    timeout: float | None = None  # seconds the caller still waits
    waited: float = 0.0  # seconds since it came, where the caller's own word of its time is of then
    cancelled: Gone = field(default_factory=Gone)  # set when the caller has gone
    asked: Collection[str] = ()  # the outputs asked for by name; none: all but those that come only where asked for
    record: Record = field(default_factory=Record)  # what is noted of this request for who operates the node

    def tensors(self, *names: str, beside: tuple[str, ...] = ()) -> list[Array]:
        """The inputs of these names, in this order; an InputError that says which were sent if they are others.

        What is named in `beside` may be sent as well.
        """
        if set(self.inputs) - set(beside) != set(names):
            sent = ", ".join(sorted(self.inputs)) or "nothing"
            expected = ", ".join(map(repr, names))
            expected = f"exactly one, {expected}" if len(names) == 1 else f"exactly {len(names)}, {expected}"
            raise InputError(f"inputs: expected {expected}, got {sent}.")
        return [self.inputs[name] for name in names]

    def text(self, name: str) -> str | None:
        """A string parameter; None where it was not sent."""
        value = self.parameters.get(name)
        if value is not None and not isinstance(value, str):
            raise InputError(f"parameter {name!r}: expected a string, got {value!r}.")
        return value

    def flag(self, name: str) -> bool | None:
        """A parameter that is true or false; the words are too. None where it was not sent."""
        value = self.parameters.get(name)
        named = {"true": True, "false": False}
        if value is None or isinstance(value, bool):
            return value
        if not isinstance(value, str) or value.lower() not in named:
            raise InputError(f"parameter {name!r}: expected true or false, got {value!r}.")
        return named[value.lower()]

    def number(self, name: str, kind: type[Number]) -> Number | None:
        """A numeric parameter; numbers written as strings are numbers too. None where it was not sent."""
        value = self.parameters.get(name)
        if value is None:
            return None
        try:
            if isinstance(value, bool):
                raise ValueError
            number = kind(value)
            if math.isnan(number) or (kind is int and isinstance(value, float) and number != value):
                raise ValueError
        except (ValueError, OverflowError) as error:  # int() of infinity is the second
            expected = "a whole number" if kind is int else "a number"
            raise InputError(f"parameter {name!r}: expected {expected}, got {value!r}.") from error
        return number


@dataclass(frozen=True)
class Result:
    """A model's answer, or a part of it."""

    outputs: dict[str, Array]
    parameters: Parameters = field(default_factory=dict)
    last: bool = True  # no further part of this answer follows
    by: Mapping[Kind, int] = field(default_factory=dict)  # how many rows were answered by what, for the record alone
    size: int = 0  # bytes of the message that it came in, where it came in one
    took: float | None = None  # seconds in its node, by that one's word, where it came with one


@dataclass(frozen=True)
class Pending:
    """A result, or a part of one, that somebody else has been asked for: no thread waits until the answer is there.

    `finish` makes the result of it once `answer` is done, and raises what went wrong. It computes: not for a loop.
    """

    answer: Future[Any]
    finish: Callable[[], Result]


class Served(Protocol):
    """A model on a server."""

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def version(self) -> str:
        """Its one version: the bundle's id, so that no request is ever answered by other weights than it means."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What it takes."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What it gives."""

    @property
    def config(self) -> dict[str, str]:
        """What else there is to know of it, by name."""

    def prepare(self) -> None:
        """Be ready to answer at once. Asked for before readiness is affirmed."""

    def infer(self, call: Call) -> Result | Pending:
        """Answer a request whole."""

    def stream(self, call: Call) -> Iterator[Result | Pending]:
        """Answer a request in parts, each as soon as it is known. Closed early where the caller goes."""


@runtime_checkable
class Listening(Protocol):
    """A model whose streams are open for what other calls bring, and so for as long as there are any."""

    @property
    def listeners(self) -> int:
        """How many of its streams are open."""

    def close(self) -> None:
        """End them: the node stops, and nothing will come any more."""


# What some models have besides, as `at_once`: answers to requests that are run as one batch, each as if it were alone,
# without waiting for anybody; None: ask for each alone. Called on an event loop too, which is held meanwhile.
AtOnce = Callable[[Sequence[Call]], list[Result] | None]
