"""Work on a cluster's places: how many there are, what is begun anew, and what ends it all. Ray is stood in for."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from offramp.errors import DataError, LinkError
from offramp.nodes.ray.tasks import DEATHS, Places


class RayError(Exception):
    """Of a machine."""


class RayTaskError(RayError):
    """Of what ran there."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"a traceback\n{type(cause).__module__}.{type(cause).__name__}: {cause}")
        self.cause = cause


class Ray:
    """Runs what it is asked when that is waited for; the machines of the first `die` pieces die."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self, die: int = 0) -> None:
        self.die, self.begun, self.cancelled = die, 0, list[Any]()
        self.options: dict[str, Any] = {}

    def nodes(self) -> list[dict[str, Any]]:
        """Two that live, and one that does not."""
        return [{"Alive": alive, "Resources": {"CPU": 3.0}} for alive in (True, True, False)]

    def remote(self, function: Callable[..., Any]) -> Any:
        """As Ray has it."""

        def options(**named: Any) -> Any:
            self.options = named

            def remote(*arguments: Any) -> Any:
                self.begun += 1
                return lambda: function(*arguments)

            return SimpleNamespace(remote=remote)

        return SimpleNamespace(options=options)

    def wait(self, references: list[Any], num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        """The first is done."""
        return references[:num_returns], references[num_returns:]

    def get(self, reference: Callable[[], Any], timeout: float) -> Any:
        """What came of it."""
        if self.die:
            self.die -= 1
            raise RayError("its machine has died.")
        try:
            return reference()
        except Exception as error:
            raise RayTaskError(error) from error

    def cancel(self, reference: Any, force: bool) -> None:
        """Take note."""
        self.cancelled.append(reference)


def fail(error: Exception) -> None:
    """Raise it."""
    raise error


def test_a_piece_whose_machine_dies_is_begun_anew_and_one_that_keeps_dying_ends_it() -> None:
    """Each machine holds as many pieces as fit on it; Ray itself begins nothing twice."""
    places: Places[str] = Places(ray := Ray(die=2), 2)
    assert places.free == 2
    places.begin("three", lambda a, b: a + b, 1, 2)
    assert places.free == 1
    assert ray.options == {"num_cpus": 2, "max_retries": 0}
    assert [list(places.ended()) for _ in range(3)] == [[], [], [("three", 3)]]
    assert (ray.begun, places.free) == (3, 2)
    ray.die = DEATHS
    places.begin("four", lambda: 4)
    for _ in range(DEATHS - 1):
        assert not list(places.ended())
    with pytest.raises(LinkError, match=rf"four: its machine, .* ended {DEATHS} times \(its machine has died"):
        list(places.ended())


def test_what_a_piece_raises_ends_it_and_what_is_under_way_is_ended() -> None:
    """As its own error where it is one of ours."""
    places: Places[str] = Places(ray := Ray(), 1)
    places.begin("ours", fail, DataError("no such folder."))
    with pytest.raises(DataError, match=r"ours: no such folder\."):
        list(places.ended())
    places.begin("foreign", fail, ZeroDivisionError("by zero."))
    with pytest.raises(LinkError, match=r"foreign: builtins.ZeroDivisionError: by zero\."):
        list(places.ended())
    places.begin("long", lambda: None)
    places.close()
    assert len(ray.cancelled) == 1
