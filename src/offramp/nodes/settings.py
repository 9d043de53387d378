"""What a node is told when it starts, by the command line or a test: what every node is, and what a cloud is.

Knows nothing of how a node serves. `edge_settings` has an edge's, `told` the form in which a process reads them.
"""

from dataclasses import dataclass, field, replace
from typing import Literal, Self

from offramp.errors import InputError
from offramp.machine import cores_to_use
from offramp.nodes.batching import Limits
from offramp.nodes.logs import LogFormat
from offramp.protocol.cross_origin import check_origin
from offramp.protocol.door import Access
from offramp.protocol.http_server import CONNECTIONS
from offramp.protocol.rest_app import check_root_path
from offramp.protocol.server import STREAMS
from offramp.runtime.choice import AUTO, Choice
from offramp.unix_sockets import LONGEST, MODE, http_beside, path_of

MOST_WORKERS = 256


@dataclass(frozen=True, kw_only=True)
class NodeSettings:
    """What every node is told: folders of its bundles or of a suite, where it listens, and what runs them."""

    bundles: tuple[str, ...]
    host: str = "127.0.0.1"
    port: int = 0
    shared_memory: bool = False  # offered to callers on this machine
    socket_mode: int = MODE  # of the file, where the host is unix:/PATH
    http_port: int | None = None  # None: no HTTP
    threads: int = 0
    max_batch: int = 256
    max_streams: int = STREAMS
    max_connections: int = CONNECTIONS  # of each protocol
    runtime: str = AUTO
    precision: str = AUTO
    origins: tuple[str, ...] = ()  # of web pages that may ask over HTTP
    root_path: str = ""  # what a proxy leaves before /v2
    log_format: LogFormat = "text"
    log_requests: bool = False  # a line each
    access: Access = field(default_factory=Access)  # who may come in
    trust: tuple[str, ...] = ()  # files of public keys, of which one must have signed each bundle
    workers: int = 1
    shared: bool = False  # one of these workers, which listens where the others do
    counts: tuple[int, int] = (-1, 0)  # the descriptor of the memory in which they all count, and the worker's place
    why: str = "as asked"  # its runtime and precision

    def __post_init__(self) -> None:
        object.__setattr__(self, "origins", tuple(map(check_origin, self.origins)))
        object.__setattr__(self, "root_path", check_root_path(self.root_path))
        self._check_workers()
        path = path_of(self.host)
        if path is None and self.socket_mode != MODE:
            raise InputError(
                f"socket mode {self.socket_mode:o}: is of a Unix socket's file, and this node listens at {self.host}. "
                "Listen at one (--host unix:/PATH), or leave it out."
            )
        if path is not None and self.http_port is not None and len(beside := http_beside(path)) > LONGEST:
            more = len(beside) - len(path)
            raise InputError(
                f"address {self.host!r}: a path of {len(path)} characters, and with HTTP beside it a Unix socket has "
                f"at most {LONGEST - more}: {beside} is {more} longer. Choose a shorter one, or --no-http."
            )

    @property
    def share(self) -> int:
        """A worker's part of the cores."""
        return max(1, cores_to_use(0) // self.workers)

    def of_one(self) -> Self:
        """What each worker gets."""
        return replace(self, threads=self.threads or (0 if self.workers == 1 else self.share), shared=self.workers > 1)

    def settled(self, choice: Choice) -> Choice:
        """A choice, with the reason of whoever made it for this worker."""
        return replace(choice, why=self.why) if self.shared else choice

    def _check_workers(self) -> None:
        if not 1 <= self.workers <= MOST_WORKERS:
            raise InputError(
                f"workers {self.workers}: expected 1 to {MOST_WORKERS}. More than there are cores gain nothing."
            )
        if self.workers > 1 and self.shared_memory:
            raise InputError(
                f"workers {self.workers}: one knows no region of shared memory that another was told of. Serve by one, "
                "or leave out --shared-memory."
            )
        if self.workers > 1 and path_of(self.host) is not None:
            raise InputError(
                f"workers {self.workers}: processes share no Unix socket, as they do a port. Serve by one, or listen "
                "on a port (--host HOST --port PORT)."
            )


@dataclass(frozen=True, kw_only=True)
class CloudSettings(NodeSettings):
    """What a cloud serves, and how."""

    node: Literal["cloud"] = "cloud"
    limits: Limits = field(default_factory=Limits)

    def of_one(self) -> Self:
        """What each worker gets, with runners enough to use its share of the cores."""
        limits = replace(self.limits, runners=self.share)
        return replace(super().of_one(), limits=limits)
