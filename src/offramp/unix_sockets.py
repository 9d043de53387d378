"""Unix sockets: addresses `unix:/PATH`, which are files, and reach no further than one machine.

A node takes a path for as long as it runs. The file of a node that died is replaced, one that is in use never is; while
a node looks, no other one does: the folder is locked. A file is made under another name, and renamed once it listens.
So nobody finds one that is not ready, and grpc, which when it stops removes the file that it made, whoever's that is by
then, finds none.
"""

import fcntl
import os
import re
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from grp import getgrgid
from pwd import getpwuid
from typing import Any

from offramp.errors import InputError, PortInUseError

SCHEME = "unix:"
MODE = 0o600  # of a file, where nothing else was said: its owner comes in, and root
LONGEST = 106  # bytes of a path: the system takes 107, and a file has one more until it listens
WAIT = 5.0  # seconds for other nodes to have looked at the folder, and for one to take a connection
LOOK = 0.05  # seconds between tries
# What grpc and the words of a node's first line read as it stands.
PATH = re.compile(r"(/[A-Za-z0-9._+=@~-]+)+")


def path_of(address: str) -> str | None:
    """The path of `unix:/PATH`, None of an address of another kind; InputError where it is no whole path."""
    if not address.startswith(SCHEME):
        return None
    path = address.removeprefix(SCHEME)
    path = path[2:] if path.startswith("///") else path
    if PATH.fullmatch(path) is None:
        raise InputError(
            f"address {address!r}: expected {SCHEME} and a whole path of letters, digits and ._+=@~-, like "
            f"{SCHEME}/run/offramp/edge.sock."
        )
    if len(path) > LONGEST:
        raise InputError(
            f"address {address!r}: a path of {len(path)} characters, and a Unix socket has at most {LONGEST}. Choose a "
            "shorter one."
        )
    return path


def http_beside(path: str) -> str:
    """Where a node listens for HTTP whose gRPC side is at this path: `edge.http.sock` beside `edge.sock`."""
    stem, suffix = os.path.splitext(path)
    return f"{stem}.http{suffix}"


def mode_of(text: str) -> int:
    """The mode of a file, in octal digits; InputError where it is none, or its owner could not come in."""
    if re.fullmatch(r"0?[0-7]{3}", text) is None or int(text, 8) & MODE != MODE:
        raise InputError(f"socket mode {text!r}: expected three octal digits, the first 6 or 7, like 600 or 660.")
    return int(text, 8)


def open_to(path: str) -> str:
    """Who may come in by a socket's file: `a Unix socket of mode 0660, user edge and group cameras`."""
    found = os.stat(path)
    if found.st_mode & stat.S_IWOTH:
        who = "anyone on this machine"
    else:
        group = f" and group {_named(getgrgid, found.st_gid)}" if found.st_mode & stat.S_IWGRP else ""
        who = f"user {_named(getpwuid, found.st_uid)}{group}"
    return f"a Unix socket of mode {stat.S_IMODE(found.st_mode):04o}, {who}"


def _named(find: Callable[[int], Any], number: int) -> str:
    """A user's or a group's name; its number where the machine knows none, as in containers."""
    with suppress(KeyError):
        return str(find(number)[0])
    return str(number)


class SocketFile:
    """The file of a socket at which this process listens."""

    def __init__(self, path: str, mode: int = MODE) -> None:
        self.path, self.mode = path, mode
        self.made: tuple[int, int] | None = None  # its device and number

    @contextmanager
    def taken(self) -> Iterator[str]:
        """Give the name to bind a socket to; once it listens, and the block ends, it is found at its path.

        Raises PortInUseError where somebody listens there, InputError where no socket can be.
        """
        with _alone(self.path):
            _check_free(self.path)
            name = f"{self.path}~"
            _check_free(name)
            with suppress(FileNotFoundError):
                os.unlink(name)
            before = os.umask(0o777 & ~self.mode)
            try:
                yield name
                os.rename(name, self.path)
            except (OSError, RuntimeError) as error:  # the second is grpc's
                why = error.strerror if isinstance(error, OSError) else "its folder takes no files of this user"
                raise _impossible(self.path, f"{why}") from error
            finally:
                os.umask(before)
            self.made = _identity(self.path)

    def remove(self) -> None:
        """Take the file away, unless it is another's by now."""
        with suppress(OSError, InputError, PortInUseError), _alone(self.path):
            if self.made is not None and self.made == _identity(self.path):
                os.unlink(self.path)


def listening_at(path: str, backlog: int, mode: int = MODE) -> tuple[socket.socket, SocketFile]:
    """A socket that listens at a path, and its file; errors as `SocketFile.taken` has them."""
    file, made = SocketFile(path, mode), socket.socket(socket.AF_UNIX)
    try:
        with file.taken() as name:
            made.bind(name)
            made.listen(backlog)
    except BaseException:
        made.close()
        raise
    return made, file


def _identity(path: str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino


@contextmanager
def _alone(path: str) -> Iterator[None]:
    """Meanwhile no other node looks at the folder."""
    folder = os.path.dirname(path)
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _impossible(path, f"{folder}: {error.strerror}") from error
    try:
        _lock(held, path, folder)
        yield
    finally:
        os.close(held)


def _lock(held: int, path: str, folder: str) -> None:
    end = time.monotonic() + WAIT
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > end:
                raise PortInUseError(
                    f"cannot listen on {SCHEME}{path}: another process has had {folder} locked for {WAIT:g} s. Choose "
                    "another folder."
                ) from error
            time.sleep(LOOK)
        else:
            return


def _check_free(path: str) -> None:
    """Raise an error of ours unless nothing is there, or a socket at which nobody listens any more."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _impossible(path, f"{error.strerror}") from error
    if not stat.S_ISSOCK(found.st_mode):
        raise _impossible(path, "a file is there that is no socket")
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(WAIT)
        try:
            caller.connect(path)
        except ConnectionRefusedError:
            return  # of one that has died
        except FileNotFoundError:
            return
        except OSError as error:
            why = f"the socket there cannot be asked whether it is in use ({error.strerror or error})"
            raise PortInUseError(f"cannot listen on {SCHEME}{path}: {why}. Choose another path.") from error
    raise PortInUseError(
        f"cannot listen on {SCHEME}{path}: another process listens there. Choose another path, or stop that one."
    )


def _impossible(path: str, why: str) -> InputError:
    return InputError(f"cannot listen on {SCHEME}{path}: {why}. Choose a path in a folder where this user may write.")
