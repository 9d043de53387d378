"""What a sample costs by a plan's part: spans in the place of others, the link's share, bytes to the last one."""

import numpy as np
import pytest

from made_up_profile import CALL, EXIT, HANDED_ON, LIBRARY, NODE, made_up_profile, span_ms
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import tail_name
from offramp.artifacts.plan import Part, Plan
from offramp.artifacts.profile import LinkProfile
from offramp.artifacts.stages import logits_name
from offramp.errors import InputError
from offramp.link.shape import LinkShape
from offramp.plan.cost import AROUND, Costs
from offramp.plan.wire import answer_bytes, request_bytes
from offramp.protocol.tensors import write_request, write_response
from offramp.runtime.span import SpanSpec
from offramp.runtime.tier_spans import tail_span


@pytest.fixture(scope="session")
def priced(bundle: Bundle) -> Costs:
    """Costs on that device, over wifi."""
    return Costs.of(bundle.manifest, made_up_profile(bundle), LinkProfile.stated(LinkShape.parse("wifi")))


def part(exits: list[int], cut: int, codec: str = "fp32") -> Part:
    """A plan's part with these exits."""
    return Plan.checked(active=[{"exit": k, "threshold": 0.3} for k in exits], cut=cut, codec=codec).first


def test_every_part_costs_what_it_runs(priced: Costs) -> None:
    """Each exit is behind the spans and heads before it; what goes on has run all of them, and the encoder."""
    by = part([2, 5], 7, "uint8")
    first, second = (value * 1000 for value in priced.exits(by))
    assert first == pytest.approx(NODE + span_ms(SpanSpec(0, 2, (2,))))
    assert second == pytest.approx(NODE + span_ms(SpanSpec(0, 2, (2,))) + span_ms(SpanSpec(2, 5, (5,))) + EXIT)
    onward = NODE + HANDED_ON + EXIT + span_ms(SpanSpec(0, 2, (2,))) + span_ms(SpanSpec(2, 5, (5,)))
    onward += span_ms(SpanSpec(5, 7, (), "uint8"))
    assert priced.edge(by) * 1000 == pytest.approx(onward)
    assert priced.cloud(by) * 1000 == CALL
    way = 2 + 8 * ((priced.bytes_up(by) + AROUND) / 15_000 + (priced.bytes_down(by) + AROUND) / 30_000)
    assert priced.onward(by) * 1000 == pytest.approx(onward + way + CALL)


def test_an_exit_that_was_lucky_when_it_was_timed_is_no_cheaper(bundle: Bundle, priced: Costs) -> None:
    """What is done around a span is the same at each exit: a profile's noise chooses none of them."""
    profile = made_up_profile(bundle)
    lucky = tuple(
        one.model_copy(update={"ms": one.ms.model_copy(update={"median": one.ms.median - 0.4 * NODE})})
        if (one.exit, one.way) == (5, "grpc")
        else one
        for one in profile.answers
    )
    link = LinkProfile.stated(LinkShape.parse("wifi"))
    costs = Costs.of(bundle.manifest, profile.model_copy(update={"answers": lucky}), link)
    for exit_ in (4, 5, 6):
        assert costs.exits(part([exit_], exit_)) == pytest.approx(priced.exits(part([exit_], exit_)))


def test_nothing_costs_less_than_its_spans(bundle: Bundle) -> None:
    """By a profile of which the noise says that what is done around them takes less than nothing."""
    profile = made_up_profile(bundle)
    quick = {
        what: tuple(one.model_copy(update={"ms": one.ms.model_copy(update={"median": 0.001})}) for one in measured)
        for what, measured in (("answers", profile.answers), ("crossings", profile.crossings))
    }
    costs = Costs.of(bundle.manifest, profile.model_copy(update=quick), LinkProfile.stated(LinkShape.parse("wifi")))
    front, rest = span_ms(SpanSpec(0, 4, (4,))), span_ms(SpanSpec(4, 9, (9,)))
    assert costs.exits(part([4], 9))[0] * 1000 == pytest.approx(front)
    assert costs.local(part([4], 9)) * 1000 == pytest.approx(front + rest)
    assert costs.edge(part([4], 7)) * 1000 == pytest.approx(front + span_ms(SpanSpec(4, 7, (), "fp32")))


def test_no_exit_and_the_image_cost_no_span_or_head(priced: Costs) -> None:
    """At cut 0 the edge sends the image: alone, or behind an exit that nobody leaves at."""
    assert priced.exits(part([], 0)) == ()
    assert priced.edge(part([], 0, "uint8")) * 1000 == pytest.approx(NODE + HANDED_ON)
    behind = NODE + HANDED_ON + EXIT + span_ms(SpanSpec(0, 3, (3,)))
    assert priced.edge(part([3], 0, "uint8")) * 1000 == pytest.approx(behind)


def test_who_leaves_nowhere_is_answered_at_the_end(priced: Costs) -> None:
    """Without a cloud the last span has the last exit; a part that is cut before it has no such sample."""
    end = NODE + EXIT + span_ms(SpanSpec(0, 4, (4,))) + span_ms(SpanSpec(4, 9, (9,)))
    assert priced.local(part([4], 9)) * 1000 == pytest.approx(end)
    assert priced.local(part([], 9)) * 1000 == pytest.approx(NODE + span_ms(SpanSpec(0, 9, (9,))))
    with pytest.raises(InputError, match="goes on from there"):
        priced.local(part([4], 4))


def test_a_library_has_no_way_in(bundle: Bundle) -> None:
    """Asked in its own process, an edge answers sooner by what the way in takes, wherever it answers."""
    link = LinkProfile.stated(LinkShape())
    costs = Costs.of(bundle.manifest, made_up_profile(bundle), link, way="library")
    assert costs.exits(part([3], 3))[0] * 1000 == pytest.approx(LIBRARY + span_ms(SpanSpec(0, 3, (3,))))
    assert costs.edge(part([], 0)) * 1000 == pytest.approx(LIBRARY + HANDED_ON)


def test_a_share_of_a_core_rests_while_the_cloud_works(bundle: Bundle) -> None:
    """Over a slow link a held edge has its next period's share by the time that the answer comes, and no more."""
    held = made_up_profile(bundle, share=0.25)
    by = part([], 0, "uint8")
    near, far, farther = (
        Costs.of(bundle.manifest, held, LinkProfile(round_trip_ms=ms, between="made up")) for ms in (0, 4, 400)
    )
    assert near.edge(by) * 1000 == pytest.approx(NODE + HANDED_ON)
    used = 0.25 * (NODE + HANDED_ON + CALL)  # of the processor, of which no wait frees it
    assert far.edge(by) == farther.edge(by) == pytest.approx(used / 1000)
    whole = Costs.of(bundle.manifest, made_up_profile(bundle, share=1.0), farther.link)
    assert whole.edge(by) == near.edge(by)  # a whole core is not held back, and has nothing to rest from


@pytest.mark.parametrize("rows", [1, 40])
def test_bytes_are_those_of_the_messages(bundle: Bundle, rows: int) -> None:
    """Request and answer take as many bytes as are counted for them, at every cut, in every codec."""
    manifest = bundle.manifest
    logits = np.zeros((rows, len(manifest.classes)), np.float32)
    for cut in manifest.cuts:
        for codec in cut.codecs:
            features = tail_span(manifest.last, cut.boundary, codec).noise(bundle, rows)
            inputs = dict(zip(manifest.tensors(cut.boundary), features, strict=True))
            inputs = {name: each.astype({"fp16": np.float16}.get(codec, each.dtype)) for name, each in inputs.items()}
            inputs = {name: each.astype(np.uint8) if codec == "uint8" else each for name, each in inputs.items()}
            name = tail_name(cut.boundary, codec)
            request = write_request(name, bundle.id, inputs)
            answer = write_response(name, bundle.id, {logits_name(manifest.last): logits}, {}, "")
            assert request_bytes(manifest, cut.boundary, codec, rows) == request.ByteSize()
            assert answer_bytes(manifest, cut.boundary, codec, rows) == answer.ByteSize()


def test_a_profile_of_something_else_is_refused(bundle: Bundle) -> None:
    """Another bundle, another precision, and a span or cut that was not measured: each says how to mend it."""
    link, right = LinkProfile.stated(LinkShape()), made_up_profile(bundle)
    with pytest.raises(InputError, match="edge profile: it is of bundle other"):
        Costs.of(bundle.manifest, made_up_profile(bundle, bundle="other"), link)
    with pytest.raises(InputError, match="cloud profile: it is of bundle other"):
        Costs.of(bundle.manifest, right, link, made_up_profile(bundle, bundle="other"))
    with pytest.raises(InputError, match="the predictions are in int8"):
        Costs.of(bundle.manifest, right, link, precision="int8")
    with pytest.raises(InputError, match="no requests by http"):
        Costs.of(bundle.manifest, right, link, way="http")
    lacking = Costs.of(bundle.manifest, made_up_profile(bundle, crossings=(), spans=right.spans[:1]), link)
    with pytest.raises(InputError, match="no times at"):
        lacking.onward(part([], 0))
    with pytest.raises(InputError, match=r"no time of span \[0, 3\)"):
        lacking.exits(part([3], 3))
