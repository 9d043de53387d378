"""Who may come into a node: by which certificates, with which tokens. Made once, for both of its fronts."""

from collections.abc import Callable
from dataclasses import dataclass

from offramp.errors import InputError
from offramp.protocol.identity import Identity
from offramp.protocol.pem import check_pair
from offramp.protocol.refusals import Refusals
from offramp.protocol.tokens import Tokens
from offramp.sockets import is_loopback
from offramp.unix_sockets import open_to, path_of


@dataclass(frozen=True, kw_only=True)
class Access:
    """What a node is told of who may come in: paths of files. Without any, everybody may who can reach it."""

    cert: str | None = None
    key: str | None = None
    client_ca: str | None = None  # callers show a certificate of these authorities: mutual TLS
    tokens: str | None = None

    def __post_init__(self) -> None:
        check_pair(self.cert, self.key)
        if self.client_ca is not None and self.cert is None:
            raise InputError(
                f"client authority {self.client_ca}: callers are asked for certificates by TLS alone. Give the node "
                "a certificate of its own, --tls-cert and --tls-key."
            )


class Door:
    """The same with the files read, and what it has refused. InputError where a file does not do.

    `host` is where the node listens: no token is asked for in plain text beyond this machine.
    """

    def __init__(self, access: Access, host: str) -> None:
        self.host, self.path, self.refusals = host, path_of(host), Refusals()
        if self.path is not None and access.cert is not None:
            raise InputError(
                f"certificate {access.cert}: there is no TLS over a Unix socket, which never leaves this machine. "
                "Leave out --tls-cert: its file says who may come in (--socket-mode), and tokens do."
            )
        self.identity: Identity | None = None
        if access.cert is not None and access.key is not None:
            self.identity = Identity(access.cert, access.key, access.client_ca, self.refusals)
        elif access.tokens is not None and not is_loopback(host):
            raise InputError(
                f"tokens {access.tokens}: would come to {host} in plain text, for anybody on the way to read. Use TLS "
                "(--tls-cert FILE --tls-key FILE), or listen on 127.0.0.1 behind a proxy that does."
            )
        self.tokens = None if access.tokens is None else Tokens(access.tokens)

    def read(self) -> Callable[[], str]:
        """Read the files again, and give what takes them up and says what changed; InputError where one is no good."""
        takes = [part.read() for part in (self.identity, self.tokens) if part is not None]
        return lambda: "; ".join(filter(None, [take() for take in takes]))

    @property
    def open_to(self) -> str:
        """Who may come in: `TLS, who shows one of 3 tokens`."""
        if self.path is not None:
            who = open_to(self.path)
            return who if self.tokens is None else f"{who}, who shows one of {len(self.tokens)} tokens"
        if self.identity is None:
            link, who = "plain text", "anyone"
        elif self.identity.client_ca is None:
            link, who = "TLS", "anyone"
        else:
            link, who = "mutual TLS", f"who shows a certificate of {self.identity.client_ca}"
        if self.tokens is not None:
            shown = f"one of {len(self.tokens)} tokens"
            who = f"who shows {shown}" if who == "anyone" else f"{who} and {shown}"
        return f"{link}, {who}"

    @property
    def noteworthy(self) -> bool:
        """Whether it is said at the start: not of a port that asks nothing, and this machine alone reaches."""
        return (
            self.path is not None or not is_loopback(self.host) or self.identity is not None or self.tokens is not None
        )

    @property
    def warns(self) -> bool:
        """Whether others can read and send what they like."""
        return self.identity is None and not is_loopback(self.host)
