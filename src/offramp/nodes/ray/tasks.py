"""Work on the machines of a cluster, a piece on each of its places; a piece whose machine dies is begun anew elsewhere.

Knows nothing of what the work is: a function that Ray can carry, and that goes on from where its predecessor was.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from offramp.errors import LinkError, OfframpError
from offramp.nodes.ray.cluster import check_resources, cores_of, joined, need_ray, places_in, said

Key = TypeVar("Key")
DEATHS = 5  # of its machines, after which a piece of work is given up: it may be what kills them
LOOK = 1.0  # seconds between looks at what goes on

log = logging.getLogger("offramp")


@dataclass
class _Piece(Generic[Key]):
    key: Key
    begin: Callable[[], Any]
    deaths: int = 0


class Places(Generic[Key]):
    """The places of a cluster, and the pieces of work on them."""

    def __init__(self, ray: Any, cpus: float) -> None:
        self.ray, self.cpus = ray, cpus
        self.under_way: dict[Any, _Piece[Key]] = {}

    @property
    def free(self) -> int:
        """Places that nothing has been begun on. It grows where machines join, and shrinks where they go."""
        return places_in(cores_of(self.ray), self.cpus) - len(self.under_way)

    def begin(self, key: Key, function: Callable[..., Any], *arguments: Any) -> None:
        """Have a machine run this; it may have to be run anew on another."""
        task = self.ray.remote(function).options(num_cpus=self.cpus, max_retries=0)
        piece = _Piece(key, lambda: task.remote(*arguments))
        self.under_way[piece.begin()] = piece

    def ended(self) -> Iterator[tuple[Key, Any]]:
        """What has come to its end since it was asked last, with what came of it; it waits for a while.

        Raises what a piece raises, if that is ours, and LinkError for what is not or for one whose machines keep dying.
        """
        if not self.under_way:
            time.sleep(LOOK)
            return
        done, _ = self.ray.wait([*self.under_way], num_returns=1, timeout=LOOK)
        for reference in done:
            piece = self.under_way.pop(reference)
            try:
                found = self.ray.get(reference, timeout=60)
            except self.ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, OfframpError):
                    raise type(error.cause)(f"{piece.key}: {error.cause}") from error
                raise LinkError(f"{piece.key}: {said(error)}") from error
            except self.ray.exceptions.RayError as error:
                self._again(piece, error)
            else:
                yield piece.key, found

    def _again(self, piece: _Piece[Key], error: Exception) -> None:
        piece.deaths += 1
        if piece.deaths >= DEATHS:
            raise LinkError(
                f"{piece.key}: its machine, or its process there, ended {DEATHS} times ({said(error)}). Look at their "
                "memory, and at Ray's logs in /tmp/ray."
            ) from error
        log.warning("%s: its machine, or its process there, has ended; it goes on elsewhere", piece.key)
        self.under_way[piece.begin()] = piece

    def close(self) -> None:
        """End what is under way."""
        for reference in self.under_way:
            self.ray.cancel(reference, force=True)


@contextmanager
def places(what: str, address: str, cpus: float) -> "Iterator[Places[Any]]":
    """Those of the cluster at an address, each of so many cores; what is under way at the end is ended."""
    need_ray(what)
    with joined(address) as ray:
        check_resources(ray, 1, cpus, "places")
        found: Places[Any] = Places(ray, cpus)
        try:
            yield found
        finally:
            found.close()


def machine() -> str:
    """The address of the machine that this runs on."""
    import ray

    return str(ray.util.get_node_ip_address())
