"""What the machine and the checkout say of themselves: commit, processor, cores, and what a runtime gets of them.

Threads are never pinned by a runtime: two nodes on one machine would both be pinned to its first cores. Where a process
may run is its owner's to say (taskset, cpuset, a container), and its threads keep to that.
"""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


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


def processor() -> str:
    """Name the processor as its maker does, where the system tells."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
