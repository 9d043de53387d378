"""What came of answering some samples: how many each tier answered, and how right it was. The paper's measures.

Takes and gives counts and shares. Knows neither how samples were answered nor in what time.
"""

from typing import Annotated, Any

from pydantic import StringConstraints

from offramp.artifacts.document import Frozen

# Where an answer is made. Three have a place of their own, from the sample's side to the other end; a longer chain has
# more, by names of its own, and ends in the cloud as well.
TierName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
TIER_NAMES = ("device", "edge", "cloud")
LAST_TIER = TIER_NAMES[-1]
OVERALL = "overall"
Over = str  # over what a figure is taken: a tier's samples, or all


class Outcome(Frozen):
    """Of `n` samples. A tier that answered none is absent, not zero.

    A dropped sample is answered, but nobody was sure of it: it counts in the overall accuracy only.
    """

    n: int
    answered: dict[TierName, int]
    accuracy: dict[TierName, float]  # in [0, 1], over the samples that the tier answered
    overall: float | None  # accuracy over all; None of no samples
    dropped: int
    degraded: int  # of those answered: where the next tier could not be asked

    def count(self, over: Over) -> int:
        """Samples that a tier answered, or all."""
        return self.n if over == OVERALL else self.answered.get(over, 0)

    def right(self, over: Over) -> float | None:
        """Accuracy over the samples that a tier answered, or over all; None where there are none."""
        return self.overall if over == OVERALL else self.accuracy.get(over)

    @property
    def local(self) -> int:
        """Samples that were answered before the cloud."""
        return sum(count for tier, count in self.answered.items() if tier != LAST_TIER)


def outcome_of_v1(values: dict[str, Any], n: int) -> dict[str, Any]:
    """Take the fields of version 1, which knew two tiers, out of a document's values and give those of an outcome."""
    counts = {"edge": values.pop("exited_locally"), "cloud": values.pop("forwarded")}
    rights = {tier: values.pop(f"{tier}_accuracy") for tier in counts}
    return {
        "n": n,
        "answered": {tier: count for tier, count in counts.items() if count},
        "accuracy": {tier: right for tier, right in rights.items() if right is not None},
        "overall": values.pop("overall_accuracy"),
        "dropped": values.pop("dropped"),
        "degraded": values.pop("degraded", 0),
    }
