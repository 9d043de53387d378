"""The shape of a link: its rate each way, delay, jitter and loss. What `--link` takes, and what a report prints.

    LinkShape.parse("10mbit,20ms")  # or a preset's name, or what `str()` wrote
    str(LinkShape.parse("wifi"))    # wifi: 15 Mbit/s up, 30 Mbit/s down, 1 ms

Knows nothing of how a link is shaped (`link.shaper`, `link.traffic_control`).
"""

import re
from decimal import Decimal
from typing import Annotated, Self

from pydantic import Field, ValidationError

from offramp.artifacts.document import Frozen
from offramp.errors import InputError

LEAST_RATE, MOST_RATE = 1_000, 100_000_000_000  # bits/s
MOST_TIME = 10.0  # seconds of delay, and of jitter
MOST_LOSS = 0.5
RANGES = {"rate": "1 kbit/s to 100 Gbit/s", "delay": "0 to 10 s", "jitter": "0 to 10 s", "loss": "0 to 50 %"}

RATES = {"kbit": 10**3, "mbit": 10**6, "gbit": 10**9}  # bits/s
TIMES = {"us": Decimal("1e-6"), "ms": Decimal("1e-3"), "s": Decimal(1)}  # seconds
NUMBER = r"(\d+(?:\.\d+)?)"
RATE = re.compile(NUMBER + r"\s*([kmg]bit)(?:/s)?(?:\s+(up|down))?")
TIME = re.compile(r"(?:jitter\s+)?" + NUMBER + r"\s*(us|ms|s)")
LOSS = re.compile(r"(?:loss\s+)?" + NUMBER + r"\s*%")
GRAMMAR = (
    "Expected RATE,DELAY,JITTER,LOSS, each of which may be left out, like 10mbit,20ms or 5mbit/50mbit,20ms,5ms,1% "
    "(up/down), or one of {presets}."
)

Rate = Annotated[int, Field(ge=LEAST_RATE, le=MOST_RATE)]
Time = Annotated[float, Field(ge=0, le=MOST_TIME)]


class LinkShape(Frozen):
    """What a link does to bytes on their way: up is from the edge to the cloud, down is back.

    A piece of data arrives when all before it and itself have passed at the rate, and `delay` later, plus anything
    from 0 to `jitter`; `loss` of the packets come one retransmission time-out later still. Nothing overtakes.
    """

    up: Rate | None = None  # bits/s; None: as fast as the machine
    down: Rate | None = None  # bits/s
    delay: Time = 0.0  # seconds one way, the least that it takes: a round trip takes two of them
    jitter: Time = 0.0  # seconds on top of the delay, at most
    loss: Annotated[float, Field(ge=0, le=MOST_LOSS)] = 0.0  # share of the packets

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `RATE,DELAY,JITTER,LOSS`, a preset's name, or what `str()` wrote; InputError where it is none of them.

        The units tell the parts apart: kbit, mbit, gbit (per second; `5mbit/50mbit` is up/down); us, ms, s, the first
        of which is the delay and the second the jitter; and %.
        """
        name, colon, rest = text.strip().lower().rpartition(":")
        if name in PRESETS and colon:
            found = cls._parts(rest, text) if rest.strip() != "unshaped" else cls()
            if found != PRESETS[name]:
                raise InputError(f"link {text!r}: {name} is {PRESETS[name]}. Leave out the name, or the rest.")
            return found
        preset = PRESETS.get(text.strip().lower())
        return cls._parts(text.lower(), text) if preset is None else cls(**preset.model_dump())

    @classmethod
    def _parts(cls, parts: str, text: str) -> Self:
        up, down, times, loss = None, None, list[float](), None
        for part in map(str.strip, parts.split(",")):
            if (rates := _rates(part)) is not None and not times and loss is None:
                if None not in (rates[0], up) or None not in (rates[1], down):
                    raise _refusal(text, f"the rate is said twice, again in {part!r}")
                up, down = up if rates[0] is None else rates[0], down if rates[1] is None else rates[1]
            elif (time := TIME.fullmatch(part)) and len(times) < 2 and loss is None:
                times.append(float(Decimal(time[1]) * TIMES[time[2]]))
                if part.startswith("jitter") and len(times) == 1:
                    times.insert(0, 0.0)
            elif (share := LOSS.fullmatch(part)) and loss is None:
                loss = float(Decimal(share[1]) / 100)
            else:
                word = re.fullmatch(r"[a-z][\w-]*", parts)
                raise _refusal(text, "no preset of that name" if word else f"cannot read {part!r} there")
        delay, jitter = (*times, 0.0, 0.0)[:2]
        try:
            return cls(up=up, down=down, delay=delay, jitter=jitter, loss=loss or 0.0)
        except ValidationError as error:
            what = str(error.errors()[0]["loc"][0])
            what = what if what in RANGES else "rate"
            raise InputError(f"link {text!r}: the {what} is out of range. Expected {RANGES[what]}.") from error

    @property
    def unshaped(self) -> bool:
        """Whether nothing is done to what passes."""
        return self.up is self.down is None and not (self.delay or self.jitter or self.loss)

    def __str__(self) -> str:
        name = next((name for name, preset in PRESETS.items() if preset == self), None)
        rates = {"": self.up} if self.up == self.down else {" up": self.up, " down": self.down}
        said = [_rate(bits) + way for way, bits in rates.items() if bits is not None]
        said += [_time(self.delay)] if self.delay else []
        said += [f"jitter {_time(self.jitter)}"] if self.jitter else []
        said += [f"loss {_plain(Decimal(repr(self.loss)) * 100)} %"] if self.loss else []
        values = ", ".join(said) or "unshaped"
        return f"{name}: {values}" if name else values


# Rates up and down in bits/s, delay one way in seconds: half of the round trip where the source gives that.
PRESETS = {
    "loopback": LinkShape(),
    # 1000BASE-T (IEEE 802.3ab). The delay is ours: about what a ping across one switch shows, halved.
    "lan": LinkShape(up=10**9, down=10**9, delay=0.0001),
    # Firefox, Network Monitor, throttling, "Wi-Fi": 30 Mbit/s down, 15 Mbit/s up, 2 ms.
    "wifi": LinkShape(up=15_000_000, down=30_000_000, delay=0.001),
    # WebPageTest, connectivity profile "LTE": 12 Mbit/s both ways, 70 ms there and back.
    "lte": LinkShape(up=12_000_000, down=12_000_000, delay=0.035),
    # WebPageTest, connectivity profile "3G": 1.6 Mbit/s down, 768 kbit/s up, 300 ms there and back.
    "3g": LinkShape(up=768_000, down=1_600_000, delay=0.15),
    # Geostationary. Delay: RFC 2488, section 2, 279 ms from a ground station at the edge of the view to another.
    # Rates: of the subscription measured in F. Michel et al., "A first look at Starlink performance", IMC 2022.
    "satellite": LinkShape(up=10_000_000, down=100_000_000, delay=0.279),
}


def _refusal(text: str, why: str) -> InputError:
    return InputError(f"link {text!r}: {why}. " + GRAMMAR.format(presets=", ".join(PRESETS)))


def _rates(part: str) -> tuple[int | None, int | None] | None:
    """The rates up and down that a part states; None where it states none."""
    before, slash, after = part.partition("bit/")
    if slash and (both := (RATE.fullmatch(before + "bit"), RATE.fullmatch(after)))[0] and both[1]:
        return (None, None) if both[0][3] or both[1][3] else (_bits(both[0]), _bits(both[1]))
    rate = RATE.fullmatch(part)
    if rate is None:
        return None
    bits = _bits(rate)
    return (None if rate[3] == "down" else bits, None if rate[3] == "up" else bits)


def _bits(rate: re.Match[str]) -> int:
    return int(Decimal(rate[1]) * RATES[rate[2]])


def _rate(bits: int) -> str:
    unit, size = max((unit for unit in RATES.items() if unit[1] <= bits), key=lambda unit: unit[1])
    return f"{_plain(Decimal(bits) / size)} {unit.capitalize().replace('Kbit', 'kbit')}/s"


def _time(seconds: float) -> str:
    exact = Decimal(repr(seconds))
    return f"{_plain(exact)} s" if exact >= 1 else f"{_plain(exact * 1000)} ms"


def _plain(number: Decimal) -> str:
    """Every digit that matters, and no exponent."""
    return f"{number.normalize():f}"
