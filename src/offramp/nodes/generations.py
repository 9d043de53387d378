"""What a node serves by bundle: now, and from before until the next reload, so that its neighbours move one by one.

Takes bundles and what makes something of one. Knows nothing of what that is.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Self, TypeVar

from offramp.artifacts.bundle import Bundle

T = TypeVar("T")


@dataclass(frozen=True)
class Generations(Generic[T]):
    """Two of them, each by bundle's id; the first of now answers where a request names none."""

    now: Mapping[str, T]
    before: Mapping[str, T] = field(default_factory=dict)  # not wanted any more, and still served

    @property
    def all(self) -> dict[str, T]:
        """Both, those of now first."""
        return {**self.now, **self.before}

    def turned(self, bundles: Iterable[Bundle], make: Callable[[Bundle], T]) -> Self:
        """Those for these bundles and, for one more generation, the others of now; what is here is not made again."""
        known = self.all
        now = {bundle.id: known[bundle.id] if bundle.id in known else make(bundle) for bundle in bundles}
        return type(self)(now, {one: held for one, held in self.now.items() if one not in now})

    def said(self, earlier: Self) -> str:
        """What is different from earlier, in words."""
        opened = [one for one in self.all if one not in earlier.all]
        gone = [one for one in earlier.all if one not in self.all]
        said = {"opened": opened, "until the next reload": [*self.before], "let go": gone}
        parts = [f"{what} bundle {' and '.join(ones)}" for what, ones in said.items() if ones]
        return "; ".join(parts) or "the bundles are the same"
