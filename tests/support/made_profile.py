"""A profile that nobody measured: a nanosecond a multiply-add, and what nodes add, for tests of what is made of one."""

from itertools import product

from offramp.artifacts.bundle import Manifest
from offramp.artifacts.codec import Codec
from offramp.artifacts.profile import AnswerTime, CrossingTime, Profile, SpanTime, Spread

AROUND, CALL, PER_MAC = 0.8, 1.0, 1e-6  # milliseconds


def made_profile(manifest: Manifest, slower: float = 1.0) -> Profile:
    """Every span, request and crossing of a bundle, on a device so many times as slow."""
    last = manifest.last
    stages = {stage.index: stage.macs for stage in manifest.stages}
    heads = {head.exit: head.macs for head in manifest.heads}
    spans = []
    codecs: dict[int, tuple[Codec, ...]] = {cut.boundary: tuple(cut.codecs) for cut in manifest.cuts}
    for start, end in product(range(last), range(1, last + 1)):
        if start >= end:
            continue
        macs = sum(stages[k] for k in range(start + 1, end + 1))
        gives: list[Codec | None] = [None, *codecs.get(end, ())]
        for head, codec in product((True, False), gives):
            if (head and end not in heads) or (not head and codec is None):
                continue
            ms = slower * PER_MAC * (macs + (heads[end] if head else 0)) + (0.01 if codec == "uint8" else 0.0)
            spans.append(SpanTime(start=start, end=end, head=head, gives=codec, threads=1, ms=spread(ms)))
    answers = [
        AnswerTime(exit=k, way="grpc", ms=spread(slower * PER_MAC * manifest.macs(k, (k,)) + AROUND))
        for k in manifest.exits
    ]
    crossings = []
    for cut, each in codecs.items():
        call = spread(slower * PER_MAC * (manifest.macs(last) - (sum(stages[k] for k in range(1, cut + 1)))) + CALL)
        here = slower * PER_MAC * manifest.macs(cut, (cut,)) if cut else 0.0
        crossings += [
            CrossingTime(cut=cut, codec=codec, ms=spread(here + AROUND + call.median), call_ms=call) for codec in each
        ]
    return Profile(
        bundle=manifest.id, model=manifest.model, runtime="onnxruntime 1.0", precision="fp32", threads=1,
        hardware="none", cores=1, commit="none", date="2026-11-29", bound=0.3, spans=tuple(spans),
        answers=tuple(answers), crossings=tuple(crossings), another_exit_ms=0.02,
    )  # fmt: skip


def spread(ms: float) -> Spread:
    """Of one round."""
    return Spread(median=ms, first=ms, third=ms, rounds=1)
