"""Self-distillation: the network's own last exit, or all its exits together, teach each exit beside the labels."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from offramp.train.regimes.joint import Joint
from offramp.train.regimes.regime import Phase

Teacher = Literal["last", "ensemble"]


def divergence(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² KL(softmax(teacher / T) || softmax(logits / T)), mean over samples (Hinton et al. 2015, arXiv 1503.02531).

    Both are `(N, classes)`. The factor T² keeps gradients comparable to a cross-entropy's whatever the temperature.
    """
    student = F.log_softmax(logits.float() / temperature, dim=1)
    target = F.log_softmax(teacher.float() / temperature, dim=1)
    return F.kl_div(student, target, reduction="batchmean", log_target=True) * temperature**2


@dataclass(frozen=True)
class Distilled:
    """Joint training in which exits learn from a teacher as well; no gradient goes through the teacher.

    `last`: L_k = w_k [(1 - a) CE(z_k, y) + a T² KL(z_n || z_k)] before the last exit n, CE alone at it: Zhang et al.,
    "Be Your Own Teacher", ICCV 2019 (arXiv 1905.08094), without its hints between features; the same form as the
    one-for-all distillation of arXiv 1908.06294.

    `ensemble`: L_k = w_k [CE(z_k, y) + a T² KL(mean of all z || z_k)] at every exit, the last one included: Lee & Lee,
    "Students are the Best Teacher", arXiv 2104.00299, without its distillation of features.
    """

    of: Joint
    teacher: Teacher
    share: float  # a
    temperature: float  # T

    def phase(self, progress: float) -> Phase:
        """As joint training."""
        return self.of.phase(progress)

    def loss(self, logits: dict[int, Tensor], labels: Tensor, progress: float) -> Tensor:
        """Cross-entropies and divergences from the teacher."""
        weights = self.of.at(tuple(logits), progress)
        last = max(logits)
        if self.teacher == "last":
            teacher, students = logits[last].detach(), [exit_ for exit_ in logits if exit_ != last]
            own = {exit_: weight * (1 - self.share) for exit_, weight in weights.items()} | {last: weights[last]}
        else:
            # In fp32: a sum of nine bf16 logits would lose what it is taken for.
            teacher = torch.stack([at_exit.detach().float() for at_exit in logits.values()]).mean(0)
            students, own = list(logits), weights
        supervised = Joint(own, label_smoothing=self.of.label_smoothing).loss(logits, labels, progress)
        taught = [weights[k] * divergence(logits[k], teacher, self.temperature) for k in students]
        return supervised + self.share * torch.stack(taught).sum() if taught else supervised
