"""What a service manager hears: when a node can answer, and when it stops. And the units that have it started."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from offramp.artifacts.bundle import Bundle
from offramp.service import SOCKET, tell

WAIT = 60.0  # seconds after which a test that hangs fails
UNITS = sorted((Path(__file__).parents[1] / "systemd").glob("*.service"))


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket such as systemd's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.settimeout(WAIT)
        monkeypatch.setenv(SOCKET, str(tmp_path / "notify"))
        yield heard


def test_a_manager_is_told_in_one_datagram(manager: socket.socket) -> None:
    """A line each."""
    tell("READY=1", "STATUS=all is well")
    assert manager.recv(4096) == b"READY=1\nSTATUS=all is well"


def test_an_abstract_address_begins_with_an_at_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    """As sd_notify(3) has it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(f"\0offramp-{os.getpid()}")
        heard.settimeout(WAIT)
        monkeypatch.setenv(SOCKET, f"@offramp-{os.getpid()}")
        tell("READY=1")
        assert heard.recv(4096) == b"READY=1"


def test_a_manager_that_is_not_there_stops_no_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is mentioned."""
    monkeypatch.setenv(SOCKET, str(tmp_path / "nobody"))
    tell("READY=1")
    assert "was not told READY=1" in caplog.text
    monkeypatch.delenv(SOCKET)
    tell("READY=1")
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("node", "options"), [("edge", ("--exit", "9", "--threshold", "0.5")), ("cloud", ("--workers", "2"))]
)
def test_a_node_says_ready_when_it_is_and_stopping_when_it_is(
    manager: socket.socket, bundle: Bundle, node: str, options: tuple[str, ...]
) -> None:
    """By its own process, once: its workers say nothing. It answers SIGTERM with exit code 0."""
    engine = ("--runtime", "onnxruntime", "--precision", "fp32", "--threads", "1", "--port", "0", "--no-http")
    command = [sys.executable, "-m", "offramp", "serve", node, str(bundle.path), *engine, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            ready, status = manager.recv(4096).decode().split("\n")
            assert process.stdout is not None
            assert (ready, status) == ("READY=1", f"STATUS={process.stdout.readline().strip()}")
            assert status.startswith("STATUS=ready 127.0.0.1:")
            process.send_signal(signal.SIGTERM)
            assert manager.recv(4096).startswith(b"STOPPING=1\nSTATUS=stopping: ")
            assert process.wait(WAIT) == 0
        finally:
            process.kill()
    manager.settimeout(0.1)
    with pytest.raises(TimeoutError):
        manager.recv(4096)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
@pytest.mark.parametrize("unit", UNITS, ids=[unit.name for unit in UNITS])
def test_a_unit_is_what_systemd_takes(unit: Path, tmp_path: Path) -> None:
    """Whole, and hardened; the program is where this one is."""
    here = tmp_path / unit.name
    program = Path(sys.executable).parent / "offramp"
    here.write_text(unit.read_text().replace("/opt/offramp/bin/offramp", str(program)))
    done = subprocess.run(["systemd-analyze", "verify", str(here)], capture_output=True, text=True, timeout=WAIT)
    said = [line for line in (done.stdout + done.stderr).splitlines() if unit.name in line]  # not of other units
    assert (done.returncode, said) == (0, [])
