"""What a tier between costs: features that come in a codec, bytes of its messages, a device on a part of a core."""

from dataclasses import fields, replace

import numpy as np
import pytest

from made_up_profile import CALL, EXIT, HANDED_ON, NODE, made_up_profile, span_ms
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Part, Plan
from offramp.artifacts.profile import LinkProfile
from offramp.artifacts.views import ViewsFolder
from offramp.exits.answers import Answers
from offramp.link.shape import LinkShape
from offramp.nodes.contract import classifier_name
from offramp.plan.chain_path import ChainPrices, Shape
from offramp.plan.cost import Costs
from offramp.plan.table import Crossing
from offramp.plan.wire import tier_answer_bytes, tier_request_bytes
from offramp.protocol.tensors import write_request, write_response
from offramp.runtime.span import SpanSpec
from offramp.runtime.tier_spans import tail_span


def costs(bundle: Bundle, link: str, **but: object) -> Costs:
    profile = made_up_profile(bundle, **but)
    return Costs.of(bundle.manifest, profile, LinkProfile.stated(LinkShape.parse(link)), profile)


def part(exits: list[int], cut: int, codec: str = "fp32") -> Part:
    return Plan.checked(active=[{"exit": k, "threshold": 0.3} for k in exits], cut=cut, codec=codec).first


def test_a_tier_between_runs_from_where_features_come(bundle: Bundle) -> None:
    """Its spans begin there, behind the decoder, which is what a tail takes longer behind it."""
    found, last = costs(bundle, "wifi"), bundle.manifest.last
    came = (2, "uint8")
    decoder = span_ms(tail_span(last, 2, "uint8")) - span_ms(SpanSpec(2, last, (last,)))
    (seconds,) = found.exits(part([4], 6), came)
    assert seconds * 1000 == pytest.approx(NODE + span_ms(SpanSpec(2, 4, (4,))) + max(0.0, decoder))
    local = NODE + span_ms(SpanSpec(2, 4, (4,))) + span_ms(SpanSpec(4, last, (last,))) + EXIT
    assert found.local(part([4], last), came) * 1000 == pytest.approx(local + max(0.0, decoder))
    relay = found.edge(part([], 2, "uint8"), came) * 1000
    # What goes on as it came runs nothing: the head at the cut, which was timed there, is taken off with its exit.
    assert relay == pytest.approx(max(0.0, NODE + HANDED_ON - EXIT))


def test_a_sample_s_whole_way_is_the_sum_of_its_hops(bundle: Bundle) -> None:
    """Device, link, edge, link, cloud; and back."""
    prices = ChainPrices(bundle.manifest, costs(bundle, "wifi"), costs(bundle, "lte"))
    first, second = Crossing(2, "fp32"), Crossing(5, "uint8")
    path = prices.path(Shape((2,), first, (4,), second))
    device, edge = part([2], 2), part([4], 5, "uint8")
    up, back = tier_request_bytes(bundle.manifest, 2, "fp32"), prices.edge.bytes_up(edge)
    near = [
        prices.device.passing(up, tier_answer_bytes(bundle.manifest, tier, "cloud", sent))
        for tier, sent in (("edge", 0), ("cloud", back))
    ]
    (leaves,) = prices.edge.exits(edge, (2, "fp32"))
    on = prices.edge.edge(edge, (2, "fp32"))
    own = prices.device.edge(device)
    assert path.seconds[0] == prices.device.exits(device)[0]
    assert path.seconds[1] == pytest.approx(own + near[0] + leaves)
    assert path.seconds[2] == pytest.approx(own + near[1] + on + prices.edge.way(edge) + CALL / 1000)
    assert (path.first, path.second) == ((0, up, up), (0, 0, back))
    assert path.places == (0, 1, 2)


def test_a_device_on_a_part_of_a_core_rests_while_it_waits(bundle: Bundle) -> None:
    """The longer it waits the less of its own time it takes, as at an edge; on a whole core it is all the same."""
    whole, part_of_it = costs(bundle, "wifi"), costs(bundle, "wifi", share=0.25)
    on = part([2], 4)
    assert whole.edge(on, waits=0.0) == whole.edge(on, waits=1.0)
    assert part_of_it.edge(on, waits=1.0) < part_of_it.edge(on, waits=0.0)
    prices = ChainPrices(bundle.manifest, part_of_it, whole)
    path = prices.path(Shape((2,), Crossing(4, "fp32"), (5,), Crossing(6, "fp32")))
    assert path.device[1] >= path.device[2] > 0


def test_messages_of_a_tier_between_are_counted_to_the_byte(bundle: Bundle) -> None:
    """What goes to it, when it knows the plan, and what comes back."""
    manifest = bundle.manifest
    for cut, codec, kind in ((2, "uint8", np.uint8), (0, "uint8", np.uint8), (4, "fp32", np.float32)):
        tensors = {name: np.zeros((1, *shape), kind) for name, shape in manifest.tensors(cut).items()}
        name = classifier_name(cut, codec)  # type: ignore[arg-type]
        request = write_request(name, manifest.id, tensors)
        request.parameters["follows"].string_param = "f" * 16
        assert request.ByteSize() == tier_request_bytes(manifest, cut, codec)  # type: ignore[arg-type]
    rows = np.zeros(1, np.int64)
    values = {"probabilities": np.zeros((1, 10), np.float32), "label": rows, "exit": rows, "row": rows}
    values |= {"score": np.zeros(1, np.float32), "degraded": np.zeros(1, bool), "dropped": np.zeros(1, bool)}
    values |= {"tier": np.array([b"edge"], object)}
    assert {one.name for one in fields(Answers)} < values.keys()
    answer = write_response("classifier-9", manifest.id, values, {"bytes_to_cloud": 300}, "")
    assert answer.ByteSize() == tier_answer_bytes(manifest, "edge", "cloud", 300)


def test_bits_to_a_tier_between_are_counted_as_they_travel(views: ViewsFolder) -> None:
    """Eight values to a byte."""
    manifest = next(iter(views.devices.values())).manifest
    (form, shape) = manifest.crossing(1, "1bit")["features_1"]
    request = write_request("classifier-1-1bit", manifest.id, {"features_1": np.zeros((1, *shape), np.uint8)})
    request.parameters["follows"].string_param = "f" * 16
    assert (form, request.ByteSize()) == ("1bit", tier_request_bytes(manifest, 1, "1bit"))


def test_seconds_of_a_hop_grow_with_what_crosses(bundle: Bundle) -> None:
    """By the link behind the tier that sends it."""
    near = costs(bundle, "1mbit,10ms")
    assert near.passing(2000, 100) - near.passing(1000, 100) == pytest.approx(8000 / 1e6)
    assert replace(near, link=LinkProfile(between="none")).passing(2000, 100) == 0
