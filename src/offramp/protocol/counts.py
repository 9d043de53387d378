"""Numbers that are added up, by key, in memory that several processes may share: each writes its own section, all read.

A process that was killed leaves its section as it was, and its successor goes on with it: nothing is lost, nothing is
counted twice, and no file is left, since the memory has no name. Knows nothing of what is counted.
"""

import json
import mmap
import os
import struct
import tempfile
import threading
from collections.abc import Callable, Mapping

Key = tuple[str, ...]
Merge = Callable[[float, float], float]  # of the same number of two processes

SLOTS = 1 << 16  # numbers of a process: each size of a batch that a model was run in has four
WIDEST = 64  # numbers of a key
KEYS = 1 << 21  # bytes of their names
HEADER = 4096  # a page: how many bytes of names there are
SECTION = HEADER + 8 * SLOTS + KEYS
NOWHERE = SLOTS - WIDEST  # where a key is counted that there is no room for: it is not read
LOST: Key = ("offramp_uncounted_keys",)  # how many of these there are


def shared_memory(sections: int) -> int:
    """Memory for so many processes: a descriptor for them to inherit, and for who made it to close."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("offramp-counts")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, SECTION * sections)
    return descriptor


class Counts:
    """Section `number` of `sections` in the memory of a descriptor; of this process alone without one.

    Who adds holds `changing`, once for all that is to be added: `values[slot] += number` takes 60 ns then.
    """

    def __init__(self, descriptor: int = -1, number: int = 0, sections: int = 1) -> None:
        self.memory = mmap.mmap(descriptor, SECTION * sections)
        self.number, self.sections, self.changing = number, sections, threading.Lock()
        self.naming = threading.Lock()  # what is new is named beside what is added to
        self.known: dict[
            int, tuple[int, list[tuple[Key, int, int]]]
        ] = {}  # of each section, for so many bytes of names
        self.values = self._values(number)
        self.slots: dict[Key, int] = {}
        self.next = 0
        for key, slot, width in self._keys(number):  # of who was here before
            self.slots[key], self.next = slot, slot + width
        self.lost = self.slot(LOST)

    def slot(self, key: Key, width: int = 1) -> int:
        """Where the first of a key's `width` numbers stands in `values`: 0 each at first."""
        if (found := self.slots.get(key)) is None:
            with self.naming:
                found = self.slots[key] = self._new(key, width)
        return found

    def _new(self, key: Key, width: int) -> int:
        if key in self.slots:
            return self.slots[key]
        start, used = self._names(self.number)
        line = json.dumps([width, *key]).encode() + b"\n"
        if self.next + width > NOWHERE or used + len(line) > KEYS:
            self.values[self.lost] += 1
            return NOWHERE
        slot, self.next = self.next, self.next + width
        self.memory[start + used : start + used + len(line)] = line
        struct.pack_into("Q", self.memory, self.number * SECTION, used + len(line))  # others see it from now on
        return slot

    def read(self, merge: Mapping[str, Merge]) -> dict[Key, list[float]]:
        """Every key's numbers, of all sections: added up, or merged in the way that its first word has here."""
        found: dict[Key, list[float]] = {}
        for number in range(self.sections):
            values = self._values(number)
            for key, slot, width in self._keys(number):
                more, before = list(values[slot : slot + width]), found.get(key)
                by = merge.get(key[0], float.__add__)
                found[key] = more if before is None else [by(*pair) for pair in zip(before, more, strict=True)]
        return found

    def _values(self, number: int) -> "memoryview[float]":
        start = number * SECTION + HEADER
        return memoryview(self.memory)[start : start + 8 * SLOTS].cast("d")

    def _names(self, number: int) -> tuple[int, int]:
        """Where the names of a section begin, and how many bytes of them there are."""
        return number * SECTION + HEADER + 8 * SLOTS, struct.unpack_from("Q", self.memory, number * SECTION)[0]

    def _keys(self, number: int) -> list[tuple[Key, int, int]]:
        """Those of a section, with where their numbers stand and how many they are: names are only ever added."""
        start, used = self._names(number)
        before, found = self.known.get(number, (0, []))
        if used > before:
            slot = sum(found[-1][1:]) if found else 0
            found = list(found)
            for line in self.memory[start + before : start + used].splitlines():
                width, *key = json.loads(line)
                found.append((tuple(key), slot, width))
                slot += width
            self.known[number] = used, found
        return found
