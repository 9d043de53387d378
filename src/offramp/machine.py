"""What the machine and the checkout say of themselves: commit, processor, cores, and what a runtime gets of them.

Threads are never pinned by a runtime: two nodes on one machine would both be pinned to its first cores. Where a process
may run is its owner's to say (taskset, cpuset, a container), and its threads keep to that.
"""

import os
import platform
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")
CPUINFO = Path("/proc/cpuinfo")
# By which onnxruntime and OpenVINO choose their kernels, and so how sums are rounded: x86's, then ARM's.
KERNELS = (
    *("avx", "avx2", "fma", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "i8mm", "sve", "sve2", "bf16"),
)


def cores_to_use(threads: int, quota: Path = CGROUP_QUOTA) -> int:
    """Give `threads`, or for 0 the cores that this process may run on, and no more than its container pays for."""
    if threads > 0:
        return threads
    try:
        granted, period = quota.read_text().split()
        return max(1, min(cores(), round(int(granted) / int(period))))
    except (OSError, ValueError):  # no such limit, or "max"
        return cores()


def cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def commit() -> str:
    """Give the commit this program runs from, with `+` where files differ from it; `unknown` outside a checkout."""
    root = Path(__file__).parents[2]
    # The name is the commit's own, whatever its tags.
    git = ["git", "-C", str(root), "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+"]
    if not (root / ".git").exists():
        return "unknown"
    try:
        return subprocess.run(git, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def here() -> dict[str, Any]:
    """What this machine adds to the conditions of a measurement at this moment, by their names."""
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return {"commit": commit(), "hardware": processor(), "cores": cores(), "date": date}


def processor(cpuinfo: Path = CPUINFO) -> str:
    """Name the processor as its maker does, where the system tells."""
    return _told(cpuinfo).get("model name", "") or platform.processor() or platform.machine()


def instructions(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """The processor's instruction sets by the system's names; none where it does not tell."""
    told = _told(cpuinfo)
    return frozenset((told.get("flags") or told.get("Features") or "").split())


def processor_kind(cpuinfo: Path = CPUINFO) -> str:
    """The processor's name and the instruction sets that runtimes choose their kernels by.

    Two of one kind compute the same numbers. A name alone does not say: a virtual machine's is `AMD EPYC` for all.
    """
    there = instructions(cpuinfo)
    return " ".join((processor(cpuinfo), *(name for name in KERNELS if name in there)))


def work_of(pid: int) -> Callable[[], float] | None:
    """What gives the seconds that a running process has been on a processor; None where the system does not tell."""
    clock = (~pid << 3) | 2  # its clock's number, as Linux's clock_getcpuclockid gives it
    try:
        time.clock_gettime(clock)
    except (AttributeError, OSError):
        return None
    return partial(time.clock_gettime, clock)


def _told(cpuinfo: Path) -> dict[str, str]:
    """What the system tells of the first core."""
    try:
        lines = cpuinfo.read_text().split("\n\n", 1)[0].splitlines()
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}
