"""Measure what lies between this machine and a cloud, by the cloud's own protocol: no port or server more.

The same calls go to a cloud that is started here, in turn, and what they take there is taken off: what is left is the
link. Up is told by a parameter of a request that its answer does not repeat, down by a request's name, which it does.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import Codec, tail_name
from offramp.artifacts.profile import LinkProfile
from offramp.errors import InputError, UnsteadyError
from offramp.link.shape import LinkShape
from offramp.link.shaper_process import child_link
from offramp.machine import here
from offramp.nodes.process import child_node
from offramp.nodes.settings import CloudSettings
from offramp.plan.wire import answer_bytes, request_bytes
from offramp.progress import Watch, unwatched
from offramp.protocol.credentials import Credentials
from offramp.protocol.peer import Peer
from offramp.protocol.served import Array
from offramp.protocol.tensors import write_request
from offramp.runtime.tier_spans import tail_span

ROUNDS = 40
LEAST_ROUNDS = 8
EVERY = 4  # rounds that have long messages: they take far longer
SIZES = 60_000, 1_000_000  # bytes of a long message: like features, and where those pass too fast to be timed
LONG = 0.02  # seconds that a long message should take to pass
TIMEOUT = 60.0  # seconds for a call
SURE = 3.0  # standard errors that a difference must be from nothing to be told from it
BOUND = 0.2  # standard error of a rate, as a share of it; or what makes no more than
SLACK_MS, FEATURES = 0.05, 16_384  # so many milliseconds of so many bytes
STALL = 5.0, 30.0  # distances of the quartiles, and milliseconds, that a stalled round trip is above the median
UNREPEATED = "sequence_id"  # a parameter that the protocol takes in, and does not send back

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Call:
    """A call for one sample of the smallest tail that a bundle has, made long by so many bytes on its ways."""

    bundle: Bundle
    cut: int
    codec: Codec
    features: dict[str, Array]

    @classmethod
    def of(cls, bundle: Bundle) -> "Call":
        """That of the cut and codec whose features are smallest."""
        sizes = {
            (result.bytes_per_sample, -cut.boundary, codec): (cut.boundary, codec)
            for cut in bundle.manifest.cuts
            for codec, result in cut.codecs.items()
        }
        cut, codec = sizes[min(sizes)]
        noise = tail_span(bundle.manifest.last, cut, codec).noise(bundle, 1)
        return cls(bundle, cut, codec, dict(zip(bundle.manifest.tensors(cut), noise, strict=True)))

    def ms(self, cloud: Peer, up: int = 0, *, back: bool = False) -> float:
        """Milliseconds of one call with `up` bytes more, that come back with the answer or do not."""
        start = perf_counter()
        padding = "x" * up
        request = write_request(
            tail_name(self.cut, self.codec), self.bundle.id, self.features,
            {} if back or not up else {UNREPEATED: padding}, padding if back else "",
        )  # fmt: skip
        answer = cloud.begin(request, TIMEOUT).result()
        passed = 1000 * (perf_counter() - start)
        if answer.size < up * back:
            raise InputError(f"cloud {cloud.address}: does not repeat a request's id, by which the rate down is told.")
        return passed


def profile_link(
    bundle: Bundle,
    cloud: str,
    shape: LinkShape | None = None,
    *,
    rounds: int = ROUNDS,
    credentials: Credentials | None = None,
    watch: Watch = unwatched,
) -> LinkProfile:
    """Measure the link to a cloud at HOST:PORT that serves this bundle, through a shaped one where `shape` is given.

    Raises UnsteadyError where a rate cannot be told within its bound, LinkError where the cloud does not answer.
    """
    if rounds < LEAST_ROUNDS:
        raise InputError(f"rounds {rounds}: expected at least {LEAST_ROUNDS}, so that a rate can be told.")
    call = Call.of(bundle)
    with _clouds(bundle, cloud, shape, credentials) as (far, near):
        for peer in (far, near):
            call.ms(peer)  # a first one connects
        pilot = max(call.ms(far, SIZES[0]) - call.ms(far) for _ in range(2))
        size = SIZES[0] if pilot > 1000 * LONG else SIZES[1]
        plain, up, back = (np.array(found) for found in _rounds(call, far, near, size, rounds, watch))
    rates = {"up": _rate(up - np.median(plain), size, "up"), "down": _rate(back - np.median(up), size, "down")}
    over = f" over {shape}" if shape is not None else ""
    return LinkProfile(**rates, **_round_trips(plain, call, rates), between=f"this edge and {cloud}{over}", **_now())


def _rounds(
    call: Call, far: Peer, near: Peer, size: int, rounds: int, watch: Watch
) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds that calls to `far` take more than those to `near` of the same round: plain, long up, long back."""
    plain, up, back = list[float](), list[float](), list[float]()
    for number in range(rounds):
        plain.append(call.ms(far) - call.ms(near))
        if number % EVERY == 0:
            up.append(call.ms(far, size) - call.ms(near, size))
            back.append(call.ms(far, size, back=True) - call.ms(near, size, back=True))
        watch("rounds", number + 1, rounds)
    return plain, up, back


def _rate(milliseconds: Floats, size: int, way: str) -> float | None:
    """Bits/s of so many bytes in these times; None where they are not to be told from none."""
    middle = float(np.median(milliseconds))
    first, third = np.percentile(milliseconds, (25, 75))
    error = 1.2533 * (third - first) / 1.349 / len(milliseconds) ** 0.5  # of a median, were they normal
    if middle <= SURE * error or middle <= 0:
        return None
    if error > BOUND * middle and error * FEATURES / size > SLACK_MS:
        raise UnsteadyError(
            f"link: {size} bytes {way} took {first:.3g} to {third:.3g} ms in the middle half of {len(milliseconds)} "
            f"rounds, and the rate would be wrong by more than {BOUND:.0%}. Let the link rest, or ask for more rounds "
            "(--rounds)."
        )
    return round(8000 * size / middle, 1)


def _round_trips(plain: Floats, call: Call, rates: dict[str, float | None]) -> dict[str, Any]:
    """What round trips say of the link; those of small messages, whose own time to pass is taken off."""
    first, middle, third = np.percentile(plain, (25, 50, 75))
    apart = float(third - first)
    manifest = call.bundle.manifest
    sizes = {"up": request_bytes(manifest, call.cut, call.codec), "down": answer_bytes(manifest, call.cut, call.codec)}
    passing = sum(8000 * sizes[way] / rate for way, rate in rates.items() if rate is not None)
    stalled = plain[plain > middle + max(STALL[0] * apart, STALL[1])] - middle
    return {
        "round_trip_ms": max(0.0, round(float(middle) - passing, 4)),
        "jitter_ms": round(apart, 4),
        "stalls": len(stalled),
        "longest_ms": round(float(stalled.max()), 3) if len(stalled) else 0.0,
        "loss": min(0.5, len(stalled) / len(plain) / 2),  # a small message is a packet each way
        "loss_ms": round(float(stalled.mean()), 3) if len(stalled) else 0.0,
        "round_trips": len(plain),
    }


def _now() -> dict[str, Any]:
    known = here()
    return {"date": known["date"], "commit": known["commit"]}


@contextmanager
def _clouds(
    bundle: Bundle, cloud: str, shape: LinkShape | None, credentials: Credentials | None
) -> Iterator[tuple[Peer, Peer]]:
    """Clients of the cloud at the other end, and of one that is started here."""
    with ExitStack() as started:
        via = None if shape is None else started.enter_context(child_link(shape, cloud))
        far = started.enter_context(Peer(cloud, via, credentials=credentials))
        far.wait_ready(10.0)
        near = started.enter_context(child_node(CloudSettings(bundles=(str(bundle.path),), threads=1)))
        yield far, started.enter_context(Peer(near.address()))
