"""Triton's system shared memory: tensors that lie in files below /dev/shm, which callers on the node's machine name.

A region is opened once, as it is registered, and from then on read and written by copies. Who cuts a file short
meanwhile gets an error: to touch a mapping of it would end the node by SIGBUS. Knows neither models nor messages.
"""

import os
import stat
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote

from offramp.errors import InputError, TooLargeError
from offramp.sockets import is_loopback

FOLDER = "/dev/shm"
REGIONS, LARGEST = 64, 1 << 32  # regions at once, and the bytes of all of them
LONGEST = 255  # characters of a name
REGION, OFFSET, SIZE = "shared_memory_region", "shared_memory_offset", "shared_memory_byte_size"
OFFERED = "system_shared_memory"  # Triton's name of the extension
ELSEWHERE = (
    "shared memory: is offered to callers on this machine alone, by loopback or a Unix socket, and to no web page."
)
Socket = tuple[str, int | None] | None  # where one end of a connection is, as uvicorn has it


@dataclass(frozen=True)
class Placed:
    """Where a tensor lies, as a request says it."""

    region: str
    offset: int
    size: int


def placed(name: str, parameters: Mapping[str, object], *, offered: bool) -> Placed:
    """Where a tensor in shared memory lies, by its parameters; InputError where none is offered to who asks."""
    if not offered:
        raise InputError(f"{name}: shared memory is not offered. Send the tensor in the request.")
    region, offset, size = parameters[REGION], parameters.get(OFFSET, 0), parameters.get(SIZE)
    if not isinstance(region, str):
        raise InputError(f"{name}: {REGION}: expected a region's name, got {region!r}.")
    return Placed(region, _whole(name, OFFSET, offset), _whole(name, SIZE, size))


def is_here(client: Socket, server: Socket) -> bool:
    """Whether a connection's other end is on this machine, by both of its addresses."""
    if server is not None and server[1] is None:  # at a Unix socket
        return True
    return client is not None and is_loopback(client[0].removeprefix("::ffff:"))


def is_peer_here(peer: str) -> bool:
    """The same, by what grpc calls the other end."""
    kind, _, address = peer.partition(":")
    return kind == "unix" or is_loopback(unquote(address).rpartition(":")[0])


def _whole(name: str, what: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"{name}: {what}: expected a whole number of bytes, got {value!r}.")
    return value


class Region:
    """An open file's bytes from an offset on. Closed with the last that holds it."""

    def __init__(self, key: str, file: int, offset: int, size: int) -> None:
        self.key, self.file, self.offset, self.size = key, file, offset, size
        weakref.finalize(self, os.close, file)

    def told(self, name: str) -> dict[str, str | int]:
        """What Triton says of one."""
        return {"name": name, "key": self.key, "offset": self.offset, "byte_size": self.size}


class Held(NamedTuple):
    """Where a tensor lies: in this region, whatever becomes of its name."""

    place: Placed
    region: Region


class Regions:
    """What callers have registered. Safe to use from several threads. A request takes up to `most` bytes of them."""

    def __init__(self, most: int, folder: str = FOLDER) -> None:
        self.most, self.folder = most, folder
        self.known: dict[str, Region] = {}
        self.lock = threading.Lock()

    def register(self, name: str, key: str, offset: int, size: int) -> None:
        """Open a region; InputError where that cannot be."""
        if not 0 < len(name) <= LONGEST:  # without a name all are meant
            raise InputError(f"region {name[:LONGEST]!r}: expected a name of 1 to {LONGEST} characters.")
        _whole(name, "offset", offset)
        if not _whole(name, "byte_size", size):
            raise InputError(f"region {name!r}: byte_size: expected 1 or more, got 0.")
        with self.lock:
            if name in self.known:
                raise InputError(f"region {name!r}: registered already. Unregister it first, or choose another name.")
            used = sum(region.size for region in self.known.values())
            if len(self.known) >= REGIONS or used + size > LARGEST:
                raise TooLargeError(
                    f"region {name!r}: {len(self.known)} regions of {used} bytes are registered, and this node takes "
                    f"{REGIONS} of {LARGEST} bytes in all. Unregister some."
                )
            file = self._opened(name, key)
            try:
                found = os.fstat(file)
                if not stat.S_ISREG(found.st_mode) or found.st_size < offset + size:
                    raise InputError(
                        f"region {name!r}: {self.folder}/{key.removeprefix('/')} has not the {size} bytes from "
                        f"{offset} on."
                    )
            except BaseException:
                os.close(file)
                raise
            self.known[name] = Region(key, file, offset, size)

    def _opened(self, name: str, key: str) -> int:
        file = key.removeprefix("/")
        if not file.strip(".") or "/" in file or "\0" in file or len(file) > LONGEST:
            raise InputError(
                f"region {name!r}: key {key[:LONGEST]!r}: expected the name of a file right below {self.folder}."
            )
        how = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                return os.open(file, how, dir_fd=folder)
            finally:
                os.close(folder)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise InputError(f"region {name!r}: {self.folder}/{file} cannot be opened: {why}.") from error

    def unregister(self, name: str) -> None:
        """Forget a region, or with no name all; requests that have come keep what they named."""
        with self.lock:
            if name:
                self.known.pop(name, None)
            else:
                self.known.clear()

    def status(self, name: str) -> list[dict[str, str | int]]:
        """What is registered, or one of them; InputError where there is none of the name."""
        with self.lock:
            told = [region.told(called) for called, region in self.known.items() if name in ("", called)]
        if name and not told:
            raise InputError(f"region {name!r}: not registered here.")
        return told

    def read(self, places: Mapping[str, Placed]) -> dict[str, bytes]:
        """Copies of the contents of tensors."""
        total = sum(place.size for place in places.values())
        if total > self.most:
            raise TooLargeError(
                f"inputs: {total} bytes in shared memory, and this node takes at most {self.most} in one request. "
                "Send smaller batches, or start the node with a larger --max-batch."
            )
        contents = {}
        for name, (place, region) in self.hold(places).items():
            contents[name] = os.pread(region.file, place.size, region.offset + place.offset)
            if len(contents[name]) < place.size:
                raise _cut_short(name, place)
        return contents

    def hold(self, places: Mapping[str, Placed]) -> dict[str, Held]:
        """The regions of tensors, which have room for them."""
        return {name: Held(place, self._found(name, place)) for name, place in places.items()}

    def _found(self, name: str, place: Placed) -> Region:
        region = self.known.get(place.region)
        if region is None:
            raise InputError(f"{name}: shared memory region {place.region!r} is not registered here.")
        if place.offset + place.size > region.size:
            raise InputError(
                f"{name}: {place.size} bytes from {place.offset} on, and region {place.region!r} has {region.size}."
            )
        return region


def write(name: str, held: Held, content: bytes) -> Placed:
    """Write a tensor's contents to its place; the part of that which it takes."""
    (place, region), size = held, len(content)
    if size > place.size:
        raise InputError(f"{name}: {size} bytes, and its place in region {place.region!r} has {place.size}.")
    at = region.offset + place.offset
    # Behind its end a file would grow: what a client has given back stays so.
    if os.fstat(region.file).st_size < at + size:
        raise _cut_short(name, place)
    try:
        written = os.pwrite(region.file, content, at)
    except OSError as error:
        raise _not_written(name, place, f"{error.strerror}") from error
    if written < size:  # the file has holes, and there was memory for the first of them alone
        raise _not_written(name, place, f"of {size} bytes there was room for {written}")
    return Placed(place.region, place.offset, size)


def _cut_short(name: str, place: Placed) -> InputError:
    return InputError(f"{name}: the file of region {place.region!r} is shorter than it was when it was registered.")


def _not_written(name: str, place: Placed, why: str) -> InputError:
    return InputError(f"{name}: region {place.region!r} cannot be written: {why}.")
