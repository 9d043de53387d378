"""What grpc's own library writes on a process's stderr of handshakes that failed, counted instead of written.

It has no other way to tell of them, and writes a line for each: whoever knocks on the port could fill a disk. All else
that is written there goes on to where it went.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from offramp.protocol.refusals import native_kind

STDERR = 2
LAST = 1.0  # seconds for what has been written to go on, where a child holds the pipe open
LONGEST = 1 << 16  # bytes of a line that are waited for


@contextmanager
def handshakes_told(told: Callable[[str], object], number: int = STDERR) -> Iterator[None]:
    """Within, `told` is called with the kind of each. Children that are started within write there for longer."""
    reader, writer = os.pipe()
    real = os.dup(number)
    os.dup2(writer, number)
    os.close(writer)
    thread = threading.Thread(target=_sort, args=(reader, real, told), name="native-log", daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.dup2(real, number)  # which closes the pipe's last end
        thread.join(LAST)


def _sort(reader: int, real: int, told: Callable[[str], object]) -> None:
    left = b""
    while more := os.read(reader, LONGEST):
        *lines, left = (left + more).split(b"\n")
        if len(left) > LONGEST:
            lines, left = [*lines, left], b""
        for line in lines:
            _one(line + b"\n", real, told)
    if left:
        _one(left, real, told)
    os.close(reader)


def _one(line: bytes, real: int, told: Callable[[str], object]) -> None:
    if (kind := native_kind(line.decode("utf-8", "replace"))) is not None:
        told(kind)
        return
    with suppress(OSError):  # nobody reads it any more
        os.write(real, line)
