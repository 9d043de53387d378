"""Whether exits at some boundaries can pay: before anything is trained, from multiply-adds alone."""

from collections.abc import Sequence

import torch

from offramp.graphs.boundary import Boundary
from offramp.models.count import module_cost
from offramp.models.heads import GraphHead, standing_on


def dear(chosen: Sequence[Boundary], macs: int, classes: int, head: GraphHead) -> list[str]:
    """What to say of each exit at which a sample that leaves has cost no less than the bare network, heads included.

    `macs` are the network's own, without heads.
    """
    passed, said = 0, []
    for exit_, boundary in enumerate(chosen, start=1):
        passed += head_macs(boundary, classes, head)
        until = boundary.macs_before + passed
        if until >= macs:
            said.append(
                f"exit {exit_} ({boundary.name}): a sample that leaves there has cost {until:,} multiply-adds, "
                f"{passed:,} of them in heads, and the network without exits {macs:,}: it saves nothing. "
                f"{'Choose' if head == 'linear' else 'Try --head linear, or choose'} fewer or earlier exits."
            )
    return said


def head_macs(boundary: Boundary, classes: int, head: GraphHead) -> int:
    """Multiply-adds of a head that stands at a boundary, for one sample."""
    shape = boundary.tensors[boundary.main]
    module = standing_on(boundary.kind, shape, classes, head).eval()
    with torch.no_grad():
        cost, _ = module_cost(module, torch.zeros(1, *shape))
    return cost.macs
