"""What is asked of a Ray cluster: how many replicas, of what, under which name. Knows nothing of Ray."""

import re
from dataclasses import dataclass
from typing import Self

from offramp.errors import InputError

MOST = 1024  # replicas
LOCAL, HERE = "local", "auto"  # addresses: a cluster started for this process alone; the one that runs on this machine
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, kw_only=True)
class Replicas:
    """How many replicas there are, and where."""

    least: int = 1
    most: int = 1  # above `least`: Ray Serve scales between them
    cpus: float = 1.0  # of each
    target: float = 2.0  # requests in flight at each that Ray Serve scales to
    address: str = HERE  # HOST:PORT of the cluster's head, or one of the words above
    application: str = "offramp"  # its name on the cluster
    proxy: int | None = None  # the port of Ray's own gRPC proxies; None: there are none

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most <= MOST:
            raise InputError(
                f"replicas {self.least}:{self.most}: expected 1 to {MOST}, as one number like 2 or from least to most "
                "like 1:4."
            )
        if not 0.01 <= self.cpus <= 1024:
            raise InputError(f"replica cpus {self.cpus:g}: expected 0.01 to 1024 cores for each replica.")
        if not 0 < self.target <= 4096:
            raise InputError(f"ray target {self.target:g}: expected requests in flight at each replica, above 0.")
        if NAME.fullmatch(self.application) is None:
            raise InputError(
                f"ray application {self.application!r}: expected up to 64 letters, digits and any of _ . - in them."
            )
        if self.proxy is not None and not 0 < self.proxy < 2**16:
            raise InputError(f"ray proxy {self.proxy}: expected a port from 1 to 65535, like Ray's own 9000.")

    @classmethod
    def of(cls, text: str, **more: object) -> Self:
        """Read how many: `2`, or `1:4` to have Ray Serve scale between them."""
        least, colon, most = text.partition(":")
        try:
            numbers = {"least": int(least), "most": int(most if colon else least)}
        except ValueError as error:
            raise InputError(f"replicas {text!r}: expected a number like 2, or least and most like 1:4.") from error
        return cls(**numbers, **more)  # type: ignore[arg-type]

    @property
    def threads(self) -> int:
        """That each replica computes with."""
        return max(1, int(self.cpus))
