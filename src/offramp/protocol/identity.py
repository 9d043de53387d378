"""Who a node is to its callers by TLS: its certificate, and whose certificates it lets in; both fronts show the same.

A change of the files is taken up by the next connection, whole: where they do not go together, as between the change of
one and of the other, that is said once, and what was there before goes on.
"""

import logging
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakSet

import grpc

from offramp.errors import InputError
from offramp.protocol.pem import Pair, load_pair, read_authorities, read_pair
from offramp.protocol.refusals import TOO_MANY, Refusals, kind_of

TRIES = 3  # to read files that somebody changes meanwhile

log = logging.getLogger("offramp")


class _Greeting:
    """The handshakes under way: up to `most` of them, and why others failed."""

    def __init__(self, most: int, refusals: Refusals) -> None:
        self.most, self.refusals = most, refusals
        self.under_way: WeakSet[ssl.SSLObject] = WeakSet()  # who goes without a word is in no other place either

    def begin(self, connection: ssl.SSLObject) -> None:
        """Raise where there are so many that this is one too many."""
        if connection not in self.under_way and len(self.under_way) >= self.most:
            self.refusals.note("http", TOO_MANY)
            raise ssl.SSLError(TOO_MANY)
        self.under_way.add(connection)

    def refused(self, error: ssl.SSLError) -> None:
        """One has failed."""
        self.refusals.note("http", kind_of(error.reason or "", getattr(error, "verify_message", "")))


class _Context(ssl.SSLContext):
    """One whose handshakes are counted."""

    greeting: _Greeting


class _Greeted(ssl.SSLObject):
    def do_handshake(self) -> None:
        """Called until there is nothing more to wait for."""
        assert isinstance(self.context, _Context)
        greeting = self.context.greeting
        greeting.begin(self)
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            greeting.under_way.discard(self)
            greeting.refused(error)
            raise
        greeting.under_way.discard(self)


@dataclass(frozen=True)
class _Held:
    """What the files held at one moment."""

    pair: Pair
    authorities: bytes | None
    context: _Context


class Identity:
    """A certificate, its key, and the authorities of callers' certificates, where those must show one."""

    def __init__(self, cert: str, key: str, client_ca: str | None, refusals: Refusals) -> None:
        self.cert, self.key, self.client_ca = cert, key, client_ca
        self.changing, self.greeting = threading.Lock(), _Greeting(0, refusals)
        self.state = self._state()  # that of the files when they were looked at last
        self.held = self._read()

    def read(self) -> Callable[[], str]:
        """Read the files now, and give what takes them up and says what is new; InputError where they do not do."""
        state, held = self._state(), self._read()

        def take() -> str:
            with self.changing:
                same = held.pair == self.held.pair and held.authorities == self.held.authorities
                self.state, self.held = state, self.held if same else held
            return "" if same else f"certificate {self.cert}, sha256 {held.pair.fingerprint}"

        return take

    def look(self) -> _Held:
        """What to show to a caller who comes now."""
        with self.changing:
            if (state := self._state()) != self.state:
                self.state = state
                try:
                    self.held = self._read()
                    log.info("certificate: %s is another, sha256 %s", self.cert, self.held.pair.fingerprint)
                except InputError as error:
                    log.error("certificate: %s The one before goes on.", error)  # noqa: TRY400  # one line
            return self.held

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """For a port of grpc's."""
        given = self.held

        def fetched() -> Any:  # called for each connection, by any thread
            nonlocal given
            before, given = given, self.look()
            return None if given is before else _of_grpc(given)

        return grpc.dynamic_ssl_server_credentials(_of_grpc(given), fetched, self.client_ca is not None)

    def http_context(self, most: int) -> ssl.SSLContext:
        """For a server of HTTP: each connection is shown what there is then, not what this context was made with.

        Up to `most` handshakes are under way at once.
        """
        front, self.greeting.most = self._context(), most

        def greet(connection: Any, _name: str | None, _front: ssl.SSLContext) -> None:
            connection.context = self.look().context

        front.sni_callback = greet
        front.sslobject_class = _Greeted
        return front

    def _read(self) -> _Held:
        """Raises InputError, also where the files change each time that they are read."""
        for _ in range(TRIES):
            before = self._state()
            pair, context = read_pair(self.cert, self.key), self._context()
            authorities = None if self.client_ca is None else read_authorities(self.client_ca)
            if before == self._state():
                return _Held(pair, authorities, context)
        raise InputError(f"certificate {self.cert}: changed while it was read.")

    def _context(self) -> _Context:
        context = _Context(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.greeting = self.greeting
        load_pair(context, self.cert, self.key)
        if self.client_ca is not None:
            context.load_verify_locations(cadata=read_authorities(self.client_ca).decode("ascii"))
            context.verify_mode = ssl.CERT_REQUIRED
            # Who comes again is asked again: a session that goes on would outlive an authority that is not trusted now.
            context.options |= ssl.OP_NO_TICKET
            context.num_tickets = 0
        return context

    def _state(self) -> tuple[object, ...]:
        """What tells one state of the files from another."""
        return tuple(_stamp(path) for path in (self.cert, self.key, self.client_ca) if path is not None)


def _stamp(path: str) -> object:
    try:
        found = Path(path).stat()
    except OSError as error:
        return error.errno
    return found.st_ino, found.st_mtime_ns, found.st_size


def _of_grpc(held: _Held) -> Any:
    return grpc.ssl_server_certificate_configuration([(held.pair.key, held.pair.chain)], held.authorities)
