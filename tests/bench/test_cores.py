"""A process held to a share of a core: what it uses, by either means, and that it is free afterwards."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from offramp.bench import cores
from offramp.bench.cores import CLOCK_OF_PROCESS, LimitedBy, limited
from offramp.errors import InputError

WALL = 0.5  # seconds that a process is watched
TRIES = 10
BUSY = "import threading\ndef spin():\n    while True: sum(range(10_000))\n"
ONE = BUSY + "spin()"
TWO = (
    "import hashlib\n"
    + BUSY.replace("sum(range(10_000))", "hashlib.sha256(bytes(1 << 22))")
    + ("threading.Thread(target=spin, daemon=True).start()\nspin()")
)

SHARES = pytest.mark.parametrize(
    ("busy", "asked"),
    [(ONE, 0.5), (ONE, 0.25), (TWO, 1.0), (TWO, 0.5)],
    indirect=["busy"],
    ids=["half, one thread", "quarter, one thread", "one, two threads", "half, two threads"],
)


@pytest.fixture
def busy(request: pytest.FixtureRequest) -> Iterator[int]:
    """A process that takes all it gets."""
    with running(getattr(request, "param", ONE)) as pid:
        yield pid


@pytest.fixture
def free() -> Iterator[int]:
    """Another one, which nobody holds back."""
    with running(ONE) as pid:
        yield pid


@contextmanager
def running(program: str) -> Iterator[int]:
    """Run a program until it has begun to work, and end it."""
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        try:
            while used(process.pid) < 0.1:
                time.sleep(0.01)
            yield process.pid
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()


def used(pid: int) -> float:
    """Seconds of processor that a process has had, all its threads together."""
    return time.clock_gettime((~pid << 3) | CLOCK_OF_PROCESS)


def assert_share(pid: int, free: int, asked: float) -> None:
    """A process gets no more of a core than is asked for, at any time, and no less where the machine has it to give.

    What it has to give is what a process that nobody holds back gets meanwhile. Time is taken so that a stall of this
    process makes shares less; so the least is to be reached once, and the most never passed.
    """
    for _ in range(TRIES):
        start, before = time.monotonic(), (used(pid), used(free))
        time.sleep(WALL)
        got, at_most = used(pid) - before[0], used(free) - before[1]
        wall = time.monotonic() - start
        assert got / wall <= asked * 1.2
        if got >= 0.75 * min(asked * wall, at_most):
            return
    pytest.fail(f"{got / wall:.2f} of a core, where {asked} was asked for and one process got {at_most / wall:.2f}")


def needs_a_group(by: LimitedBy) -> None:
    """Skip, with the reason, where no control group can be made."""
    if not by.how.startswith("cgroup"):
        pytest.skip(str(by))


@SHARES
def test_a_control_group_holds_a_busy_process_to_its_share(busy: int, free: int, asked: float) -> None:
    """However many threads it has."""
    with limited(busy, asked) as by:
        needs_a_group(by)
        assert_share(busy, free, asked)


@SHARES
def test_signals_hold_a_busy_process_to_its_share(busy: int, free: int, asked: float) -> None:
    """Where there is no control group: what it used too much is taken off its next turns."""
    with cores._in_turns(busy, asked):
        assert_share(busy, free, asked)


def test_a_control_group_is_gone_afterwards(busy: int) -> None:
    """And the process is where it was."""
    before = Path(f"/proc/{busy}/cgroup").read_text()
    with limited(busy, 0.5) as by:
        needs_a_group(by)
        assert Path(f"/proc/{busy}/cgroup").read_text() != before
        group = Path(by.why.rpartition(", ")[2])
        assert group.is_dir()
    assert not group.exists()
    assert Path(f"/proc/{busy}/cgroup").read_text() == before


def test_a_process_that_was_stopped_runs_on_afterwards(busy: int) -> None:
    """Also when what is measured meanwhile fails."""
    with suppress(RuntimeError), cores._in_turns(busy, 0.1):
        time.sleep(0.1)
        raise RuntimeError
    at = used(busy)
    end = time.monotonic() + 30
    while used(busy) - at < 0.2:
        assert time.monotonic() < end, "still stopped"
        time.sleep(0.01)


@pytest.mark.parametrize("by_signals", [False, True])
def test_a_process_that_ends_meanwhile_leaves_nothing_behind(busy: int, by_signals: bool) -> None:
    """No group, no thread, no error."""
    with cores._in_turns(busy, 0.5) if by_signals else limited(busy, 0.5) as by:
        os.kill(busy, signal.SIGKILL)
        os.waitpid(busy, 0)
    assert by is None or not Path(by.why.rpartition(", ")[2]).is_dir()


def test_more_than_a_core_is_no_limit() -> None:
    """Nothing is touched."""
    with limited(os.getpid(), 2) as by:
        assert str(by) == "nothing (2 cores are asked for)"


@pytest.mark.parametrize("asked", [0, -1, 0.05, float("nan")])
def test_no_core_at_all_is_refused(asked: float) -> None:
    """It would never end."""
    with pytest.raises(InputError) as caught, limited(os.getpid(), asked):
        pass
    assert str(caught.value) == f"cores {asked}: expected a share of 0.1 or more, like 0.5."


def test_a_process_that_is_not_there_is_said() -> None:
    """By its number."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    with pytest.raises(InputError) as caught, limited(process.pid, 0.5):
        pass
    assert str(caught.value) == f"process {process.pid}: not running. Name one that is."
