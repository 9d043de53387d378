"""A child process: what it is told, what it says, and how it ends."""

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from offramp.children import Child, ready_line
from offramp.errors import LinkError
from processes import children, ended
from until import until

WAIT = 30.0
# It answers with its settings, and stops in an orderly way.
TOLD = """
import sys, threading
from offramp.children import at_stop, be_child
def serve(settings):
    stop = threading.Event()
    at_stop(stop.set)
    print("before", flush=True)
    print("ready 127.0.0.1:1 http 127.0.0.1:2", settings.strip(), flush=True)
    stop.wait()
    print("stopped", flush=True)
be_child(serve)
"""
FAILING = """
from offramp.children import be_child
from offramp.errors import InputError
def serve(settings):
    raise InputError(f"told {settings.strip()}: no.")
be_child(serve)
"""
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready 127.0.0.1:1", flush=True)
time.sleep(600)
"""
PARENT = """
import sys, time
from offramp.children import Child
with Child("it", ("-c", sys.argv[1]), "") as child:
    print(child.address(), flush=True)
    time.sleep(600)
"""


def test_the_ready_line_names_the_addresses_and_what_it_is() -> None:
    """With HTTP, and without."""
    assert ready_line("a:1", "edge: mem", "a:2") == "ready a:1 http a:2 edge: mem"
    assert ready_line("a:1", "edge: mem") == "ready a:1 edge: mem"


def test_a_child_gets_its_settings_on_its_input_and_says_where_it_is() -> None:
    """No other process reads them in its command line; it has ended in an orderly way with its context."""
    secret = json.dumps({"token": "s3cret"})
    with Child("it", ("-c", TOLD), secret, kept=True) as child:
        assert child.address() == "127.0.0.1:1"
        assert child.http_address() == "127.0.0.1:2"
        assert list(child.output) == ["before\n", f"ready 127.0.0.1:1 http 127.0.0.1:2 {secret}\n"]
        seen = Path(f"/proc/{child.process.pid}/cmdline").read_bytes()
        assert TOLD.encode() in seen
        assert b"s3cret" not in seen
        assert not ended(child.process.pid)
    assert child.process.returncode == 0
    assert list(child.output)[2:] == ["stopped\n"]


def test_a_child_is_in_a_group_of_its_own() -> None:
    """What the terminal sends to this process's group does not end it."""
    with Child("it", ("-c", TOLD), "", kept=True) as child:
        child.address()
        assert os.getpgid(child.process.pid) == child.process.pid != os.getpgid(0)


def test_a_child_that_fails_says_why_and_ends_with_2() -> None:
    """What it said is in the message."""
    with Child("it", ("-c", FAILING), "red", kept=True) as child, pytest.raises(LinkError) as caught:
        child.address(WAIT)
    assert str(caught.value) == ("it ended before it was ready (exit code 2). It said: offramp: error: told red: no.\n")


def test_a_child_whose_errors_are_passed_on_is_said_to_have_told(capfd: pytest.CaptureFixture[str]) -> None:
    """They are this process's own."""
    with Child("it", ("-c", FAILING), "red") as child, pytest.raises(LinkError) as caught:
        child.address(WAIT)
    assert str(caught.value) == "it ended before it was ready (exit code 2). What it said stands above."
    assert capfd.readouterr().err == "offramp: error: told red: no.\n"


def test_a_child_that_never_gets_ready_is_not_waited_for_for_ever() -> None:
    """The message says how long it was."""
    with Child("it", ("-c", "import time; time.sleep(600)"), "", kept=True) as child:
        with pytest.raises(LinkError) as caught:
            child.address(0.2)
        assert str(caught.value) == "it was not ready after 0.2 s. It said: "


def test_a_child_that_does_not_stop_is_killed(caplog: pytest.LogCaptureFixture) -> None:
    """And that is said."""
    child = Child("it", ("-c", DEAF), "", kept=True)
    child.address()
    with caplog.at_level(logging.WARNING, "offramp"):
        assert child.stop(0.1) == -signal.SIGKILL
    assert caplog.messages == [f"it (process {child.process.pid}) did not end in time: killed"]


def test_changes_are_told_once_each() -> None:
    """When it is ready, and when it has ended, with what it ended of."""
    told: list[tuple[bool, bool]] = []
    with Child("it", ("-c", TOLD), "", changed=lambda child: told.append((bool(child.words), child.ended))) as child:
        child.address()
        os.kill(child.process.pid, signal.SIGKILL)
        until(lambda: child.ended)
    assert child.why() == "SIGKILL"
    assert told == [(True, False), (True, True)]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_child_goes_when_its_parent_has_gone(how: signal.Signals) -> None:
    """Even where the parent could not say so."""
    with subprocess.Popen([sys.executable, "-c", PARENT, TOLD], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "127.0.0.1:1\n"
        (child,) = children(parent.pid)
        assert not ended(child)
        parent.send_signal(how)
        parent.wait(WAIT)
    until(lambda: ended(child))


# In a session of its own with a terminal that it opens, as a shell in a window starts it; `told` is what it does first.
ATTENDED = """
import os, signal, sys, threading
from offramp.children import at_reload, at_stop
os.open(sys.argv[1], os.O_RDWR)
if sys.argv[2] == "nohup":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
stop = threading.Event()
at_stop(stop.set)
at_reload(lambda: print("reload", flush=True))
print("ready", flush=True)
while not stop.wait(0.05):
    pass
print("stopped", flush=True)
"""


@pytest.mark.parametrize("how", ["nohup", "as it is"])
def test_sighup_reloads_and_ends_what_has_lost_its_terminal(how: str) -> None:
    """It is the same signal; started by nohup, a process is to stay."""
    ours, its = os.openpty()
    command = [sys.executable, "-c", ATTENDED, os.ttyname(its), how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGHUP)
            assert process.stdout.readline() == "reload\n"
            os.close(its)
            os.close(ours)
            assert process.stdout.readline() == ("reload\n" if how == "nohup" else "stopped\n")
            if how == "nohup":
                process.terminate()
            assert process.wait(WAIT) == 0
        finally:
            process.kill()
