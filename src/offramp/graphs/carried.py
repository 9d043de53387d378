"""What must travel beside the features: values that no weight has touched and that are used on both sides of a cut.

They are taken back to where they are smallest, an attention mask of (N, 1, L, L) to the ids of (N, L) that it was made
of: what follows from them is computed again behind the cut.
"""

from collections.abc import Collection, Mapping
from math import prod

from offramp.graphs.flow import Flow, Made
from offramp.graphs.liveness import inputs_of, moments
from offramp.graphs.tensors import Seen, Shape

MOST = 2  # tensors beside the features


def carried(flow: Flow, seen: Mapping[str, Seen], needed: Collection[str]) -> tuple[dict[str, Shape], str]:
    """The smallest values from which those `needed` follow, with one sample's shapes; or why there are none."""
    if not needed:
        return {}, ""
    single: list[tuple[int, str, Shape]] = []
    for moment in moments(flow, Made.PLAIN, needed):
        if len(moment.alive) == 1 and moment.alive == moment.given:
            (name,) = moment.alive
            shape = seen[name].sample if name in seen else None
            if shape is not None:
                single.append((prod(shape), name, shape))
    if single:
        _, name, shape = min(single, key=lambda one: one[0])  # of several as small, the first
        return {name: shape}, ""
    sources = inputs_of(flow, needed)
    shapes = {name: shape for name in sources if (shape := seen[name].sample) is not None}
    if len(shapes) < len(sources) or len(sources) > MOST:
        return {}, f"{len(sources)} inputs are needed past it ({', '.join(sources)}), and {MOST} may travel beside"
    return shapes, ""
