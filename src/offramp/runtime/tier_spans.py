"""Which spans of a network a plan means: those of a tier, and the tail behind the last one.

One place, for nodes and for what predicts them. Below fp32 it matters where a span ends: a tensor that leaves a span is
rounded otherwise than one inside it, so the same network cut elsewhere is another network.
"""

from offramp.artifacts.codec import Codec
from offramp.artifacts.plan import Part
from offramp.runtime.span import SpanSpec


def tier_spans(
    part: Part, last: int, start: int = 0, takes: Codec | None = None
) -> tuple[list[SpanSpec], SpanSpec | None, bool]:
    """The spans between active exits, each giving its features as the next step wants them, and the one behind.

    A tier's input stands at boundary `start` in codec `takes`; None: it is images. The last value says whether what
    goes on is the input as it came: the cut lies before the exits.
    """
    exits: list[SpanSpec] = []
    at, codec = start, takes or "fp32"
    for active in part.active:
        more = active is not part.active[-1] or part.cut > active.exit
        gives: Codec | None = "fp32" if more else part.codec if part.cut == active.exit else None
        exits.append(SpanSpec(at, active.exit, (active.exit,), gives if active.exit != last else None, codec))
        at, codec = active.exit, "fp32"
    back = part.cut < at
    if back:
        at, codec = start, takes or "fp32"
    if part.cut == last:
        return exits, None if at == last else SpanSpec(at, last, (last,), None, codec), back
    # Features that came in one codec and go on as they are in another are translated by an empty span.
    if part.cut > at or ((back or not exits) and takes not in (None, part.codec)):
        return exits, SpanSpec(at, part.cut, (), part.codec, codec), back
    return exits, None, back


def tail_span(last: int, boundary: int, codec: Codec) -> SpanSpec:
    """What a cloud runs of a network of `last` stages on what crossed a boundary in a codec."""
    return SpanSpec(boundary, last, (last,), takes=codec)
