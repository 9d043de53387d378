"""What a node of either kind is told when it starts, as one line on the input of its process."""

from functools import cache
from typing import Annotated

from pydantic import Field, TypeAdapter

from offramp.nodes.edge_settings import EdgeSettings
from offramp.nodes.settings import CloudSettings

Settings = CloudSettings | EdgeSettings


@cache
def _reader() -> TypeAdapter[Settings]:
    """Made when it is first needed: a node that the command line starts reads none, and would wait 15 ms for it."""
    return TypeAdapter(Annotated[Settings, Field(discriminator="node")])


def to_json(settings: Settings) -> str:
    """Write them on one line."""
    return _reader().dump_json(settings).decode()


def from_json(line: str) -> Settings:
    """Read what `to_json` wrote."""
    return _reader().validate_json(line)
