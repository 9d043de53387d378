"""The models of a node, by name and version: what every front asks first. Also what it tells of them, as plain data."""

from collections.abc import Iterable, Iterator
from typing import Any

from offramp._version import __version__
from offramp.errors import UnknownModelError
from offramp.protocol.served import Served, TensorSpec

EXTENSIONS = ("binary_tensor_data", "classification", "model_configuration", "parameters", "statistics")
PLATFORM = "offramp"
MAX_BATCH = "max_batch"  # of a model's parameters: samples that its node takes in one request
TYPES = {"BYTES": "TYPE_STRING"}  # a datatype's name in a model's configuration, where it is not TYPE_ and itself


class Catalog:
    """Models of one name and several versions are told apart by version; the first answers where none is named."""

    def __init__(self, models: Iterable[Served]) -> None:
        self.served: dict[str, dict[str, Served]] = {}
        for model in models:
            self.served.setdefault(model.name, {})[model.version] = model

    def __iter__(self) -> Iterator[Served]:
        return (model for versions in self.served.values() for model in versions.values())

    def find(self, name: str, version: str = "") -> Served:
        """The model of a name and a version; UnknownModelError says what there is instead."""
        versions = self.served.get(name)
        if versions is None:
            raise UnknownModelError(f"model {name!r}: unknown here. This node serves {', '.join(self.served)}.")
        model = versions.get(version or next(iter(versions)))
        if model is None:
            raise UnknownModelError(
                f"model {name!r} version {version!r}: this node serves version {' and '.join(versions)}. "
                "The two nodes hold different bundles: give both the same one."
            )
        return model

    def matching(self, name: str = "", version: str = "") -> list[Served]:
        """Every model; of a name, all its versions; of a version too, that one."""
        if not name:
            return [*self]
        found = self.find(name, version)
        return [found] if version else [*self.served[name].values()]

    def metadata(self, model: Served) -> dict[str, Any]:
        """The protocol's metadata of a model."""
        return {
            "name": model.name,
            # Of a model that was found before others were served in its place: its own.
            "versions": [*self.served.get(model.name, [model.version])],
            "platform": PLATFORM,
            "inputs": [_metadata(spec) for spec in model.inputs],
            "outputs": [_metadata(spec) for spec in model.outputs],
        }

    def index(self) -> list[dict[str, str]]:
        """Every model and version, ready as it is."""
        return [{"name": model.name, "version": model.version, "state": "READY", "reason": ""} for model in self]


def server_metadata(*more: str) -> dict[str, Any]:
    """The protocol's metadata of a server, with more extensions than every one has."""
    return {"name": PLATFORM, "version": __version__, "extensions": [*EXTENSIONS, *more]}


def config(model: Served, max_batch: int) -> dict[str, Any]:
    """Triton's configuration of a model, as JSON: complete shapes (so `max_batch_size` 0), and what it says.

    Among that, how many samples a request may have.
    """
    return {
        "name": model.name,
        "platform": PLATFORM,
        "max_batch_size": 0,
        "input": [_config(spec) for spec in model.inputs],
        "output": [_config(spec) for spec in model.outputs],
        "parameters": {
            name: {"string_value": value} for name, value in {**model.config, MAX_BATCH: str(max_batch)}.items()
        },
    }


def _metadata(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": [*spec.shape]}


def _config(spec: TensorSpec) -> dict[str, Any]:
    kind = TYPES.get(spec.datatype, f"TYPE_{spec.datatype}")
    return {"name": spec.name, "data_type": kind, "dims": [*spec.shape]}
