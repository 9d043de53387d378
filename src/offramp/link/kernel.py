"""A link in the kernel: `tc` shapes what leaves by an interface, where that interface is the link and nothing else.

In a container, or another network namespace, it is. A machine's loopback and its only network card are everybody's, and
there the shaper in user space (`link.shaper`) stands in the path of one connection alone. `tc` shapes what is sent, so
each node shapes its own: the edge up, the cloud down.
"""

import functools
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from offramp.children import READY, at_stop
from offramp.errors import InputError, LinkError
from offramp.link.shape import LinkShape

Direction = Literal["up", "down"]
WAIT = 10.0  # seconds that tc may take
LOOPBACK = "lo"
# The bytes that may leave at once: a token bucket is looked after at the kernel's clock ticks, 250 a second or more.
TICK, LEAST_BURST = 0.004, 16_384
LATENCY = "100ms"  # of data that may wait: the same queue as the shaper's
LIMIT = 10_000  # packets that netem may hold; a packet that finds it full is lost
CAP_NET_ADMIN = 12
UNKNOWN = "qdisc kind is unknown"


@dataclass(frozen=True)
class ShapedBy:
    """Who shapes a link, and why."""

    how: Literal["kernel", "user space"]
    why: str

    def __str__(self) -> str:
        return f"{self.how} ({self.why})"


def shaped_by(shape: LinkShape, interface: str | None = None) -> ShapedBy:
    """Say who can shape such a link: the kernel on an interface that is the link, else a shaper in the path."""
    if interface is None:
        return ShapedBy("user space", "no interface is this link alone")
    if interface == LOOPBACK:
        return ShapedBy("user space", "the loopback is everybody's")
    why = _why_not(_discipline(shape))
    return ShapedBy("user space", why) if why else ShapedBy("kernel", f"tc {_discipline(shape)} on {interface}")


@contextmanager
def shaped(shape: LinkShape, interface: str, direction: str = "up") -> Iterator[ShapedBy]:
    """Shape what leaves by an interface, and undo it. InputError or LinkError where that cannot be done."""
    if direction not in ("up", "down"):
        raise InputError(f"direction {direction!r}: expected up, where the edge sends, or down, where the cloud does.")
    by = shaped_by(shape, interface)
    if by.how != "kernel":
        raise LinkError(f"link {shape}: not on {interface}: {by.why}. Put a shaper in the path, with --to HOST:PORT.")
    arguments = queueing(shape, "up" if direction == "up" else "down")
    if not arguments:
        yield by
        return
    done = _run(["tc", "qdisc", "add", "dev", interface, "root", *arguments])
    if done.returncode:
        said = done.stderr.strip().rstrip(".")
        raise LinkError(f"tc on {interface}: {said}. Check its name, and whether it is shaped already (tc qdisc).")
    try:
        yield by
    finally:
        _run(["tc", "qdisc", "del", "dev", interface, "root"])


def run_shaped(shape: LinkShape, interface: str, direction: str) -> None:
    """Shape what leaves by an interface until SIGTERM or SIGINT."""
    stop = threading.Event()
    at_stop(stop.set)
    with shaped(shape, interface, direction) as by:
        print(f"{READY} {interface} {direction}, {shape}, in the {by}", flush=True)
        stop.wait()


def queueing(shape: LinkShape, direction: Direction) -> list[str]:
    """What `tc qdisc add dev … root` is told: a token bucket for a rate alone, netem for anything more, or nothing.

    netem's jitter lies around the delay, ours on top of it; and loss is loss there, which TCP sees and recovers from.
    """
    rate = shape.up if direction == "up" else shape.down
    if _discipline(shape) == "tbf":
        burst = LEAST_BURST if rate is None else max(LEAST_BURST, int(rate / 8 * TICK))
        return [] if rate is None else ["tbf", "rate", f"{rate}bit", "burst", str(burst), "latency", LATENCY]
    half = shape.jitter / 2
    return [
        *("netem", "limit", str(LIMIT), "delay", _microseconds(shape.delay + half)),
        *([_microseconds(half)] if half else []),
        *(["loss", f"{shape.loss * 100:g}%"] if shape.loss else []),
        *([] if rate is None else ["rate", f"{rate}bit"]),
    ]


def _discipline(shape: LinkShape) -> str:
    return "netem" if shape.delay or shape.jitter or shape.loss else "tbf"


@functools.cache
def _why_not(discipline: str) -> str:
    """Why the kernel cannot use a queueing discipline for us; nothing where it can, or where only trying will tell."""
    if shutil.which("tc") is None or shutil.which("unshare") is None:
        return "there is no tc (package iproute2)"
    if not _may():
        return "no right to (CAP_NET_ADMIN)"
    parameters = {"netem": ["delay", "1ms"], "tbf": ["rate", "1mbit", "burst", "16kb", "latency", "100ms"]}[discipline]
    # In a namespace that is thrown away. A container may have no right to one, and one to its own interface.
    done = _run(["unshare", "--net", "tc", "qdisc", "add", "dev", LOOPBACK, "root", discipline, *parameters])
    return f"this kernel has no {discipline}" if UNKNOWN in done.stderr else ""


def _may() -> bool:
    """Whether this process may change interfaces of its namespace."""
    status = Path("/proc/self/status")
    held = status.read_text().partition("CapEff:")[2].split()[0] if status.exists() else "0"
    return bool(int(held, 16) >> CAP_NET_ADMIN & 1)


def _run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=WAIT)
    except subprocess.TimeoutExpired as error:
        raise LinkError(f"{' '.join(command)}: no answer in {WAIT:g} s.") from error


def _microseconds(seconds: float) -> str:
    return f"{round(seconds * 1e6)}us"
