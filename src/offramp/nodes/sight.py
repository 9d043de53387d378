"""What there is to see of a node beside what it has counted: how an edge stands to its clouds, and its course."""

from collections.abc import Iterable

from offramp.exits.answers import tier_name
from offramp.nodes.edge import Edge
from offramp.nodes.edge_networks import EdgeNetworks
from offramp.protocol.metrics import (
    AUDIT_ALARM,
    AUDITED,
    BREAKER,
    CLOUD_SLOWER,
    COURSE,
    IN_FLIGHT,
    LINK_RATE,
    LINK_ROUND_TRIP,
    SWITCHES,
    Family,
)

STATES = ("closed", "half-open", "open")


def seen(networks: EdgeNetworks) -> Iterable[tuple[Family, tuple[str, ...], float]]:
    """An edge's own numbers, by family and labels."""
    for edge in networks.edges:
        yield IN_FLIGHT, (edge.bundle.id,), edge.room.out
        yield COURSE, _course(edge), 1.0
    if (follower := networks.steering.follower) is not None:
        version, link = follower.edge.bundle.id, follower.link
        yield SWITCHES, (version,), follower.switches
        yield LINK_RATE, (version, "up"), link.up
        yield LINK_RATE, (version, "down"), link.down
        yield LINK_ROUND_TRIP, (version,), link.round_trip_ms / 1000
        yield CLOUD_SLOWER, (version,), link.cloud_slower
    for auditor in networks.steering.auditors:
        version = auditor.edge.bundle.id
        for found, count in auditor.found():
            yield AUDITED, (version, found), count
        yield AUDIT_ALARM, (version,), float(auditor.alarmed)
    for way in networks.ways:
        now = way.watch.breaker.state
        for state in STATES:
            yield BREAKER, (way.watch.address, state), float(state == now)


def _course(edge: Edge) -> tuple[str, ...]:
    """The labels of COURSE: an edge has one for each network, by what it answers now."""
    manifest, part = edge.bundle.manifest, edge.course.part
    return (
        edge.bundle.id,
        manifest.model,
        ",".join(str(active.exit) for active in part.active),
        ",".join(f"{active.threshold:g}" for active in part.active),
        str(part.cut),
        part.codec,
        "" if part.drop_threshold is None else f"{part.drop_threshold:g}",
        tier_name(edge.tier),
    )
