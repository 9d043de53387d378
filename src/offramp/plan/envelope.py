"""Of many plans the few that a controller needs: those that are best on some link, on any of a wide grid of links.

Takes plans with what they cost, gives some of them. Knows neither where they come from nor who follows them.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from offramp.artifacts.choices import Priced

Floats = npt.NDArray[np.float64]

RATES = np.geomspace(5e4, 1e9, 18)  # bits/s, up and down alike
ROUND_TRIPS = np.geomspace(0.2, 600, 12)  # milliseconds
SLOWER = (1.0, 3.0, 10.0)  # of the cloud
MOST = 16


def use_of(priced: Priced) -> float:
    """Bytes that a sample puts on the link in the mean."""
    return priced.onward * (priced.bytes_up + priced.bytes_down)


def envelope(plans: Sequence[Priced], within: float | None = None, most: int = MOST) -> tuple[Priced, ...]:
    """At most so many of the plans, the one that uses the link least first, at least one.

    On each link of the grid one plan is wanted: the fastest, or with `within`, in milliseconds, the most accurate whose
    mean latency is no longer. Of those wanted anywhere, the ones are left out that are missed least: by the time that
    the next best takes longer, as a share, or by the accuracy that it lacks. The one that uses the link least stays,
    and the most accurate one, for when another is found not to hold what was promised of it.
    """
    least = min(range(len(plans)), key=lambda i: (use_of(plans[i]), plans[i].edge_ms, -plans[i].accuracy))
    strictest = max(range(len(plans)), key=lambda i: (plans[i].accuracy, -use_of(plans[i]), -plans[i].edge_ms))
    price = _prices(plans, within)
    wanted = sorted({*price.argmin(axis=0).tolist(), least, strictest})
    while len(wanted) > most:
        kept = price[wanted]
        first, second = np.partition(kept, 1, axis=0)[:2]
        missed = np.where(kept == first, second - first, 0.0).sum(axis=1)
        missed[[wanted.index(least), wanted.index(strictest)]] = np.inf
        del wanted[int(missed.argmin())]
    return tuple(sorted((plans[i] for i in wanted), key=lambda one: (use_of(one), one.edge_ms)))


def _prices(plans: Sequence[Priced], within: float | None) -> Floats:
    """What each plan is worth on each link, `(plans, links)`; less is better, and a difference is a share."""
    rate, round_trip, slower = (each.ravel() for each in np.meshgrid(RATES, ROUND_TRIPS, SLOWER))
    edge, onward, size, cloud, accuracy = (
        np.array(each)[:, None]
        for each in zip(
            *((p.edge_ms, p.onward, p.bytes_up + p.bytes_down, p.cloud_ms, p.accuracy) for p in plans), strict=True
        )
    )
    times: Floats = edge + onward * (round_trip + 8000 * size / rate + slower * cloud)
    speed: Floats = np.log(np.maximum(times, 1e-6))
    if within is None:
        return speed
    late = np.maximum(speed - np.log(within), 0.0)
    prices: Floats = np.where(late > 0, 10 + late, 1e-6 * speed - accuracy)
    return prices
