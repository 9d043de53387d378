"""The address `/plan` of a node that follows plans: who may change one, and how large a document of one may be.

Knows nothing of what a plan says, nor of how a node follows it.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from offramp.errors import ForbiddenError, TooLargeError
from offramp.protocol.tokens import Holder, Right

PLAN = "plan"  # the first part of its path
CALLER = "offramp.caller"  # in a request's scope: who has shown a token, where one is asked for
LARGEST = 1 << 16  # bytes of a document: one of ten exits in three tiers is of one thousand


class Plans(Protocol):
    """The plans that a node follows, one for each version of its model; `version` of '' is of the only one."""

    def told(self, version: str) -> str:
        """The document of the plan in force; UnknownModelError where there is no such version."""
        ...

    def change(self, version: str, document: bytes, by: str) -> str:
        """Have a plan followed, whole or not at all, and give the one that is in force then.

        `by` is who asked for it. Raises BusyError while another change is under way, an OfframpError where the plan
        cannot be followed.
        """
        ...


def holds(scope: Mapping[str, Any], right: Right) -> bool:
    """Whether who has sent a request has shown a token with this right."""
    caller: Holder | None = scope.get(CALLER)
    return caller is not None and right in caller.rights


def controller(scope: Mapping[str, Any]) -> str:
    """The name of who has sent a request to change the node; ForbiddenError where nobody is asked for a token."""
    caller: Holder | None = scope.get(CALLER)
    if caller is None:
        raise ForbiddenError(
            "plan: this node asks nobody who they are, and so lets nobody change it. Start it with --tokens FILE, and "
            "show a token that has the right control."
        )
    return caller.name


def check_size(size: int) -> None:
    """Raise TooLargeError where a body is, or says that it is, larger than any document of a plan."""
    if size > LARGEST:
        raise TooLargeError(f"plan: {size} bytes, and a plan is of {LARGEST} at most.")
