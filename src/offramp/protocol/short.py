"""Which calls are short, by what such calls took: those may be answered where they come, and together."""

from collections.abc import Hashable

SHORT = 0.002  # seconds of a call
TOGETHER = 8  # short calls that are answered as one batch at most
SORTS = 256  # of calls, of which it is known what they take


class Known:
    """What calls of each sort take: by shares, how far one that took more, or less, moves it."""

    def __init__(self, more: float, less: float) -> None:
        self.more, self.less = more, less
        self.took: dict[Hashable, float] = {}  # seconds

    def is_short(self, sort: Hashable) -> bool:
        """Whether such a call is; one of a sort that has not come is not."""
        return self.took.get(sort, SHORT + 1) <= SHORT

    def note(self, sort: Hashable, seconds: float) -> None:
        """What one took."""
        before = self.took.get(sort)
        if before is None:
            if len(self.took) >= SORTS:
                self.took.clear()
            self.took[sort] = seconds
        else:
            self.took[sort] = before + (self.more if seconds > before else self.less) * (seconds - before)
