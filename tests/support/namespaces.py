"""Two network namespaces joined by a cable: a link that can be cut without a word to anybody's machine.

Each is held by a process that sleeps, and is gone when that ends.
"""

import ctypes
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from offramp.children import Child
from until import until

WAIT = 30.0  # seconds that a command may take
CLONE_NEWNET = 0x40000000
# A child of Python's that is then another program: a node is started by its interpreter.
BECOME = "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])"


def why_none() -> str:
    """Why no namespaces can be made and joined here; nothing where they can."""
    if missing := [tool for tool in ("ip", "unshare", "nsenter") if shutil.which(tool) is None]:
        return f"no network namespaces: there is no {' and no '.join(missing)}"
    made = subprocess.run(
        ["unshare", "--net", "ip", "link", "add", "near", "type", "veth", "peer", "name", "far"],
        capture_output=True,
        text=True,
        timeout=WAIT,
    )
    return f"no network namespaces can be joined: {made.stderr.strip()}" if made.returncode else ""


@dataclass(frozen=True)
class Namespace:
    """One end of the cable."""

    process: int  # that holds it
    address: str
    interface: str

    def command(self, *arguments: str) -> list[str]:
        """What runs a command in it."""
        return ["nsenter", "--net", "--target", str(self.process), *arguments]

    def node(self, *arguments: str) -> Child:
        """Start `offramp serve` with these arguments in it, listening at its address."""
        serve = (sys.executable, "-m", "offramp", "serve", *arguments, "--host", self.address, "--port", "0")
        return Child(f"offramp serve {arguments[0]}", ("-c", BECOME, *self.command(*serve)), "", kept=True)

    def run(self, *command: str) -> None:
        """Run a command in it."""
        subprocess.run(self.command(*command), check=True, capture_output=True, timeout=WAIT)

    def ip(self, *arguments: str) -> None:
        """Run `ip` in it."""
        self.run("ip", *arguments)

    def enter(self) -> None:
        """Have this thread, which must be one that ends, open its sockets there from now on."""
        assert threading.current_thread() is not threading.main_thread()
        libc = ctypes.CDLL(None, use_errno=True)
        with Path(f"/proc/{self.process}/ns/net").open() as its:
            if libc.setns(its.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")


@contextmanager
def cable() -> Iterator[tuple[Namespace, Namespace]]:
    """Two of them, joined."""
    held: list[subprocess.Popen[bytes]] = []
    try:
        ends = []
        for number, interface in enumerate(("near", "far"), 1):
            held.append(holder := subprocess.Popen(["unshare", "--net", "sleep", "600"]))
            until(lambda pid=holder.pid: _namespace(pid) != _namespace(os.getpid()))
            ends.append(Namespace(holder.pid, f"10.9.8.{number}", interface))
        near, far = ends
        near.ip("link", "add", "near", "type", "veth", "peer", "name", "far", "netns", str(far.process))
        for end in ends:
            end.ip("address", "add", f"{end.address}/24", "dev", end.interface)
            end.ip("link", "set", "lo", "up")
            end.ip("link", "set", end.interface, "up")
        yield near, far
    finally:
        for process in held:
            process.kill()
            process.wait(WAIT)


def _namespace(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/net")
