"""Bearer tokens and what each may do, from a file: a line each, NAME RIGHTS TOKEN.

    # name   rights       token, or sha256: and its hash
    cameras  infer        0f3a…
    edge-7   infer,read   sha256:9b1d…

`infer` is asking models, `read` is what the node tells of itself beyond being live or ready, `control` is changing it.
A token is held as its hash, compared with all in constant time, and stands in no message.
"""

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from offramp.errors import ForbiddenError, InputError, UnauthenticatedError
from offramp.protocol.secret_file import NEW, check_token, read_private

Right = Literal["infer", "read", "control"]
RIGHTS: tuple[Right, ...] = get_args(Right)
HASHED, SCHEME = "sha256:", "bearer "
HASH = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"[\w.@-]{1,64}")


@dataclass(frozen=True)
class Holder:
    """Who holds a token, and what for."""

    name: str
    rights: frozenset[str]
    digest: bytes


def read_tokens(path: str) -> tuple[Holder, ...]:
    """Read a file of tokens; an InputError names the line, and nothing of the token."""
    found: list[Holder] = []
    for number, line in enumerate(read_private(path).splitlines(), 1):
        words = line.split()
        if words and not words[0].startswith("#"):
            found.append(_holder(words, f"tokens {path}: line {number}"))
            if found[-1].name in {holder.name for holder in found[:-1]}:
                raise InputError(f"tokens {path}: line {number}: the name {found[-1].name!r} stands here twice.")
            if any(hmac.compare_digest(found[-1].digest, holder.digest) for holder in found[:-1]):
                raise InputError(f"tokens {path}: line {number}: the same token stands above. Give each its own.")
    if not found:
        raise InputError(f"tokens {path}: holds none, so nobody could come in. Expected lines of NAME RIGHTS TOKEN.")
    return tuple(found)


def _holder(words: list[str], where: str) -> Holder:
    if len(words) != 3 or NAME.fullmatch(words[0]) is None:
        raise InputError(
            f"{where}: expected NAME RIGHTS TOKEN with spaces between them, like: cameras infer,read TOKEN. "
            f"Make a token: {NEW}"
        )
    name, rights, token = words
    said = rights.split(",")
    if unknown := [right for right in said if right not in RIGHTS]:
        raise InputError(f"{where}: unknown right {unknown[0]!r} of {name}. Expected some of {', '.join(RIGHTS)}.")
    if token.startswith(HASHED):
        if HASH.fullmatch(digest := token.removeprefix(HASHED)) is None:
            raise InputError(f"{where}: after {HASHED} 64 hexadecimal digits are expected, as sha256sum prints them.")
        return Holder(name, frozenset(said), bytes.fromhex(digest))
    return Holder(name, frozenset(said), hashlib.sha256(check_token(token, where).encode()).digest())


class Tokens:
    """Those of a file, as it was when it was read last."""

    def __init__(self, path: str) -> None:
        self.path, self.holders = path, read_tokens(path)

    def __len__(self) -> int:
        return len(self.holders)

    def read(self) -> Callable[[], str]:
        """Read the file again, and give what takes it up and says what is new."""
        now = read_tokens(self.path)

        def take() -> str:
            before, self.holders = self.holders, now
            return "" if before == now else f"{len(now)} tokens: {_names(now)}"

        return take

    def check(self, authorization: str | bytes | None, right: Right) -> Holder:
        """Give who shows this header, where its token has the right.

        Raises UnauthenticatedError and ForbiddenError: the kind of the refusal, a colon, what mends it.
        """
        header = authorization.decode("latin-1") if isinstance(authorization, bytes) else authorization
        if header is None or not header.lower().startswith(SCHEME):
            raise UnauthenticatedError("no token: send one with each request, as Authorization: Bearer TOKEN.")
        digest = hashlib.sha256(header[len(SCHEME) :].strip().encode("latin-1", "replace")).digest()
        # Each is compared, whichever it is.
        found = [holder for holder in self.holders if hmac.compare_digest(holder.digest, digest)]
        if not found:
            raise UnauthenticatedError("unknown token: this node knows others. It may have been changed or taken back.")
        if right not in found[0].rights:
            raise ForbiddenError(
                f"the token of {found[0].name!r} has no right to {right}, but to {', '.join(sorted(found[0].rights))}."
            )
        return found[0]


def _names(holders: tuple[Holder, ...]) -> str:
    return ", ".join(f"{holder.name} ({','.join(sorted(holder.rights))})" for holder in holders)
