"""What a node has as a tier between two others: models of features, batches across callers, and direct replies."""

from dataclasses import dataclass
from typing import Self

from offramp.artifacts.bundle import Bundle
from offramp.nodes.batching import Batcher
from offramp.nodes.edge import Edge
from offramp.nodes.edge_settings import EdgeSettings
from offramp.nodes.replies import Replies
from offramp.nodes.tier_model import Followers, TierModel


@dataclass(frozen=True, eq=False)
class Between:
    """One for a process, whatever its networks."""

    batcher: Batcher
    replies: Replies

    @classmethod
    def of(cls, settings: EdgeSettings, first: Bundle, tier: str) -> Self:
        """What the settings of a node say of it; `first` is its first network's, and `tier` the one that it is."""
        return cls(Batcher(settings.limits), Replies(first.id, tier))

    def models(self, edge: Edge) -> tuple[TierModel, ...]:
        """A model for each place where the tier before may cut a network, in each codec."""
        followers, manifest = Followers(edge), edge.bundle.manifest
        places = [(cut.boundary, codec) for cut in manifest.cuts for codec in cut.codecs if cut.boundary < edge.last]
        return tuple(TierModel(followers, boundary, codec, self.replies) for boundary, codec in places)
