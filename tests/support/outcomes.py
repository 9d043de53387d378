"""Outcomes and latencies of an edge and a cloud, from counts and shares alone: a tier that answered none is absent."""

from offramp.artifacts.measurement import Latencies, Latency
from offramp.artifacts.outcome import Outcome


def outcome_of(edge: int, cloud: int, dropped: int, rights: tuple[float, float, float]) -> Outcome:
    answered = {tier: count for tier, count in (("edge", edge), ("cloud", cloud)) if count}
    accuracy = {tier: right for tier, right in zip(("edge", "cloud"), rights, strict=False) if tier in answered}
    return Outcome.model_validate(
        {"n": edge + cloud + dropped, "answered": answered, "accuracy": accuracy, "overall": rights[2],
         "dropped": dropped, "degraded": 0}
    )  # fmt: skip


def latencies_of(exited: int, forwarded: int, edge: float, cloud: float, overall: float) -> Latencies:
    latencies: Latencies = {"overall": latency_of(overall)}
    if exited:
        latencies["edge"] = latency_of(edge)
    if forwarded:
        latencies["cloud"] = latency_of(cloud)
    return latencies


def latency_of(p50: float) -> Latency:
    return Latency(mean=round(p50 + 0.5, 4), p50=round(p50, 4), p95=round(p50 + 1, 4), p99=round(p50 + 2, 4))
