"""The words on the wire between client, edge and cloud: models, tensors, parameters and what they name, nothing else.

What is said in these words is `client`'s, `nodes.edge_model`'s and `nodes.cloud`'s to know.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from offramp.artifacts.engine import Place
from offramp.exits.answers import Tier
from offramp.protocol.served import Call

CLASSIFIER = "classifier"  # the edge's model: samples in, answers out
REPLIES = "replies"  # the cloud's: what it answers clients directly

CLASS_NAME = "class_name"  # an output of the classifier that comes only where it is asked for by name
ROW = "row"  # a tensor: which rows of the caller's batch a part answers, or which the features belong to

# Parameters of a request to the classifier: parts of a plan, for this one call.
PLAN = frozenset({"exit", "threshold", "cut", "codec", "drop_threshold"})
DEGRADED = "degraded"  # false: an error in place of an answer of the edge's where the cloud fails
CLOUD_VERSION = "cloud_version"  # the id of another bundle that the cloud finishes with: a cascade
# Of one that is answered directly: the client's stream at the cloud, and its own name for the request.
REPLY_TO, REPLY_AS = "reply_to", "reply_as"
TOKEN = "token"  # of the request that opens such a stream
CONSUMED = frozenset({REPLY_TO, REPLY_AS, TOKEN})  # secrets, and who is meant: they do not come back with an answer
# Parameters of an answer.
BYTES_TO_CLOUD = "bytes_to_cloud"
DIRECT = "direct"  # the rows were answered to the client, by the cloud

TIERS = np.array([tier.name.lower().encode() for tier in Tier], np.object_)  # a tier's name on the wire, by number


@dataclass(frozen=True)
class Reply:
    """Whom the cloud answers directly: the stream's token, and the client's own name for its request."""

    token: str
    request: str

    @classmethod
    def of(cls, call: Call) -> Self | None:
        """Where the cloud's answer shall go instead of back the way; None: back the way."""
        token = call.text(REPLY_TO)
        return None if token is None else cls(token, call.text(REPLY_AS) or "")


# What a model's configuration says of the place where it computes; an edge's, of its cloud's under CLOUD as well.
CLOUD = "cloud_"


def place_of(config: Mapping[str, str], prefix: str = "") -> Place | None:
    """Where a node computes by its configuration; None where that does not say, as other makers' do not."""
    words = [config.get(f"{prefix}{name}", "") for name in ("runtime", "precision", "hardware")]
    return Place(*words) if all(words) else None  # type: ignore[arg-type]  # a precision of whatever maker


def said_of(place: Place | None, prefix: str = "") -> dict[str, str]:
    """The same as parts of a configuration."""
    if place is None:
        return {}
    return {
        f"{prefix}runtime": place.release,
        f"{prefix}precision": place.precision,
        f"{prefix}hardware": place.hardware,
    }
