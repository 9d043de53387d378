"""`offramp plan --verify`: the choice, and the baselines that nodes can run, are run here, beside what is predicted."""

from typing import TYPE_CHECKING

from rich.table import Table

from offramp.cli.planning_asked import Given
from offramp.cli.planning_inputs import source_of
from offramp.cli.planning_market import NO_LINK, edge_profile
from offramp.errors import InputError
from offramp.progress import waiting

if TYPE_CHECKING:
    from offramp.link.shape import LinkShape
    from offramp.measure.crossings import Crossings
    from offramp.report.plan_words import Outcome

ROUNDS = 10


def shape_to_run(link: str | None) -> "LinkShape":
    """The link that plans are run over; InputError where it was measured elsewhere, or not named."""
    from offramp.link.shape import LinkShape

    if link is None or link.endswith(".json"):
        raise InputError(
            f"verify: {link} was measured, and here plans are run over a link that is named. Say its shape: --link "
            "15mbit/30mbit,1ms"
        )
    return LinkShape() if link == NO_LINK else LinkShape.parse(link)


def verified(given: Given, outcome: "Outcome", source: "Crossings | None") -> Table:
    """Start nodes on this machine, measure each plan by turns with all that prices it, and say how far it was off.

    Runs the images of the split that was chosen on, from `source` where that has read them already; on the engine, the
    threads and the share of a core of the profile.
    """
    from offramp.artifacts.bundle import Bundle
    from offramp.bench.device import Wanted
    from offramp.bench.verified import verified_table
    from offramp.bench.verify import EACH, verify

    shape, bundle, edge = shape_to_run(given.link), Bundle.open(given.bundle), edge_profile(given)
    wanted = Wanted(edge.on, edge.precision, edge.threads, edge.share, rounds=ROUNDS, batches=(1,), requests=EACH)
    chosen = outcome.chosen
    runnable = [(row.candidate, row.name) for row in outcome.rows if row.candidate and not row.candidate.crossing.other]
    names = {candidate.plan(chosen.score): name for candidate, name in runnable}
    if not outcome.deployed.crossing.other:
        names[outcome.plan] = "the choice"
    with waiting() as watching:
        images = (source or source_of(bundle, edge, given, watching.at)).splits.part(chosen.samples.split)
        found = verify(bundle, list(names), images, shape, wanted, watch=watching.at)
    return verified_table(found.rows, f"predicted and measured here, {shape}", names)
