"""The words on the wire between client, edge and cloud: models, tensors, parameters and what they name, nothing else.

What is said in these words is `client`'s, `nodes.edge_model`'s and `nodes.cloud`'s to know.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from offramp.artifacts.codec import Codec
from offramp.exits.answers import Tier
from offramp.protocol.served import Call

CLASSIFIER = "classifier"  # the edge's model: an image in, answers out
REPLIES = "replies"  # the cloud's: what it answers clients directly

CLASS_NAME = "class_name"  # an output of the classifier that comes only where it is asked for by name
ROW = "row"  # a tensor: which rows of the caller's batch a part answers, or which the features belong to

# Parameters of a request to the classifier: parts of a plan, for this one call.
PLAN = frozenset({"exit", "threshold", "cut", "codec", "drop_threshold"})
CLOUD_VERSION = "cloud_version"  # the id of another bundle that the cloud finishes with: a cascade
# Of one that is answered directly: the client's stream at the cloud, and its own name for the request.
REPLY_TO, REPLY_AS = "reply_to", "reply_as"
TOKEN = "token"  # of the request that opens such a stream
CONSUMED = frozenset({REPLY_TO, REPLY_AS, TOKEN})  # secrets, and who is meant: they do not come back with an answer
# Parameters of an answer.
BYTES_TO_CLOUD = "bytes_to_cloud"
DIRECT = "direct"  # the rows were answered to the client, by the cloud

TIERS = np.array([tier.name.lower().encode() for tier in Tier], np.object_)  # a tier's name on the wire, by number

DATATYPES: dict[Codec, str] = {"fp32": "FP32", "fp16": "FP16", "uint8": "UINT8"}  # of a boundary's tensors


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


def tail_name(boundary: int, codec: Codec) -> str:
    """Name of the model that takes a boundary's features in a codec; tail-0 takes the image: the whole network."""
    return f"tail-{boundary}" if codec == "fp32" else f"tail-{boundary}-{codec}"
