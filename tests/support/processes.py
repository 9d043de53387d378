"""What the system tells of processes: whom one has started, and whether one has ended."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from until import until


def children(pid: int) -> set[int]:
    """The processes that any of its threads has started and that have not been waited for."""
    return {int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in _words(task / "children")}


def ended(pid: int) -> bool:
    """There is no such process any more, or nothing of it but its name."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def computing(pid: int, seconds: float = 0.15) -> Callable[[], bool]:
    """Whether a process and those it started have used so much of a core since now: they work on what they were sent.

    A message that is only on its way may still be refused by a node that stops, and no clock on the wall tells when it
    has come: on a busy machine the node may not have run since.
    """
    pids = [pid, *children(pid)]
    before = sum(map(_used, pids))
    return lambda: sum(map(_used, pids)) - before > seconds


def _used(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except (FileNotFoundError, ProcessLookupError):  # the thread's end
        return []


def stop(pid: int) -> None:
    """Stop a process, and return once each of its threads stands: the signal is sent before it is obeyed."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: all(_state(task) == "T" for task in Path(f"/proc/{pid}/task").iterdir()))


def _state(task: Path) -> str:
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # the thread's end
        return "T"


# The program as from a terminal: whoever runs the tests in the background may have had Ctrl-C ignored for all of them.
INTERRUPTIBLE = (
    sys.executable,
    "-c",
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('offramp', run_name='__main__', alter_sys=True)",
)


def interrupted(*told: str, once: Callable[[int], Callable[[], bool]]) -> tuple[int, str]:
    """Run the program, press Ctrl-C once what is looked for by its process holds; its exit code, and what it said."""
    process = subprocess.Popen([*INTERRUPTIBLE, *told], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        until(once(process.pid))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, said
