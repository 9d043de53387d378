"""How many threads a runtime gets, and where they may run.

Threads are never pinned by a runtime: two nodes on one machine would both be pinned to its first cores. Where a process
may run is its owner's to say (taskset, cpuset, a container), and its threads keep to that.
"""

import os
from pathlib import Path

CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def cores_to_use(threads: int, quota: Path = CGROUP_QUOTA) -> int:
    """Give `threads`, or for 0 the cores that this process may run on, and no more than its container pays for."""
    if threads > 0:
        return threads
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        granted, period = quota.read_text().split()
        return max(1, min(cores, round(int(granted) / int(period))))
    except (OSError, ValueError):  # no such limit, or "max"
        return cores
