"""A device on which every part of a bundle takes a made-up time, as its profile."""

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import Codec
from offramp.artifacts.profile import AnswerTime, CrossingTime, Profile, SpanTime, Spread
from offramp.measure.spans import spans_of
from offramp.runtime.span import SpanSpec

# Milliseconds: around an answer, around one by a library, to hand a sample on, of the cloud, of an exit more.
NODE, LIBRARY, HANDED_ON, CALL, EXIT = 1.0, 0.25, 0.5, 2.0, 0.1


def span_ms(spec: SpanSpec) -> float:
    """About 1 ms a stage, less in a longer span; a fifth for a head, a tenth for an encoder."""
    stages, coded = spec.end - spec.start, spec.gives not in (None, "fp32")
    return stages - 0.01 * stages**2 + 0.2 * len(spec.exits) + 0.1 * coded


def made_up_profile(of: Bundle, **but: object) -> Profile:
    """Its profile, with fields of another value."""
    manifest = of.manifest
    alone = {k: span_ms(SpanSpec(0, k, (k,))) for k in manifest.exits}
    first = min(alone)
    answers = [AnswerTime(exit=k, way="grpc", ms=_steady(NODE + ms)) for k, ms in alone.items()]
    fields = {
        "bundle": of.id, "model": manifest.model, "runtime": "onnxruntime 1", "precision": "fp32", "threads": 1,
        "hardware": "made up", "cores": 1, "commit": "", "date": "", "bound": 0.3,
        "spans": tuple(_span(spec) for spec in spans_of(manifest)),
        "answers": (*answers, AnswerTime(exit=first, way="library", ms=_steady(LIBRARY + alone[first]))),
        "crossings": tuple(_crossing(cut.boundary, codec) for cut in manifest.cuts for codec in cut.codecs),
        "another_exit_ms": EXIT,
    }  # fmt: skip
    return Profile.model_validate(fields | but)


def _steady(ms: float) -> Spread:
    return Spread(median=ms, first=ms, third=ms, rounds=4)


def _span(spec: SpanSpec) -> SpanTime:
    head, ms = bool(spec.exits), _steady(span_ms(spec))
    return SpanTime(start=spec.start, end=spec.end, head=head, gives=spec.gives, takes=spec.takes, threads=1, ms=ms)


def _crossing(cut: int, codec: Codec) -> CrossingTime:
    span = span_ms(SpanSpec(0, cut, (cut,), codec)) if cut else 0.0
    return CrossingTime(cut=cut, codec=codec, ms=_steady(NODE + HANDED_ON + CALL + span), call_ms=_steady(CALL))
