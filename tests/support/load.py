"""Clients that ask an edge one thing after another while something is changed, and keep what made each answer."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple, Self

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput

from offramp.protocol.datatypes import NAMES
from offramp.protocol.served import Array
from until import until

WAIT = 30.0  # seconds after which a test that hangs fails
CLIENTS = 3


class Made(NamedTuple):
    """What an answer to a whole batch was made by."""

    version: str
    by: frozenset[tuple[int, str, bool]]  # of its rows: exit, tier, whether degraded


class ClosedLoop(ABC):
    """Clients that ask as soon as they are answered; a request that fails fails the test."""

    def __init__(self) -> None:
        self.errors, self.over = list[str](), threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(2 * WAIT)
        assert not any(thread.is_alive() for thread in self.threads)
        assert self.errors == []

    def _run(self, number: int) -> None:
        with self.client(number) as ask:
            while not self.over.is_set():
                try:
                    ask()
                except Exception as error:  # of whatever kind: none is expected
                    self.errors.append(repr(error))
                    return

    @abstractmethod
    def client(self, number: int) -> AbstractContextManager[Callable[[], object]]:
        """What asks once and looks at the answer, for as long as this client lasts."""


class Load(ClosedLoop):
    """Clients of an edge on connections of their own, which keep what made each answer.

    An answer with other probabilities than those that are expected of its version fails the test.
    """

    def __init__(self, address: str, images: Array, expected: Mapping[str, Array] | None = None) -> None:
        super().__init__()
        self.address, self.images, self.expected = address, images, expected or {}
        self.made = list[tuple[int, Made]]()  # by client, in the order in which they came

    @contextmanager
    def client(self, number: int) -> Iterator[Callable[[], object]]:
        """A foreign one."""
        with InferenceServerClient(self.address, channel_args=[("grpc.use_local_subchannel_pool", 1)]) as client:
            yield lambda: self.made.append((number, made_by(client, self.images, expected=self.expected)))

    def next(self) -> set[Made]:
        """What requests that begin from now on are answered by, two of each client or more."""
        start = len(self.made)

        def later() -> list[Made]:
            found: list[Made] = []
            for number in range(CLIENTS):
                # The first that comes may have begun before.
                mine = [made for client, made in self.made[start:] if client == number][1:]
                if len(mine) < 2:
                    return []
                found.extend(mine)
            return found

        until(lambda: bool(self.errors or later()))
        assert self.errors == []
        return set(later())

    @property
    def all(self) -> set[Made]:
        """What all answers until now were made by."""
        return {made for _, made in self.made}


def made_by(
    client: InferenceServerClient, images: Array, version: str = "", expected: Mapping[str, Array] | None = None
) -> Made:
    """Ask for a whole answer, and read what it was made by."""
    tensor = InferInput("image", list(images.shape), NAMES[images.dtype])
    tensor.set_data_from_numpy(images)
    answer: Any = client.infer("classifier", [tensor], model_version=version, client_timeout=WAIT)
    columns = [answer.as_numpy(name).tolist() for name in ("exit", "tier", "degraded")]
    by = frozenset((exit_, tier.decode(), degraded) for exit_, tier, degraded in zip(*columns, strict=True))
    assert sum(map(len, columns)) == 3 * len(images)
    made = Made(answer.get_response().model_version, by)
    if expected:
        np.testing.assert_allclose(answer.as_numpy("probabilities"), expected[made.version], atol=1e-3)
    return made
