"""What a client reads of an edge: what it serves."""

import json
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from offramp.artifacts.data_record import DataRecord
from offramp.artifacts.document import Frozen, why
from offramp.artifacts.engine import Engine, Place
from offramp.artifacts.inputs import Input
from offramp.artifacts.plan import Plan
from offramp.artifacts.preprocessing import Preprocessing
from offramp.artifacts.stages import IMAGE
from offramp.errors import ArtifactError, InputError, LinkError
from offramp.nodes.contract import BEHIND, CLASSIFIER, CLOUD, place_of
from offramp.protocol.peer import ModelMetadata, Peer


class TrainedOn(Frozen):
    """The data of a served network by their name, the seed of their splits, and the record."""

    data: str
    seed: int
    record: DataRecord | None = None


@dataclass(frozen=True)
class ServedEdge:
    """What a running edge says of itself."""

    model: str
    bundle: str
    plan: Plan
    takes: Input
    runtime: str  # and its version
    engine: Engine
    classes: tuple[str, ...] = ()
    trained_on: TrainedOn | None = None  # None: an edge of before it said so
    behind: tuple[str, ...] = ()  # the tiers that answer what it hands on, if it says so
    places: tuple[Place | None, Place | None] = (None, None)  # where the edge computes, and its cloud, if they say so

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample of the network's input: (C, H, W) of an image."""
        return self.takes.shape


def _takes(metadata: ModelMetadata, config: dict[str, str]) -> Input:
    """What an edge takes; one of before it said so takes images."""
    if "takes" in config:
        return TypeAdapter[Input](Input).validate_json(config["takes"])
    _, channels, height, width = metadata.inputs[IMAGE][1]
    return Preprocessing(channels=channels, height=height, width=width)


def describe_edge(client: Peer, timeout: float = 10.0, version: str = "") -> ServedEdge:
    """Ask an edge what it serves and by which plan; waits up to `timeout` seconds for it.

    Of an edge of several networks, `version` (a bundle's id) names one; without it, the first is described.
    """
    client.wait_ready(timeout)
    metadata = client.metadata(CLASSIFIER, timeout, version)
    config = client.config(CLASSIFIER, timeout, version)
    try:
        return ServedEdge(
            config["model"],
            config["bundle"],
            Plan.parse(config["plan"], client.address),
            _takes(metadata, config),
            config["runtime"],
            TypeAdapter(Engine).validate_python(
                {"runtime": config["runtime"].split()[0], "precision": config["precision"]}
            ),
            tuple(json.loads(config.get("classes", "[]"))),
            TrainedOn.model_validate_json(config["trained_on"]) if "trained_on" in config else None,
            tuple(filter(None, config.get(BEHIND, "").split(","))),
            (place_of(config), place_of(config, CLOUD)),
        )
    except (KeyError, ValueError, ArtifactError) as error:
        said = why(error) if isinstance(error, ValidationError) else repr(error)
        raise LinkError(f"{client.address}: answers, but not as an edge of offramp does ({said}).") from error


def describe_edges(client: Peer, timeout: float = 10.0) -> tuple[ServedEdge, ...]:
    """Ask an edge about every network that it serves; each of the questions waits up to `timeout` seconds."""
    client.wait_ready(timeout)
    versions = client.metadata(CLASSIFIER, timeout).versions
    return tuple(describe_edge(client, timeout, version) for version in versions)


def find_edge(client: Peer, name: str, timeout: float = 10.0) -> ServedEdge:
    """Ask an edge about the one of its networks that is called so (or whose bundle's id this is)."""
    served = describe_edges(client, timeout)
    found = [one for one in served if name in (one.model, one.bundle)]
    if len(found) == 1:
        return found[0]
    so = f"{len(found)} networks of {client.address} are" if found else f"no network of {client.address} is"
    names = ", ".join(f"{one.model} ({one.bundle})" for one in served)
    raise InputError(
        f"model {name!r}: {so} called so. It serves {names}. Name one, by its bundle's id where names are the same."
    )
