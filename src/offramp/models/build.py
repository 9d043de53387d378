"""From a document to a network: the families there are, and the one place where a network of any of them is made.

Training, checkpoints and export know what every family's documents and networks have in common (`Architecture`,
`ExitNet`) and nothing else: a further family is a document, a builder and a line in `FAMILIES`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from offramp.errors import InputError
from offramp.models.architecture import Architecture, StandardCnn
from offramp.models.cnn import standard_cnn
from offramp.models.exit_net import ExitNet, Statistics
from offramp.models.graph_network import GraphNetwork, graph_network


@dataclass(frozen=True)
class NetworkFamily:
    """Networks of one kind: the document that describes one, and what builds it.

    The builder takes the document, the training images' statistics or None, and the seed of the weights it draws; as
    `files` also what stands beside the weights, by name, where the document says that something does.
    """

    document: type[Architecture]
    builder: Callable[..., ExitNet]


Families = Mapping[str, NetworkFamily]  # by what their documents call them
FAMILIES: Families = {
    "standard-cnn": NetworkFamily(StandardCnn, standard_cnn),
    "graph": NetworkFamily(GraphNetwork, graph_network),
}


def describe(fields: Mapping[str, Any], families: Families = FAMILIES) -> Architecture:
    """Read the document of a network from its fields; an InputError or a ValidationError says what does not fit."""
    return _family(str(fields.get("family")), families).document.model_validate(fields)


def build(
    architecture: Architecture,
    statistics: Statistics | None = None,
    seed: int = 0,
    families: Families = FAMILIES,
    files: Mapping[str, bytes] | None = None,
) -> ExitNet:
    """Make the network with freshly drawn weights; an InputError where its family is none of these.

    `statistics` are the mean and standard deviation of the training images per channel, in [0, 1]. `files` are those
    that the document names (`beside`).
    """
    more = {"files": files} if architecture.beside else {}
    return _family(architecture.family, families).builder(architecture, statistics, seed, **more)


def _family(name: str, families: Families) -> NetworkFamily:
    if name not in families:
        raise InputError(f"family {name!r}: unknown, expected one of {', '.join(families)}.")
    return families[name]
