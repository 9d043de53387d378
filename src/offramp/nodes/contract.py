"""The words on the wire between client, edge and cloud: models, tensors, parameters and what they name, nothing else.

What is said in these words is `client`'s, `nodes.edge_model`'s and `nodes.cloud`'s to know.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Self

import numpy as np
import numpy.typing as npt

from offramp.artifacts.codec import Codec, tail_name
from offramp.artifacts.engine import Place
from offramp.artifacts.outcome import LAST_TIER
from offramp.errors import InputError, LinkError
from offramp.exits.answers import Answers, Tier, tier_name, tier_number
from offramp.protocol.catalog import MAX_BATCH
from offramp.protocol.served import Array, Call, Parameters

# The model of a chain's first tier, samples in, answers out; and by `classifier_name` those of each between it and the
# last, which take what crosses a boundary.
CLASSIFIER = "classifier"
REPLIES = "replies"  # the cloud's: what it answers clients directly
TIER = "tier"  # of a model's configuration, and said as a stream for direct replies opens: the tier that its node is
BEHIND = "behind"  # of the classifier's configuration: the tiers that answer what it hands on, with commas between them

CLASS_NAME = "class_name"  # an output of the classifier that comes only where it is asked for by name
ROW = "row"  # a tensor: which rows of the caller's batch a part answers, or which the features belong to

# Parameters of a request to the classifier: parts of a plan, for this one call.
PLAN = frozenset({"exit", "threshold", "cut", "codec", "drop_threshold"})
FOLLOWS = "follows"  # of what one tier of a chain hands to the next: the plan, whole, or its id where it is known there
# Of what several devices see of one thing: which sample, whose view; and of its answer, which views it is made of, and
# that this one came too late to be among them.
SAMPLE, VIEW, VIEWS, LATE = "sample", "view", "views", "late"
READY = "ready"  # beside it, true: nothing is to be answered, but made ready to be, here and behind
ALONG = frozenset({SAMPLE, VIEW})  # what a request says of its samples goes with them, from tier to tier
BACK = frozenset({VIEWS, LATE})  # and what is said of their answers comes back with those
DEGRADED = "degraded"  # false: an error in place of an answer of the edge's where the cloud fails
CLOUD_VERSION = "cloud_version"  # the id of another bundle that the cloud finishes with: a cascade
# Of one that is answered directly: the client's stream at the cloud, and its own name for the request.
REPLY_TO, REPLY_AS = "reply_to", "reply_as"
TOKEN = "token"  # of the request that opens such a stream
# Secrets, who is meant, and what no client has said: they do not come back with an answer.
CONSUMED = frozenset({REPLY_TO, REPLY_AS, TOKEN, FOLLOWS, READY})
# Parameters of an answer.
BYTES_TO = "bytes_to_"  # and a tier's name: what was sent to it for this answer
BYTES_TO_CLOUD = f"{BYTES_TO}{LAST_TIER}"
DIRECT = "direct"  # the rows were answered to the client, by the tiers behind


def classifier_name(boundary: int, codec: Codec) -> str:
    """Name of the model of a middle tier: what crosses a boundary in a codec in, answers out."""
    return f"{CLASSIFIER}{tail_name(boundary, codec).removeprefix('tail')}"


def hops(parameters: Parameters) -> dict[str, int]:
    """Bytes that were sent for an answer, by the tier that they were sent to."""
    return {name.removeprefix(BYTES_TO): int(sent) for name, sent in parameters.items() if name.startswith(BYTES_TO)}


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


def read_answers(outputs: Mapping[str, Array]) -> Answers:
    """Make answers of a response's tensors; LinkError where they are not a node's of this program."""
    try:
        tier = np.array([tier_number(name.decode()) for name in outputs["tier"]], np.int8)
        return Answers(**{field.name: outputs[field.name] for field in fields(Answers)} | {"tier": tier})
    except (KeyError, AttributeError, UnicodeDecodeError, InputError) as error:
        raise LinkError(f"answered, but not as an edge of offramp does: {error} is missing or unknown.") from error


def tiers_said(tiers: npt.NDArray[np.int8]) -> npt.NDArray[np.object_]:
    """The names of tiers on the wire, by their numbers (N,)."""
    return _words(max(int(tiers.max(initial=0)) + 1, len(Tier)))[tiers]


@lru_cache
def _words(count: int) -> npt.NDArray[np.object_]:
    return np.array([tier_name(number).encode() for number in range(count)], np.object_)


def rows_said(call: Call, batch: Array) -> Array:
    """Which rows of its batch a client is to be told of, where it is answered directly; InputError where none are."""
    rows = call.inputs.get(ROW)
    if rows is None or rows.shape != batch.shape[:1] or rows.dtype != np.int64:
        raise InputError(f"{ROW}: a direct reply says which rows it answers. Expected INT64 of shape (N,).")
    return rows


# What a model's configuration says of the place where it computes; an edge's, of its cloud's under CLOUD as well.
CLOUD = "cloud_"


def place_of(config: Mapping[str, str], prefix: str = "") -> Place | None:
    """Where a node computes by its configuration; None where that does not say, as other makers' do not."""
    words = [config.get(f"{prefix}{name}", "") for name in ("runtime", "precision", "hardware")]
    return Place(*words) if all(words) else None  # type: ignore[arg-type]  # a precision of whatever maker


def most_of(config: Mapping[str, str]) -> int | None:
    """How many samples a node takes in one request, by its configuration; None where that does not say."""
    said = config.get(MAX_BATCH, "")
    return int(said) if said.isdecimal() and int(said) else None


def said_of(place: Place | None, prefix: str = "") -> dict[str, str]:
    """The same as parts of a configuration."""
    if place is None:
        return {}
    return {
        f"{prefix}runtime": place.release,
        f"{prefix}precision": place.precision,
        f"{prefix}hardware": place.hardware,
    }
