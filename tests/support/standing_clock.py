"""A clock that stands until a test moves it."""


class Clock:
    """Seconds since whenever."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time."""
        return self.now
