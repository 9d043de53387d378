"""What is measured on the way to a choice, and what is promised of plans that an edge switches between."""

from dataclasses import dataclass

import pytest

from offramp.artifacts.manifest import Manifest
from offramp.artifacts.plan import Part
from offramp.artifacts.predictions import Predictions
from offramp.errors import InputError
from offramp.plan.choose import Extent, Wanted, choose
from offramp.plan.inputs import Samples
from offramp.plan.links import over_links
from offramp.plan.pricing import Prices
from offramp.plan.promised import promised_each
from offramp.plan.table import Crossing
from on_paper import ByHand, drawn

SPLITS = ("validation", "calibration")


@dataclass(frozen=True)
class Weak(ByHand):
    """An edge that can do anything but finish, on a thin link: the fewest bytes are the fastest."""

    a_byte: float = 1e-3

    def local(self, part: Part) -> float:
        return 10.0


@pytest.mark.parametrize("lossy", [True, False])
def test_a_crossing_that_might_be_the_choice_is_measured_and_no_other(
    paper: Manifest, samples: Predictions, lossy: bool
) -> None:
    """The smallest is uint8 at 4. If it loses too much it is not taken; the next ones are then tried."""
    asked: list[Crossing] = []

    def measure(crossing: Crossing) -> Predictions:
        asked.append(crossing)
        header = samples.header.model_copy(update={"cut": crossing.cut, "codec": crossing.codec})
        end = -samples.logits[5] if lossy else samples.logits[5]
        return Predictions(header, samples.index, samples.labels, {**samples.logits, 5: end})

    prices = Prices(paper, Weak(), {})
    found = choose(Samples(samples), prices, Wanted(max_loss=0.02), extent=Extent(measure=measure))
    assert asked[0] == Crossing(4, "uint8")
    assert found.best.crossing == Crossing(5, "fp32")  # none of these samples goes on: no cloud is needed
    crossing = found.ranked[1].crossing
    if lossy:
        assert crossing == Crossing(0, "uint8")
        assert len(asked) == len(set(asked)) < 8
    else:
        assert (crossing, asked) == (Crossing(4, "uint8"), [Crossing(4, "uint8")])
    assert all(one.crossing in found.table.ends for one in found.ranked)


def test_without_anything_that_measures_only_what_was_measured_is_a_choice(
    paper: Manifest, samples: Predictions
) -> None:
    """However small another crossing is."""
    found = choose(Samples(samples), Prices(paper, Weak(), {}), Wanted(max_loss=0.02))
    assert found.best.crossing.codec == "fp32" or found.best.crossing.cut == 0


def test_with_no_link_nothing_is_sent(paper: Manifest, samples: Predictions) -> None:
    """Even where finishing here takes seconds; and a deadline that only a cloud could meet is refused."""
    prices, alone = Prices(paper, Weak(), {}), Extent(alone=True)
    assert choose(Samples(samples), prices, Wanted(max_loss=0.02), extent=alone).best.figures.onward == 0
    with pytest.raises(InputError, match=r"^plan: nothing meets 95 % of the samples within 1 ms\. The nearest is "):
        choose(Samples(samples), prices, Wanted(deadline=0.001), extent=alone)


def test_the_plans_an_edge_switches_between_are_promised_at_once(paper: Manifest) -> None:
    """Each with its share of the doubt, no laxer than it was, and cheaper than asking the end alone where it can be."""
    chosen_on, shown_on = (Samples(drawn(paper, seed, 1500, split, 2000 * seed)) for seed, split in enumerate(SPLITS))
    wanted = Wanted(max_loss=0.05)
    found = choose(chosen_on, Prices(paper, ByHand(), {}), wanted)
    kept = over_links(found.scan, found.table, found.prices, found.goal)
    pairs = promised_each(found, wanted, kept, shown_on, 0.9, "accuracy")
    assert len(pairs) == len(kept) >= 2
    for one, plan in pairs:
        assert plan.promise is not None
        assert plan.promise.confidence == pytest.approx(1 - 0.1 / len(kept))
        assert plan == one.plan().model_copy(update={"promise": plan.promise})
        laxest = max((max(each.thresholds) for each in kept if each.crossing == one.crossing and each.exits), default=0)
        assert max(one.thresholds, default=0.0) <= laxest
    assert any(one.exits for one, _ in pairs)
