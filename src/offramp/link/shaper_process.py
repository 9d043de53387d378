"""A shaper as a process of its own, so that it is held up by nobody's interpreter, nor holds one up.

`offramp link` is one. `child_link` runs another as a child, `python -m offramp.link.shaper_process SHAPE TARGET`, which
stops on SIGTERM, and when its input ends, which is when the process that started it has gone.
"""

import asyncio
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from offramp.errors import LinkError, OfframpError
from offramp.link.shape import LinkShape
from offramp.link.shaper import Shaper
from offramp.sockets import check_address

READY = "ready"  # a shaper that forwards prints a line that begins with this word and its address
START, STOP = 60.0, 10.0  # seconds

log = logging.getLogger("offramp")


def run_link(shape: LinkShape, to: str, host: str = "127.0.0.1", port: int = 0) -> None:
    """Forward until SIGTERM or SIGINT. Says when it is ready, and where."""
    shaper = Shaper(shape, to, host, port)
    with asyncio.Runner(loop_factory=_fastest_loop()) as runner:
        runner.run(_serve(shaper))


async def _serve(shaper: Shaper) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await shaper.start()
    print(f"{READY} {shaper.address} link to {shaper.target}, {shaper.shape}, in user space", flush=True)
    await stop.wait()
    await shaper.stop()


def _fastest_loop() -> "type[asyncio.AbstractEventLoop] | None":
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return None
    return uvloop.Loop


@contextmanager
def child_link(shape: LinkShape, to: str) -> Iterator[str]:
    """Run a shaper in front of `to` as a child, on a free port; give its HOST:PORT.

    Raises LinkError where it does not start. It ends with the context, and with this process, however that ends.
    """
    command = [sys.executable, "-m", "offramp.link.shaper_process", str(shape), check_address(to)]
    first: queue.SimpleQueue[str] = queue.SimpleQueue()
    # In a group of its own: what the terminal sends comes here alone, and requests in flight still have their link.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0
    ) as process:
        listener = threading.Thread(target=_listen, args=(process, first, to), name="link", daemon=True)
        listener.start()
        try:
            yield _address(first, to)
        finally:
            process.terminate()
            try:
                process.wait(STOP)
            except subprocess.TimeoutExpired:
                process.kill()
            listener.join(STOP)


def _listen(process: "subprocess.Popen[str]", first: "queue.SimpleQueue[str]", to: str) -> None:
    """Hand on its first line, wait for its end, and say where that was not asked for."""
    assert process.stdout is not None
    line = process.stdout.readline()
    first.put(line)
    process.stdout.read()
    if process.wait() not in (0, -signal.SIGTERM) and line:
        log.error("the link to %s has gone (exit code %d): nothing reaches it any more", to, process.returncode)


def _address(first: "queue.SimpleQueue[str]", to: str) -> str:
    """What it says once it is ready."""
    try:
        words = first.get(timeout=START).split()
    except queue.Empty:
        raise LinkError(f"the link to {to} was not ready after {START:g} s.") from None
    if words[:1] != [READY]:
        raise LinkError(f"the link to {to} ended before it was ready. What it said stands above.")
    return words[1]


def main() -> None:
    """Be a child's process."""
    threading.Thread(target=_stop_with_the_parent, name="lifeline", daemon=True).start()
    try:
        run_link(LinkShape.parse(sys.argv[1]), sys.argv[2])
    except OfframpError as error:
        print(f"offramp: error: {error}", file=sys.stderr)
        sys.exit(2)


def _stop_with_the_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
