"""A caller that goes before it has its answer."""

from collections.abc import Callable


class GoneError(Exception):
    """Nobody wants the answer any more."""


class Gone:
    """Whether a caller has gone. `told` is called when it goes: a new one takes the place of the one before."""

    told: Callable[[], object] | None = None

    def __init__(self) -> None:
        self.gone = False

    def is_set(self) -> bool:
        """Whether it has."""
        return self.gone

    def set(self) -> None:
        """It has: say so to who listens."""
        self.gone = True
        if (told := self.told) is not None:
            told()
