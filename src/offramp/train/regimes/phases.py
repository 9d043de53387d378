"""Backbone first: a part of the training for the network without local exits, the rest for all of it or for heads."""

from dataclasses import dataclass, replace

from torch import Tensor

from offramp.train.regimes.regime import Phase, Regime


@dataclass(frozen=True)
class BackboneFirst:
    """Two phases, after Kubaty et al., "How to Train Your Multi-Exit Model?", arXiv 2407.14320.

    In the first, `share` of all steps, the stages and the last exit are trained as if there were no other. In the
    second, `then` goes on: with all of the network (the paper's *mixed* strategy), or, `frozen`, with heads alone on
    stages that stay as they are, their running statistics included (*disjoint*; here `separate`). The learning rate's
    schedule runs through once in each.
    """

    share: float
    last: int
    then: Regime
    frozen: bool = False

    def phase(self, progress: float) -> Phase:
        """The backbone's, or what follows."""
        if progress < self.share:
            return Phase(progress / self.share, exits=(self.last,))
        return replace(self.then.phase(self._since(progress)), frozen=self.frozen)

    def loss(self, logits: dict[int, Tensor], labels: Tensor, progress: float) -> Tensor:
        """The same loss, of the exits that the phase has."""
        return self.then.loss(logits, labels, 0.0 if progress < self.share else self._since(progress))

    def _since(self, progress: float) -> float:
        return (progress - self.share) / (1 - self.share)
