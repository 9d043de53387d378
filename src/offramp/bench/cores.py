"""A running process held to a share of a core, for as long as a measurement takes.

By a control group's processor quota where one can be made; else by stopping and continuing the process in short turns,
as the tool cpulimit does. The process with all its threads, not the children that it has already.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from offramp.errors import InputError, OfframpError

PERIOD = 0.01  # seconds that the share is of: short beside a batch, so that a process is slow and not stalled
LEAST = 0.1  # cores: a hundredth of a second's tenth is the least that the kernel gives
TURN = 0.002  # seconds between looks at what the process has used, where it is stopped and continued
CLOCK_OF_PROCESS = 2  # clock_getcpuclockid(3): all threads' time, to the nanosecond


@dataclass(frozen=True)
class LimitedBy:
    """How a process is held back, if it is."""

    how: Literal["nothing", "cgroup v1", "cgroup v2", "signals"]
    why: str

    def __str__(self) -> str:
        return f"{self.how} ({self.why})"


@contextmanager
def limited(pid: int, cores: float) -> Iterator[LimitedBy]:
    """Give a process no more than `cores` of processor, 0.1 to 1; more than one core is no limit.

    Says how. Raises InputError where there is no such process or it is another user's.
    """
    if not cores >= LEAST:
        raise InputError(f"cores {cores}: expected a share of {LEAST:g} or more, like 0.5.")
    try:
        os.kill(pid, 0)
    except ProcessLookupError as error:
        raise InputError(f"process {pid}: not running. Name one that is.") from error
    except PermissionError as error:
        raise InputError(f"process {pid}: another user's. Name one of yours.") from error
    if cores > 1:
        yield LimitedBy("nothing", f"{cores:g} cores are asked for")
        return
    try:
        group, before, how = _group(pid, cores)
    except OSError as error:
        with _in_turns(pid, cores):
            yield LimitedBy("signals", f"no control group: {error}")
        return
    try:
        yield LimitedBy(how, f"{cores:g} of a core in every {PERIOD * 1000:g} ms, {group}")
    finally:
        _leave(group, before)


def _group(pid: int, cores: float) -> tuple[Path, Path, Literal["cgroup v1", "cgroup v2"]]:
    """Make a control group with a quota below the process's own, and put it there; both groups, and of which kind."""
    period = round(PERIOD * 1e6)
    quota = round(cores * period)
    before, how = _home(pid)
    group = before / f"offramp-{os.getpid()}-{pid}"
    if how == "cgroup v2":  # a group that has processes has no groups with quotas below it: beside it, then
        group = before.parent / group.name
    group.mkdir()
    try:
        if how == "cgroup v1":
            (group / "cpu.cfs_period_us").write_text(str(period))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (group / "cpu.max").write_text(f"{quota} {period}")
        (group / "cgroup.procs").write_text(str(pid))
    except OSError:
        group.rmdir()
        raise
    return group, before, how


def _home(pid: int) -> tuple[Path, Literal["cgroup v1", "cgroup v2"]]:
    """The folder of a process's control group for the processor; OSError where there is none."""
    groups = {
        controllers: path.lstrip("/")
        for _, controllers, path in (
            line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        )
    }
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, kind, options, *_ = line.split()
        for controllers, path in groups.items():
            if kind == "cgroup" and "cpu" in options.split(",") and "cpu" in controllers.split(","):
                return Path(mount) / path, "cgroup v1"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, kind, *_ = line.split()
        if kind == "cgroup2" and "" in groups:
            return Path(mount) / groups[""], "cgroup v2"
    raise FileNotFoundError("no processor controller is mounted")


def _leave(group: Path, before: Path) -> None:
    """Put back what is in the group, which may have children by now, and remove it."""
    end = time.monotonic() + 5
    while True:
        for pid in (group / "cgroup.procs").read_text().split():
            try:
                (before / "cgroup.procs").write_text(pid)
            except ProcessLookupError:
                continue
        try:
            group.rmdir()
        except OSError as error:  # a process that has just ended is in it for a moment
            if time.monotonic() > end:
                raise OfframpError(
                    f"{group}: cannot be removed ({error.strerror}). Remove it: rmdir {group}"
                ) from error
            time.sleep(0.01)
        else:
            return


@contextmanager
def _in_turns(pid: int, cores: float) -> Iterator[None]:
    """Stop a process when it has used its share, and continue it when time has caught up."""
    done = threading.Event()
    limiter = threading.Thread(target=_take_turns, args=(pid, cores, done), name="cores", daemon=True)
    limiter.start()
    try:
        yield
    finally:
        done.set()
        limiter.join()


def _take_turns(pid: int, cores: float, done: threading.Event) -> None:
    clock = (~pid << 3) | CLOCK_OF_PROCESS
    stopped, budget = False, 0.0  # seconds of processor that it may use now: less than none is a debt, and is kept
    try:
        now, used = time.monotonic(), time.clock_gettime(clock)
        while not done.wait(TURN):
            earlier, before = now, used
            now, used = time.monotonic(), time.clock_gettime(clock)
            budget = min(budget + cores * (now - earlier), cores * PERIOD) - (used - before)
            if stopped != (budget < 0):
                stopped = not stopped
                os.kill(pid, signal.SIGSTOP if stopped else signal.SIGCONT)
        if stopped:
            os.kill(pid, signal.SIGCONT)
    except OSError:  # it has ended: nothing is left to hold back
        return
