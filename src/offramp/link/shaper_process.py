"""A shaper as a process of its own, so that it is held up by nobody's interpreter, nor holds one up.

`offramp link` is one. `child_link` runs another as a child, which never outlives the process that started it.
"""

import asyncio
import json
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from offramp.children import Child, be_child, ready_line
from offramp.link.shape import LinkShape
from offramp.link.shaper import Shaper
from offramp.link.trace import Trace
from offramp.sockets import check_address

COMMAND = ("-m", "offramp.link.shaper_process")

log = logging.getLogger("offramp")


def run_link(shape: LinkShape | Trace, to: str, host: str = "127.0.0.1", port: int = 0) -> None:
    """Forward until SIGTERM or SIGINT. Says when it is ready, and where."""
    shaper = Shaper(shape, to, host, port)
    with asyncio.Runner(loop_factory=_fastest_loop()) as runner:
        runner.run(_serve(shaper))


async def _serve(shaper: Shaper) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await shaper.start()
    print(ready_line(shaper.address, f"link to {shaper.target}, {shaper.shape}, in user space"), flush=True)
    await stop.wait()
    await shaper.stop()


def _fastest_loop() -> "type[asyncio.AbstractEventLoop] | None":
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return None
    return uvloop.Loop


@contextmanager
def child_link(shape: LinkShape | Trace, to: str) -> Iterator[str]:
    """Run a shaper in front of `to` as a child, on a free port; give its HOST:PORT.

    Raises LinkError where it does not start. It ends with the context, and with this process, however that ends.
    """
    said = shape.said() if isinstance(shape, Trace) else str(shape)
    settings = json.dumps([said, check_address(to)])
    with Child(f"the link to {to}", COMMAND, settings, changed=_say_if_gone) as child:
        yield child.address()


def _say_if_gone(child: Child) -> None:
    if child.ended and child.words and child.process.returncode not in (0, -signal.SIGTERM):
        log.error("%s has gone (%s): nothing reaches it any more", child.name, child.why())


def _run(settings: str) -> None:
    shape, to = json.loads(settings)
    run_link(LinkShape.parse(shape) if isinstance(shape, str) else Trace.read(*shape), to)


if __name__ == "__main__":
    be_child(_run)
