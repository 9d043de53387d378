"""Protocol buffers' messages from tables: what a node speaks, without the packages that hold all of a format.

A table has the fields of each message, each as its number, name and type, with commas between:

    {"Tensor": "1 name string, 2 shape int64*, 3 parameters {Parameter}, 4 whole int64|choice", "Parameter": ""}

A star says that there are several, braces a map from strings, and what stands behind a bar is the one-of that the field
belongs to. A type is a plain one, another message or an enumeration of the table. A field that the table lacks is kept
as it came, and written again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass


@dataclass(frozen=True)
class Table:
    """The messages and enumerations of a package; an enumeration's values count from 0."""

    package: str
    syntax: Literal["proto2", "proto3"]
    messages: Mapping[str, str]
    enumerations: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def described(self) -> FileDescriptorProto:
        """The file that declares them."""
        name = f"offramp/{self.package.replace('.', '/')}.proto"
        file = FileDescriptorProto(name=name, package=self.package, syntax=self.syntax)
        for enumeration, values in self.enumerations.items():
            told = file.enum_type.add(name=enumeration)
            for number, value in enumerate(values):
                told.value.add(name=value, number=number)
        for message, fields in self.messages.items():
            made = file.message_type.add(name=message)
            for one in filter(None, fields.split(", ")):
                self._add(made, *one.split())
        return file

    def _add(self, message: DescriptorProto, number: str, name: str, kind: str) -> None:
        kind, _, choice = kind.partition("|")
        if kind.startswith("{"):
            kind = f"{self._entry(message, name, kind[1:-1])}*"
        added = message.field.add(name=name, number=int(number))
        self._type(added, kind)
        if choice:
            names = [one.name for one in message.oneof_decl]
            if choice not in names:
                message.oneof_decl.add(name=choice)
            added.oneof_index = [*names, choice].index(choice)

    def _type(self, one: FieldDescriptorProto, kind: str) -> None:
        plain = kind.rstrip("*")
        one.label = one.LABEL_OPTIONAL if kind == plain else one.LABEL_REPEATED
        if plain in self.enumerations:
            one.type, one.type_name = one.TYPE_ENUM, f".{self.package}.{plain}"
        elif plain.partition(".")[0] in self.messages:
            one.type, one.type_name = one.TYPE_MESSAGE, f".{self.package}.{plain}"
        else:
            one.type = one.Type.Value(f"TYPE_{plain.upper()}")

    def _entry(self, message: DescriptorProto, name: str, value: str) -> str:
        """Declare a map's entries inside of the message that has the map; their type."""
        entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        for number, (part, kind) in enumerate((("key", "string"), ("value", value)), start=1):
            self._type(entry.field.add(name=part, number=number), kind)
        return f"{message.name}.{entry.name}"


def classes(pool: DescriptorPool, package: str, messages: Mapping[str, str]) -> dict[str, Any]:
    """The class of each of a table's messages by its name, of a pool that has its file; entries of maps, too.

    To be kept for as long as the program runs. protobuf makes a class when it is asked for and forgets it with the last
    message of it; while one thread collects such a class, another may be given it once more, and the process ends.
    """
    found = {}
    for name in messages:
        message = pool.FindMessageTypeByName(f"{package}.{name}")
        for one in (message, *message.nested_types):
            found[one.full_name.removeprefix(f"{package}.")] = GetMessageClass(one)
    return found
