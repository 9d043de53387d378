"""What one sample costs by a plan's part, by the profiles of an edge, a cloud and the link between them.

Takes profiles, gives seconds and bytes of every way that a sample can go. Knows neither how many go which way nor what
their answers are worth; the words for that are `plan.search`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any, Self

from offramp.artifacts.codec import Codec
from offramp.artifacts.engine import Precision
from offramp.artifacts.manifest import Manifest
from offramp.artifacts.plan import Part
from offramp.artifacts.profile import LinkProfile, Profile, SpanTime, Way, check_fits
from offramp.errors import InputError
from offramp.plan.wire import answer_bytes, request_bytes
from offramp.runtime.span import SpanSpec
from offramp.runtime.tier_spans import tier_spans

Came = tuple[int, Codec | None]  # the boundary and the codec in which a tier's samples come; no codec: as images
IMAGES: Came = (0, None)
PERIOD = 0.01  # seconds that an edge's share of a core is of: what it does not use in one is not kept for the next
PACKET = 1448  # bytes of data in one TCP segment over Ethernet
# Bytes that HTTP/2 and gRPC put around a message, one way, on a connection that is in use: they pass the link as well,
# and no node counts them. Counted between an edge's client and a cloud: 60 to 61 up, 66 to 67 down.
AROUND = 64


@dataclass(frozen=True)
class Costs:
    """Seconds and bytes of one sample at batch 1 on one edge, link and cloud, by where it is answered.

    Whole requests were measured for one active exit and for each cut; of other parts, the spans that they run instead
    are put in the place of those. Less than its spans nothing takes, however the noise of a profile fell. All seconds
    are means of a client that sends one sample after another.
    """

    manifest: Manifest
    spans: dict[SpanSpec, float]
    answers: dict[int, float]  # of a whole request, by the one exit that answers it
    crossings: dict[tuple[int, Codec], float]  # of one that goes on there, without the cloud's call
    calls: dict[tuple[int, Codec], float]  # of the cloud, as its own profile has them
    waits: dict[tuple[int, Codec], float]  # that the edge waited for its cloud where the crossings were measured
    link: LinkProfile
    another_exit: float = 0.0
    share: float | None = None  # of a core that the edge is held to
    priced: dict[tuple[Part, Came], tuple[float, ...]] = field(default_factory=dict, compare=False, repr=False)
    # Bytes up and down by cut and codec: a manifest's id, which they hold, takes longer to make than all else here.
    sizes: dict[tuple[int, Codec], tuple[int, int]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        edge: Profile,
        link: LinkProfile,
        cloud: Profile | None = None,
        *,
        way: Way = "grpc",
        precision: Precision | None = None,
    ) -> Self:
        """Costs of a bundle between an edge and a cloud, who may be the same device; `way` is how clients ask.

        Raises InputError where a profile is of another bundle, the edge's is not in `precision`, or it has no times of
        requests that came that way.
        """
        beyond = check_fits(edge, manifest.id, "edge profile")
        if cloud is not None:
            beyond = check_fits(cloud, manifest.id, "cloud profile")
        if precision not in (None, edge.precision):
            raise InputError(
                f"edge profile: it is of {edge.runtime} {edge.precision}, and the predictions are in {precision}. "
                f"Measure that: offramp profile BUNDLE --precision {precision}"
            )
        by = {
            asked: {one.exit: _seconds(one.ms.median) for one in edge.answers if one.way == asked}
            for asked in (way, "grpc")
        }
        if not (by[way] and by["grpc"]):
            raise InputError(f"edge profile: it has no requests by {way}. Measure them: offramp profile BUNDLE")
        first = min(by[way])
        beside = by[way][first] - by["grpc"][first]  # what the way in adds to gRPC's, whatever is answered
        timed = [one for one in edge.spans if one.batch == 1 and one.threads == edge.threads]
        spans = {_spec(one): _seconds(one.ms.median) for one in timed}
        return cls(
            manifest=manifest,
            spans=spans,
            answers={k: seconds + beside for k, seconds in _evened(by["grpc"], spans, manifest.last).items()},
            crossings={
                (one.cut, one.codec): _seconds(one.ms.median - one.call_ms.median) + beside for one in edge.crossings
            },
            calls={(one.cut, one.codec): _seconds(one.call_ms.median) for one in beyond.crossings},
            waits={(one.cut, one.codec): _seconds(one.call_ms.median) for one in edge.crossings},
            link=link,
            another_exit=_seconds(edge.another_exit_ms),
            share=edge.share,
        )

    def exits(self, part: Part, came: Came = IMAGES) -> tuple[float, ...]:
        """Seconds at the edge until a sample has left at each active exit of a part, in their order.

        The heads before it and the node's own work are included.
        """
        key = part, came
        if key not in self.priced:
            steps, _, _ = tier_spans(part, self.manifest.last, *came)
            times, passed = [], 0.0
            for position, step in enumerate(steps):
                passed += self.span(step)
                alone = self._answer(step.end) - self.span(_alone(step.end, self.manifest.last))
                times.append(max(passed, alone + passed + position * self.another_exit))
            self.priced[key] = tuple(times)
        return self.priced[key]

    def local(self, part: Part, came: Came = IMAGES) -> float:
        """Seconds of a sample that leaves at no active exit, at a part that runs to the network's end."""
        last = self.manifest.last
        if part.cut != last:
            raise InputError(f"cut {part.cut}: a sample that leaves nowhere goes on from there. Ask what that costs.")
        steps, rest, _ = tier_spans(part, last, *came)
        if rest is None:  # the last exit is an active one, and all leave there
            return self.exits(part, came)[-1]
        around = self._answer(last) - self.span(_alone(last, last)) + len(steps) * self.another_exit
        return max(around, 0.0) + sum(map(self.span, [*steps, rest]))

    def edge(self, part: Part, came: Came = IMAGES, waits: float | None = None) -> float:
        """Edge seconds of a sample that goes on: spans, heads, encoding, what nodes do around them, and the way back.

        Where the edge is held to a share of a core, what it may use again while it `waits` for what is behind it, the
        way and the cloud where nothing is said, is taken off.
        """
        steps, rest, _ = tier_spans(part, self.manifest.last, *came)
        where = part.cut, part.codec
        reference = [SpanSpec(0, part.cut, (part.cut,), part.codec)] if part.cut else []
        more = len(steps) - len(reference)
        run = [*steps] if rest is None else [*steps, rest]
        around = _found(self.crossings, where, "edge profile") - sum(map(self.span, reference))
        seconds = max(around + more * self.another_exit, 0.0) + sum(map(self.span, run))
        if self.share is None or self.share == 1:
            return seconds
        # Held back or not, so much of its time was on the processor at most: less it does not become by any wait.
        used = min(seconds, self.share * (seconds + min(self.waits[where], PERIOD)))
        waits = self.way(part) + self.cloud(part) if waits is None else waits
        return max(used, seconds - min(waits, PERIOD) + min(self.waits[where], PERIOD))

    def cloud(self, part: Part) -> float:
        """Cloud seconds of a sample that goes on: a call of its tail as a client beside it sees it."""
        return _found(self.calls, (part.cut, part.codec), "cloud profile")

    def way(self, part: Part) -> float:
        """Seconds on the link, there and back; infinite where a rate is 0."""
        return self.passing(self.bytes_up(part), self.bytes_down(part))

    def passing(self, up: int, down: int) -> float:
        """Seconds on the link of messages of so many bytes, there and back."""
        link, up, down = self.link, up + AROUND, down + AROUND
        passing = sum(8 * size / rate for size, rate in ((up, link.up), (down, link.down)) if rate is not None)
        packets = -(-up // PACKET) + -(-down // PACKET)
        return passing + _seconds(link.round_trip_ms + packets * link.loss * link.loss_ms)

    def onward(self, part: Part) -> float:
        """Whole seconds of a sample that goes on: edge, link and cloud."""
        return self.edge(part) + self.way(part) + self.cloud(part)

    def bytes_up(self, part: Part) -> int:
        """Bytes of the message that one sample goes on in, as the edge counts them (`bytes_to_cloud`)."""
        return self._bytes(part)[0]

    def bytes_down(self, part: Part) -> int:
        """Bytes of the message that comes back."""
        return self._bytes(part)[1]

    def span(self, spec: SpanSpec) -> float:
        """Seconds of a span; InputError where the profile does not have it."""
        if (found := self.spans.get(spec)) is not None:
            return found
        if spec.start == spec.end:  # of a tier that only puts one codec in the place of another
            return self._decoding(spec.start, spec.takes) + self._encoding(spec.end, spec.gives)
        if spec.takes != "fp32":  # timed in front of a tail alone
            return self._decoding(spec.start, spec.takes) + self.span(replace(spec, takes="fp32"))
        if spec.gives is None and spec.end != self.manifest.last:
            # What is given and not wanted takes no time to speak of.
            return self.span(SpanSpec(spec.start, spec.end, spec.exits, "fp32", spec.takes))
        if spec.gives not in (None, "fp32") and spec != SpanSpec(0, spec.end, (spec.end,), spec.gives):
            return self.span(replace(spec, gives="fp32")) + self._encoding(spec.end, spec.gives)
        raise InputError(
            f"edge profile: it has no time of span [{spec.start}, {spec.end}) with exits {list(spec.exits)} that gives "
            f"{spec.gives}. Measure again, with this program: offramp profile BUNDLE"
        )

    def _encoding(self, boundary: int, codec: Codec | None) -> float:
        """Seconds of an encoder, as it was timed behind the whole of what leads to its boundary."""
        if codec in (None, "fp32") or not boundary:
            return 0.0
        coded, plain = (SpanSpec(0, boundary, (boundary,), gives) for gives in (codec, "fp32"))
        return max(0.0, self.span(coded) - self.span(plain))

    def _decoding(self, boundary: int, codec: Codec) -> float:
        """Seconds of a decoder, as it was timed in front of a tail."""
        if codec == "fp32":
            return 0.0
        last = self.manifest.last
        coded, plain = (SpanSpec(boundary, last, (last,), takes=takes) for takes in (codec, "fp32"))
        return max(0.0, _found(self.spans, coded, "edge profile") - self.span(plain))

    def _bytes(self, part: Part) -> tuple[int, int]:
        crossing = part.cut, part.codec
        if crossing not in self.sizes:
            self.sizes[crossing] = request_bytes(self.manifest, *crossing), answer_bytes(self.manifest, *crossing)
        return self.sizes[crossing]

    def _answer(self, exit_: int) -> float:
        return _found(self.answers, exit_, "edge profile")


def _evened(answers: Mapping[int, float], spans: Mapping[SpanSpec, float], last: int) -> dict[int, float]:
    """Whole requests by exit, what is done around their spans taken to be the same at each: the median of all.

    It is larger than the spans of a fast device and varies more, and who chooses among exits would choose what was
    lucky. An exit whose span was not timed keeps its own.
    """
    alone = {exit_: spans.get(_alone(exit_, last)) for exit_ in answers}
    around = [seconds - span for exit_, seconds in answers.items() if (span := alone[exit_]) is not None]
    even = median(around) if around else 0.0
    return {k: seconds if (span := alone[k]) is None else even + span for k, seconds in answers.items()}


def _alone(exit_: int, last: int) -> SpanSpec:
    """What an edge runs whose one active exit this is, where it was measured."""
    return SpanSpec(0, exit_, (exit_,), None if exit_ == last else "fp32")


def _spec(one: SpanTime) -> SpanSpec:
    return SpanSpec(one.start, one.end, (one.end,) if one.head else (), one.gives, one.takes)


def _seconds(milliseconds: float) -> float:
    return milliseconds / 1000


def _found(times: Mapping[Any, float], what: object, where: str) -> float:
    """A time that a profile has; InputError where it has none."""
    if what not in times:
        raise InputError(
            f"{where}: it has no times at {what}. Measure again, with this program: offramp profile BUNDLE"
        )
    return times[what]
