"""Addresses, and ports to listen on: one's own, or one that several processes of a node share, and no other node.

An address is HOST:PORT; an IPv6 host stands in brackets there, and is taken without them where that is clear. Or it is
unix:/PATH, a Unix socket, which is a host without a port.

`SO_REUSEPORT` alone would let two unrelated nodes of a user share a port unnoticed, each answering some of the calls.
So the port is taken alone first, by a socket that never listens, and opened to the node's own processes after that.
"""

import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address, ip_address
from urllib.parse import urlsplit

from offramp.errors import InputError, PortInUseError
from offramp.unix_sockets import MODE, SCHEME, SocketFile, listening_at, path_of

SPARE = 128  # descriptors of a process beside those of its connections


@contextmanager
def hold_port(host: str, port: int) -> Iterator[int]:
    """Keep a port for the processes that will listen on it with `SO_REUSEPORT`; give it. 0 chooses a free one.

    Raises PortInUseError where anybody listens on it, or holds it, already.
    """
    # A port whose last connections are still being forgotten is free; one that is held is not.
    with _bound(host, port) as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        yield held.getsockname()[1]


@dataclass(frozen=True)
class Listener:
    """A socket that listens, at an address; one that is a file, with that."""

    socket: socket.socket
    address: str
    port: int = 0  # of a Unix socket, which has none
    file: SocketFile | None = None

    def close(self) -> None:
        """Listen no more."""
        self.socket.close()
        if self.file is not None:
            self.file.remove()


def listening(
    host: str, port: int, backlog: int, *, shared: bool = False, http: bool = True, mode: int = MODE
) -> Listener:
    """A socket that listens; port 0 chooses a free one, `shared` lets others of this user listen there too.

    A Unix socket's file has this mode. Raises PortInUseError, whose words are a node's, with its HTTP side, or of
    something without one; InputError where no Unix socket can be.
    """
    if (path := path_of(host)) is not None:
        made, file = listening_at(path, backlog, mode)
        return Listener(made, f"{SCHEME}{path}", file=file)
    found = _bound(host, port, shared=shared, http=http)
    try:
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        found.listen(backlog)
    except OSError as error:
        found.close()
        raise port_taken(host, port, http=http) from error
    port = found.getsockname()[1]
    return Listener(found, join_address(host, port), port)


def _bound(host: str, port: int, *, shared: bool = False, http: bool = True) -> socket.socket:
    try:
        found = socket.getaddrinfo(_bare(host), port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        made = socket.socket(family, kind, protocol)
    except OSError as error:
        raise port_taken(host, port, http=http) from error
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:  # `::` is every address, IPv4's too, as grpc has it
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.bind(address)
    except OSError as error:
        made.close()
        raise port_taken(host, port, http=http) from error
    return made


def allow_descriptors(connections: int) -> None:
    """Let this process have descriptors for so many connections and its files; InputError where the system does not."""
    wanted = connections + SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or wanted <= soft:
        return
    if hard != resource.RLIM_INFINITY and wanted > hard:
        raise InputError(
            f"connections: {connections} need {wanted} open files, and the system lets this process have {hard}. "
            "Let it have more (ulimit -Hn, LimitNOFILE in its unit), or take fewer (--max-connections)."
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def port_taken(host: str, port: int, *, http: bool = True) -> PortInUseError:
    """The error for a port that cannot be listened on."""
    beside = " (HTTP is one below it, or --http-port)" if http else ""
    return PortInUseError(
        f"cannot listen on {join_address(host, port)}: the port is taken, or the host is not this machine's. "
        f"Choose another with --port{beside}, or stop what listens there."
    )


def join_address(host: str, port: int) -> str:
    """`HOST:PORT`, an IPv6 host in brackets, whether it came in some or not."""
    bare = _bare(host)
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"


def split_address(address: str) -> tuple[str, int]:
    """The host, without brackets, and the port of `HOST:PORT`; InputError where it is none."""
    host, colon, port = address.rpartition(":")
    if "://" in address:
        raise InputError(
            f"address {address!r}: expected HOST:PORT and no URL, like {_instead(address)}: the port of the gRPC side, "
            "which is one above HTTP's where nothing else was said."
        )
    good = host and colon and port.isascii() and port.isdigit() and 0 < int(port) < 2**16
    if not good or (":" in host and not _is_ipv6(_bare(host))):
        raise InputError(
            f"address {address!r}: expected HOST:PORT with a port from 1 to 65535, like 127.0.0.1:8001 or [::1]:8001."
        )
    return _bare(host), int(port)


def check_address(address: str) -> str:
    """Give `HOST:PORT` back if it is one, an IPv6 host in brackets, or `unix:/PATH`."""
    path = path_of(address)
    return join_address(*split_address(address)) if path is None else f"{SCHEME}{path}"


def check_addresses(addresses: str) -> tuple[str, ...]:
    """The same of one or several with commas between them."""
    return tuple(check_address(address.strip()) for address in addresses.split(","))


def is_local(address: str) -> bool:
    """The same of a whole address."""
    return path_of(address) is not None or is_loopback(split_address(address)[0])


def is_loopback(host: str) -> bool:
    """Whether only this machine can be reached by it, or reach what listens there."""
    if path_of(host) is not None:
        return True
    bare = _bare(host)
    try:
        return ip_address(bare).is_loopback
    except ValueError:
        return bare == "localhost"


def _bare(host: str) -> str:
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except AddressValueError:
        return False
    return True


def _instead(url: str) -> str:
    """An address in place of a URL."""
    try:
        host = urlsplit(url).hostname
    except ValueError:  # brackets that do not close
        host = None
    return join_address(host or "127.0.0.1", 8001)
