"""What a caller trusts and shows: the authorities of a node's certificate, a certificate of its own, a token.

They are files, named by their paths, so that neither a key nor a token stands in settings, arguments or messages.
"""

from dataclasses import dataclass, field, fields

import grpc

from offramp.errors import InputError
from offramp.protocol.pem import Pair, check_pair, read_authorities, read_pair
from offramp.protocol.secret_file import read_secret
from offramp.sockets import is_local
from offramp.unix_sockets import path_of

PUBLIC = "public"
Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Shown:
    """The contents of the files."""

    roots: bytes | None = None  # None with `tls`: the public ones
    pair: Pair | None = field(default=None, repr=False)
    tls: bool = False
    metadata: Metadata | None = field(default=None, repr=False)  # of each call: the token

    @property
    def channel(self) -> grpc.ChannelCredentials | None:
        """What grpc makes a connection with; None: plain text."""
        if not self.tls:
            return None
        key, chain = (None, None) if self.pair is None else (self.pair.key, self.pair.chain)
        return grpc.ssl_channel_credentials(self.roots, key, chain)


NOTHING = Shown()


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Files by which a caller and a node know each other; without any, a connection is plain text.

    `ca` holds the authorities that the node's certificate may come from, in PEM form; `public` are those that browsers
    trust. With it, connections are by TLS. `cert` and `key` are the caller's own, for a node that asks for them;
    `token_file` holds the token that is shown with each call, and nobody else may read it.
    """

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    token_file: str | None = None

    def __post_init__(self) -> None:
        for name in fields(self):  # paths are taken too
            if (value := getattr(self, name.name)) is not None:
                object.__setattr__(self, name.name, str(value))
        check_pair(self.cert, self.key)
        if self.cert is not None and self.ca is None:
            raise InputError(
                f"certificate {self.cert}: shown to nobody without TLS. Name the authority of the node's certificate "
                f"too (--tls-ca FILE, or {PUBLIC})."
            )

    def read(self, address: str) -> Shown:
        """Read the files for a node at HOST:PORT or unix:/PATH.

        Raises InputError where one does not do, and where a token would go over a network in plain text.
        """
        if self.ca is not None and path_of(address) is not None:
            raise InputError(
                f"authorities {self.ca}: there is no TLS over {address}, a Unix socket, which never leaves this "
                "machine. Leave them out (--tls-ca)."
            )
        pair = None if self.cert is None or self.key is None else read_pair(self.cert, self.key)
        metadata: Metadata | None = None
        if self.token_file is not None:
            if self.ca is None and not is_local(address):
                raise InputError(
                    f"token file {self.token_file}: would go to {address} in plain text, for anybody on the way to "
                    f"read. Use TLS: name the authority of the node's certificate (--tls-ca FILE, or {PUBLIC})."
                )
            metadata = (("authorization", f"Bearer {read_secret(self.token_file)}"),)
        roots = None if self.ca in (None, PUBLIC) else read_authorities(str(self.ca))
        return Shown(roots, pair, self.ca is not None, metadata)
