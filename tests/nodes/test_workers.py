"""The supervisor of worker processes, with workers as small as they can be."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from processes import children, ended
from until import until

WAIT = 60.0
DIED = re.compile(r"worker (?P<number>\d) \(process \d+\) died \(exit code 3\): started again in (?P<pause>\S+) s\n")
NODE = """
import pathlib, queue, sys
from offramp.children import Child, at_reload
from offramp.errors import OfframpError
from offramp.nodes.workers import supervise
def start(number, changed):
    return Child(f"worker {number}", ("-c", sys.argv[1]), "", changed=changed)
def reload():
    print("looked", flush=True)
    return not pathlib.Path("broken").exists()
events = queue.SimpleQueue()
at_reload(lambda: events.put(True))
try:
    supervise(start, 2, events, line="ready all", grace=float(sys.argv[2]), reload=reload)
except OfframpError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
"""
# It says that it is ready, and when it is told to reload.
# It ends with the code that it finds in the file of its working directory, if there is one.
WORKER = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGHUP, lambda *_: os.write(2, b"reloaded\\n"))
print("ready x", flush=True)
file = pathlib.Path("code")
while True:
    if file.exists():
        os._exit(int(file.read_text()))
    time.sleep(0.01)
"""


def node(worker: str, folder: Path, grace: float = 30.0) -> "subprocess.Popen[str]":
    """A process that supervises two workers."""
    return subprocess.Popen(
        [sys.executable, "-c", NODE, worker, str(grace)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )


def test_ready_is_said_once_when_all_are_and_sigterm_ends_all(tmp_path: Path) -> None:
    """Workers that end by SIGTERM itself were not answering anything: the exit code is 0."""
    with node(WORKER, tmp_path) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == "ready all\n"
        supervisor.send_signal(signal.SIGTERM)
        out, err = supervisor.communicate(timeout=WAIT)
    assert (supervisor.returncode, out, err) == (0, "stopping: 2 workers finish the requests in flight\n", "")


def test_a_worker_that_ends_before_it_is_ready_ends_the_node(tmp_path: Path) -> None:
    """What it said stands above; the others are not left behind."""
    worker = "import sys; sys.stderr.write('no such file\\n'); sys.exit(7)"
    with node(worker, tmp_path) as supervisor:
        _, err = supervisor.communicate(timeout=WAIT)
    assert supervisor.returncode == 2
    assert err.splitlines()[0] == "no such file"
    assert "ended before it was ready (exit code 7). What it said stands above." in err


def test_workers_that_keep_dying_are_started_ever_more_slowly(tmp_path: Path) -> None:
    """Each death doubles the pause; the node stays, and ends when it is told to."""
    with node(WORKER, tmp_path) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stderr is not None
        assert supervisor.stdout.readline() == "ready all\n"
        (tmp_path / "code").write_text("3")
        pauses: dict[str, list[str]] = {"1": [], "2": []}
        while min(map(len, pauses.values())) < 3:
            died = DIED.fullmatch(line := supervisor.stderr.readline())
            assert died, line
            pauses[died["number"]].append(died["pause"])
        supervisor.send_signal(signal.SIGTERM)
        supervisor.communicate(timeout=WAIT)
    assert supervisor.returncode == 0
    for said in pauses.values():
        assert said == ["0.1", "0.2", "0.4", "0.8", "1.6", "3.2", "6.4", "10"][: len(said)]


def test_a_worker_that_does_not_end_is_killed_after_the_grace(tmp_path: Path) -> None:
    """A node that is told to stop does stop."""
    worker = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WORKER
    with node(worker, tmp_path, grace=0.1) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == "ready all\n"
        supervisor.send_signal(signal.SIGTERM)
        _, err = supervisor.communicate(timeout=WAIT)
    assert supervisor.returncode == 0
    assert err.count("did not end in time: killed") == 2
    assert err.count("ended with exit code -9") == 2


def test_a_reload_is_handed_on_to_every_worker_where_it_can_be_done(tmp_path: Path) -> None:
    """One that is not ready yet would die of it: it is told afterwards."""
    slow = "import time\nwhile not __import__('os').path.exists('go'): time.sleep(0.01)\n" + WORKER
    with node(slow, tmp_path) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stderr is not None
        until(lambda: len(children(supervisor.pid)) == 2)
        supervisor.send_signal(signal.SIGHUP)
        assert supervisor.stdout.readline() == "looked\n"
        (tmp_path / "go").touch()
        assert supervisor.stdout.readline() == "ready all\n"
        assert [supervisor.stderr.readline() for _ in range(2)] == ["reloaded\n"] * 2
        (tmp_path / "broken").touch()
        supervisor.send_signal(signal.SIGHUP)
        assert supervisor.stdout.readline() == "looked\n"
        supervisor.send_signal(signal.SIGTERM)
        out, err = supervisor.communicate(timeout=WAIT)
    assert (supervisor.returncode, out, err) == (0, "stopping: 2 workers finish the requests in flight\n", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_any_moment_ends_the_node(tmp_path: Path, number: signal.Signals) -> None:
    """Also before the workers are ready."""
    slow = "import time; time.sleep(600)"
    with node(slow, tmp_path) as supervisor:
        until(lambda: len(children(supervisor.pid)) == 2)
        workers = children(supervisor.pid)
        supervisor.send_signal(number)
        supervisor.communicate(timeout=WAIT)
    assert supervisor.returncode == 0
    assert len(workers) == 2
    assert all(map(ended, workers))
