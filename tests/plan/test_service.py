"""Service times of a replica, read off a profile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_up_profile import CALL, made_up_profile, span_ms
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.profile import NodeWork, Profile, Spread
from offramp.errors import InputError
from offramp.plan.service import Service, network
from offramp.runtime.span import SpanSpec

LAST = 9


def spread(ms: float, first: float | None = None, third: float | None = None) -> Spread:
    """A spread around a median."""
    return Spread(median=ms, first=first or ms, third=third or ms, rounds=4)


def worked(cut: int, alone: float, many: float) -> NodeWork:
    """What a cloud did."""
    return NodeWork(cut=cut, codec="fp32", alone_ms=spread(alone), many_ms=spread(many), many=16)


def tail_ms(cut: int) -> float:
    """Of the made-up device."""
    return span_ms(SpanSpec(cut, LAST, (LAST,)))


@given(st.dictionaries(st.integers(1, 64), st.floats(1e-4, 1), min_size=1, max_size=5), st.integers(1, 64))
def test_a_batch_that_was_measured_takes_what_it_took(batches: dict[int, float], size: int) -> None:
    """And one between two sizes no less than the shorter and no more than the longer."""
    found, sizes = network(batches, size), sorted(batches)
    if size in batches:
        assert found == batches[size]
    elif sizes[0] < size < sizes[-1]:
        low, high = max(s for s in sizes if s < size), min(s for s in sizes if s > size)
        ends = sorted((batches[low], batches[high]))
        assert ends[0] - 1e-9 <= found <= ends[1] + 1e-9


def test_beyond_the_largest_batch_goes_on_as_before() -> None:
    """By what a sample more took last."""
    assert network({1: 1.0, 8: 2.0, 32: 3.0}, 56) == pytest.approx(4.0)


def test_without_the_nodes_work_all_of_a_call_is_its_own(bundle: Bundle) -> None:
    """More than it was: a fleet is not promised what was not measured."""
    service = Service.of(made_up_profile(bundle), bundle.manifest, 8, "uint8")
    assert service.run(1) == pytest.approx(tail_ms(8) / 1000)
    assert service.host == pytest.approx((CALL - tail_ms(8)) / 1000)
    assert (service.wake, service.beside) == (0, 0)


def test_the_nodes_work_is_told_by_the_shortest_tail_and_its_cold_start_by_both(bundle: Bundle) -> None:
    """Half way between the tails, half way between what being idle costs there."""
    short, whole = tail_ms(8), tail_ms(0)
    work = (worked(0, alone=whole + 0.3 + 1.2, many=whole + 9), worked(8, alone=short + 0.3 + 0.4, many=short + 0.3))
    profile = made_up_profile(bundle, work=work)
    for cut, wake in ((8, 0.4), (0, 1.2), (4, 0.4 + 0.8 * (tail_ms(4) - short) / (whole - short))):
        service = Service.of(profile, bundle.manifest, cut, "fp32")
        assert service.host == pytest.approx(0.3e-3)
        assert service.wake == pytest.approx(wake / 1000)
    service = Service.of(profile, bundle.manifest, 8, "fp32")
    assert service.beside == pytest.approx((CALL - short - 0.3 - 0.4) / 1000)  # what of the call is nobody's work


def test_on_several_threads_the_processors_time_tells_nothing(bundle: Bundle) -> None:
    """Threads that wait for each other are at work as well."""
    work = (worked(0, 20, 20), worked(8, 5, 5))
    spans = [one.model_copy(update={"threads": 2}) for one in made_up_profile(bundle).spans]
    profile = made_up_profile(bundle, work=work, threads=2, spans=tuple(spans))
    service = Service.of(profile, bundle.manifest, 8, "fp32")
    assert service.host == pytest.approx((CALL - tail_ms(8)) / 1000)


def test_batches_grow_as_the_parts_behind_the_cut(bundle: Bundle) -> None:
    """Of neighbours at batch 8: those before the cut are not asked."""
    first = made_up_profile(bundle)
    eight = [
        one.model_copy(update={"batch": 8, "ms": spread(one.ms.median * (5 if one.start >= 6 else 99))})
        for one in first.spans
        if one.end == one.start + 1 and one.head == (one.end == LAST) and one.takes == "fp32" and one.gives != "uint8"
    ]
    profile = made_up_profile(bundle, spans=(*first.spans, *eight))
    service = Service.of(profile, bundle.manifest, 6, "uint8")
    assert service.run(8) == pytest.approx(5 * service.run(1))
    assert service.run(16) == pytest.approx((5 + 8 * 4 / 7) * service.run(1))


def test_how_far_a_network_varies_is_its_quartiles(bundle: Bundle) -> None:
    """As of a lognormal."""
    spans = [one.model_copy(update={"ms": spread(one.ms.median, 0.9, 1.1)}) for one in made_up_profile(bundle).spans]
    service = Service.of(made_up_profile(bundle, spans=tuple(spans)), bundle.manifest, 8, "fp32")
    assert service.spread == pytest.approx(0.2007 / 1.349, rel=1e-3)


def test_what_a_profile_lacks_is_said(bundle: Bundle) -> None:
    """A crossing, a tail; and that it is another bundle's."""
    whole = made_up_profile(bundle)
    for profile, said in (
        (made_up_profile(bundle, crossings=()), "cloud profile: it has no times at cut 3 in uint8."),
        (made_up_profile(bundle, spans=whole.spans[:1]), "cloud profile: it has no time of the tail behind cut 3 in"),
        (made_up_profile(bundle, bundle="another"), "cloud profile: it is of bundle another (mem)"),
    ):
        with pytest.raises(InputError) as caught:
            Service.of(profile, bundle.manifest, 3, "uint8")
        assert str(caught.value).startswith(said)


def test_a_profile_keeps_what_was_worked(bundle: Bundle) -> None:
    """And one without is written as before."""
    with_work = made_up_profile(bundle, work=(worked(0, 20, 20), worked(8, 5, 5)))
    assert Profile.parse(with_work.to_json(), "it") == with_work
    assert "work" not in made_up_profile(bundle).model_dump()
