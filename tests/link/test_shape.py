"""The shape of a link: what can be said, how it reads, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.errors import InputError
from offramp.link.shape import LEAST_RATE, MOST_LOSS, MOST_RATE, MOST_TIME, PRESETS, LinkShape

rates = st.none() | st.integers(LEAST_RATE, MOST_RATE)
times = st.floats(0, MOST_TIME)
shapes = st.builds(LinkShape, up=rates, down=rates, delay=times, jitter=times, loss=st.floats(0, MOST_LOSS))
EXPECTED = (
    "Expected RATE,DELAY,JITTER,LOSS, each of which may be left out, like 10mbit,20ms or 5mbit/50mbit,20ms,5ms,1% "
    "(up/down), or one of loopback, lan, wifi, lte, 3g, satellite."
)


@given(shapes | st.sampled_from(list(PRESETS.values())))
def test_what_is_printed_is_read_back_as_the_same(shape: LinkShape) -> None:
    """To the last bit."""
    assert LinkShape.parse(str(shape)) == shape


@pytest.mark.parametrize(
    ("text", "shape", "printed"),
    [
        ("10mbit,20ms", LinkShape(up=10**7, down=10**7, delay=0.02), "10 Mbit/s, 20 ms"),
        (
            "5mbit/50mbit,20ms,5ms,1%",
            LinkShape(up=5 * 10**6, down=5 * 10**7, delay=0.02, jitter=0.005, loss=0.01),
            "5 Mbit/s up, 50 Mbit/s down, 20 ms, jitter 5 ms, loss 1 %",
        ),
        ("1.5gbit", LinkShape(up=15 * 10**8, down=15 * 10**8), "1.5 Gbit/s"),
        ("64kbit up", LinkShape(up=64_000), "64 kbit/s up"),
        ("250us", LinkShape(delay=0.00025), "0.25 ms"),
        ("1.5s, jitter 10ms", LinkShape(delay=1.5, jitter=0.01), "1.5 s, jitter 10 ms"),
        ("jitter 10ms", LinkShape(jitter=0.01), "jitter 10 ms"),
        (" 0.5% ", LinkShape(loss=0.005), "loss 0.5 %"),
        ("5 Mbit/s, LOSS 2 %", LinkShape(up=5 * 10**6, down=5 * 10**6, loss=0.02), "5 Mbit/s, loss 2 %"),
        ("loopback", LinkShape(), "loopback: unshaped"),
        ("WiFi", LinkShape(up=15 * 10**6, down=30 * 10**6, delay=0.001), "wifi: 15 Mbit/s up, 30 Mbit/s down, 1 ms"),
        ("satellite", PRESETS["satellite"], "satellite: 10 Mbit/s up, 100 Mbit/s down, 279 ms"),
        ("1gbit,100us", PRESETS["lan"], "lan: 1 Gbit/s, 0.1 ms"),
    ],
)
def test_parts_are_told_apart_by_their_units(text: str, shape: LinkShape, printed: str) -> None:
    """Rate, delay, jitter, loss; what is left out does nothing."""
    assert LinkShape.parse(text) == shape
    assert str(shape) == printed


def test_only_the_loopback_is_unshaped() -> None:
    """Whatever else is said does something."""
    assert [name for name, shape in PRESETS.items() if shape.unshaped] == ["loopback"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wife", f"link 'wife': no preset of that name. {EXPECTED}"),
        ("", f"link '': cannot read '' there. {EXPECTED}"),
        ("10", f"link '10': cannot read '10' there. {EXPECTED}"),
        ("10mbit,", f"link '10mbit,': cannot read '' there. {EXPECTED}"),
        ("20ms,10mbit", f"link '20ms,10mbit': cannot read '10mbit' there. {EXPECTED}"),
        ("1%,20ms", f"link '1%,20ms': cannot read '20ms' there. {EXPECTED}"),
        ("1ms,2ms,3ms", f"link '1ms,2ms,3ms': cannot read '3ms' there. {EXPECTED}"),
        ("-5ms", f"link '-5ms': cannot read '-5ms' there. {EXPECTED}"),
        ("10mbit,5mbit", f"link '10mbit,5mbit': the rate is said twice, again in '5mbit'. {EXPECTED}"),
        ("10mbit up/5mbit", f"link '10mbit up/5mbit': cannot read '10mbit up/5mbit' there. {EXPECTED}"),
        ("0mbit", "link '0mbit': the rate is out of range. Expected 1 kbit/s to 100 Gbit/s."),
        ("1gbit/101gbit", "link '1gbit/101gbit': the rate is out of range. Expected 1 kbit/s to 100 Gbit/s."),
        ("11s", "link '11s': the delay is out of range. Expected 0 to 10 s."),
        ("1s,11s", "link '1s,11s': the jitter is out of range. Expected 0 to 10 s."),
        ("51%", "link '51%': the loss is out of range. Expected 0 to 50 %."),
        (
            "wifi: 1mbit",
            "link 'wifi: 1mbit': wifi is wifi: 15 Mbit/s up, 30 Mbit/s down, 1 ms. Leave out the name, or the rest.",
        ),
    ],
)
def test_what_is_no_shape_is_refused(text: str, message: str) -> None:
    """With what was not understood, and what would be."""
    with pytest.raises(InputError) as caught:
        LinkShape.parse(text)
    assert str(caught.value) == message
