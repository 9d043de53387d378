"""Machines of a Ray cluster on this one: a head here, and a raylet in each of some network namespaces on a bridge.

Needs root, `ip`, `unshare` and `nsenter`, and Ray. Each machine can be killed, as a whole, and its cable can be pulled.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

WAIT = 60.0  # seconds that a command, or a machine, may take
STORE = "80000000"  # bytes: the least that Ray takes is little less
# Ray's own: no statistics to its makers, no token, and workers as urgent as what else runs here.
SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "RAY_worker_niceness": "0"}


def why_none() -> str:
    """Why there can be none here; nothing where there can."""
    if find_spec("ray") is None:
        return "ray is not installed"
    if missing := [tool for tool in ("ip", "unshare", "nsenter") if shutil.which(tool) is None]:
        return f"no network namespaces: there is no {' and no '.join(missing)}"
    made = subprocess.run(
        ["unshare", "--net", "ip", "link", "add", "tried", "type", "bridge"], capture_output=True, text=True
    )
    return f"no network namespaces can be joined: {made.stderr.strip()}" if made.returncode else ""


@dataclass(eq=False)
class Machine:
    """One of them, in a namespace of its own."""

    address: str
    process: "subprocess.Popen[bytes]"  # `ray start`, which waits for the raylet
    holder: "subprocess.Popen[bytes]"  # of the namespace
    cable: str

    def kill(self) -> None:
        """End all that runs on it, without a word to anybody."""
        for pid in inside(self.holder.pid):
            if pid != self.holder.pid:
                with_no_fuss(pid)
        self.process.wait(WAIT)

    def hide(self, folder: Path) -> None:
        """Have it see nothing in a folder."""
        inside_of = ["nsenter", "--mount", "--target", str(self.holder.pid)]
        hiding = [*inside_of, "mount", "-t", "tmpfs", "nothing", str(folder)]
        subprocess.run(hiding, check=True, capture_output=True, timeout=WAIT)

    def cut(self) -> None:
        """Pull its cable."""
        ip("link", "set", self.cable, "down")


@dataclass(eq=False)
class Raylets:
    """The cluster: HOST:PORT of its head, and its machines."""

    address: str
    machines: list[Machine] = field(default_factory=list)


def ip(*arguments: str, within: int | None = None) -> None:
    """Run `ip`, in the namespace that a process holds."""
    inside_of = [] if within is None else ["nsenter", "--net", "--target", str(within)]
    subprocess.run([*inside_of, "ip", *arguments], check=True, capture_output=True, timeout=WAIT)


def inside(holder: int) -> list[int]:
    """The processes in the namespace that one holds."""
    there, found = os.readlink(f"/proc/{holder}/ns/net"), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.readlink(entry / "ns/net") == there:
                    found.append(int(entry.name))
            except OSError:  # it has just ended
                continue
    return found


def with_no_fuss(pid: int) -> None:
    """Kill a process, if it is still there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _ray(log: Path, *arguments: str, by: tuple[str, ...] = ()) -> "subprocess.Popen[bytes]":
    """Have `ray start` run, and wait until it says that it has."""
    command = [
        *by,
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "start",
        *arguments,
        "--block",
        "--disable-usage-stats",
    ]
    with log.open("wb") as said:
        process = subprocess.Popen(
            [*command, "--object-store-memory", STORE], env=os.environ | SETTINGS, process_group=0, stdout=said,
            stderr=said,
        )  # fmt: skip
    _until(lambda: b"runtime started" in log.read_bytes() or process.poll() is not None)
    assert process.poll() is None, log.read_text()
    return process


def _end(process: "subprocess.Popen[bytes]", seconds: float = 15.0) -> None:
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(WAIT)


def _machine(stack: ExitStack, number: int, net: str, bridge: str, head: str, cpus: float, kept: Path) -> Machine:
    holder = subprocess.Popen(["unshare", "--net", "--mount", "sleep", "3600"])
    stack.callback(lambda: (holder.kill(), holder.wait(WAIT)))
    here = os.readlink("/proc/self/ns/net")
    while os.readlink(f"/proc/{holder.pid}/ns/net") == here:
        time.sleep(0.01)
    cable, address = f"{bridge}-{number}", f"{net}.{number}"
    ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
    ip("link", "set", cable, "master", bridge, "up")
    for command in (
        ("address", "add", f"{address}/24", "dev", "eth0"),
        ("link", "set", "eth0", "up"),
        ("link", "set", "lo", "up"),
        # Ray finds its own address by a route to anywhere.
        ("route", "add", "default", "via", f"{net}.254"),
    ):
        ip(*command, within=holder.pid)
    by = ("nsenter", "--net", "--mount", "--target", str(holder.pid))
    process = _ray(
        kept / f"machine-{number}", "--address", head, "--node-ip-address", address, "--num-cpus", f"{cpus:g}", by=by
    )
    machine = Machine(address, process, holder, cable)
    stack.callback(lambda: (_end(process), machine.kill()))
    return machine


@contextmanager
def raylets(count: int, cpus: float = 4) -> Iterator[Raylets]:
    """A cluster whose head, here, computes nothing, and so many machines of so many cores."""
    at = os.getpid() % 250
    net, bridge = f"10.77.{at}", f"ofr{os.getpid()}"
    port = 20000 + os.getpid() % 10000
    with ExitStack() as stack:
        ip("link", "add", bridge, "type", "bridge")
        stack.callback(ip, "link", "delete", bridge)
        ip("address", "add", f"{net}.254/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        kept = stack.enter_context(tempfile.TemporaryDirectory(prefix="r", dir="/tmp", ignore_cleanup_errors=True))
        head = _ray(
            Path(kept) / "head", "--head", "--node-ip-address", f"{net}.254", "--port", str(port), "--num-cpus", "0",
            "--include-dashboard", "false", "--temp-dir", kept,
        )  # fmt: skip
        stack.callback(_end, head)
        cluster = Raylets(f"{net}.254:{port}")
        for number in range(1, count + 1):
            cluster.machines.append(_machine(stack, number, net, bridge, cluster.address, cpus, Path(kept)))
        yield cluster


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end, "it did not come in time"
        threading.Event().wait(0.2)
