"""One way to run a child process: it reads its settings, says when it is ready, and never outlives who started it.

A child is in a group of its own: what the terminal sends comes to its parent alone, and what is in flight keeps its
neighbours. Its settings are the first line of its input, not its arguments, which every user of a machine can read.
The input stays open behind them: where it ends, the parent has gone, and the child ends itself by SIGTERM. Once it can
answer, it prints a line of `ready_line`. Knows nothing of what a child does; `nodes.workers` starts some again.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Self

from offramp.errors import LinkError, OfframpError
from offramp.service import SOCKET

READY, HTTP = "ready", "http"
START, STOP = 60.0, 40.0  # seconds to become ready, and to end: longer than a node's grace
# Seconds after which who waits for a signal looks whether one came: Python hears of them between its own steps, and one
# that comes just before a wait does not end it.
LOOK = 0.5
KEPT = 1000  # lines of output

log = logging.getLogger("offramp")


def ready_line(address: str, title: str, http: str | None = None) -> str:
    """What a child prints once it can answer: `ready HOST:PORT http HOST:PORT TITLE`."""
    return " ".join([READY, address, *([] if http is None else [HTTP, http]), title])


class Child:
    """A running `python COMMAND`, stopped at the end of its context.

    `name` is what messages call it. What it prints on both outputs is kept for them with `kept`; else its errors go
    where this process's go. `changed` is called with it, on a thread, when it is ready and when it has ended.
    `inherited` are descriptors that it gets, under the same numbers.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        settings: str,
        *,
        kept: bool = False,
        inherited: Sequence[int] = (),
        changed: Callable[["Child"], None] = lambda child: None,
    ) -> None:
        self.name, self.kept, self.changed = name, kept, changed
        self.output: deque[str] = deque(maxlen=KEPT)
        self.words: list[str] = []  # of the line that says that it is ready
        self.stopping = self.ended = False  # by us; for whatever reason
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if kept else None,
            # A manager is told by who was started by it, not by that one's children.
            env={name: value for name, value in os.environ.items() if name != SOCKET},
            text=True,
            process_group=0,
            pass_fds=inherited,
        )
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended already: said where it is waited for
            self.process.stdin.write(settings + "\n")
            self.process.stdin.flush()
        self._told = threading.Event()
        self._reader = threading.Thread(target=self._listen, name="child", daemon=True)
        self._reader.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.output.append(line)
                if not self.words and line.startswith(READY + " "):
                    self.words = line.split()
                    self._told.set()
                    self.changed(self)
        self.process.wait()
        self.ended = True
        self._told.set()
        self.changed(self)

    def address(self, within: float = START) -> str:
        """Wait until it is ready and give its HOST:PORT, of a node's gRPC side; LinkError where it does not come."""
        self._told.wait(within)
        if not self.words:
            raise self.failure(within)
        return self.words[1]

    def failure(self, within: float = START) -> LinkError:
        """The error of one that is not ready, after so many seconds or for ever."""
        how = f"ended before it was ready ({self.why()})" if self.ended else f"was not ready after {within:g} s"
        said = f"It said: {''.join(self.output)}" if self.kept else "What it said stands above."
        return LinkError(f"{self.name} {how}. {said}")

    def http_address(self, within: float = START) -> str:
        """The same of a node's HTTP side."""
        self.address(within)
        return self.words[self.words.index(HTTP) + 1]

    def why(self) -> str:
        """What it ended of: a signal's name, or its exit code."""
        code = self.process.wait()
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def ask_to_stop(self) -> None:
        """Send SIGTERM, once: a second one would cut short what the first has begun."""
        if not self.stopping:
            self.stopping = True
            self.process.terminate()

    def stop(self, within: float = STOP) -> int:
        """Ask it to stop, wait, end it where that takes longer, and give its exit code."""
        self.ask_to_stop()
        try:
            self.process.wait(within)
        except subprocess.TimeoutExpired:
            log.warning("%s (process %d) did not end in time: killed", self.name, self.process.pid)
            self.process.kill()
        code = self.process.wait()
        self._reader.join(5)  # what it has started itself may hold its output a little longer
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def at_stop(stop: Callable[[], object]) -> None:
    """Call this, on the main thread, when the process is told to stop: by SIGTERM or SIGINT."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())


def at_reload(reload: Callable[[], object]) -> None:
    """Call this, on the main thread, at SIGHUP. A terminal that has gone says so by it too: that stops it.

    Not for a process that was started to outlive its terminal, by nohup.
    """
    before = signal.getsignal(signal.SIGHUP)
    attended = before is signal.SIG_DFL and _has_terminal()

    def told(*_: object) -> None:
        if attended and not _has_terminal():
            signal.raise_signal(signal.SIGTERM)
        else:
            reload()

    signal.signal(signal.SIGHUP, told)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def be_child(serve: Callable[[str], None]) -> None:
    """Be a child: serve by the settings that come, until told to stop or left alone; exit with 2 at our errors."""
    settings = sys.stdin.readline()
    threading.Thread(target=_stop_with_the_parent, name="lifeline", daemon=True).start()
    try:
        serve(settings)
    except OfframpError as error:
        print(f"offramp: error: {error}", file=sys.stderr)
        sys.exit(2)


def _stop_with_the_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
