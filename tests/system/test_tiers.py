"""Three tiers measured on real processes: every answer is the evaluation's, each hop's bytes are what crosses it."""

import numpy as np

from offramp.artifacts.bundle import Bundle
from offramp.data.image_set import Splits
from offramp.paper.tiers import ALL, World, chains_of
from offramp.paper.tiers_run import measure_tiers
from offramp.plan.wire import request_bytes, tier_request_bytes

SHOWN = (ALL, "edge and cloud", "all on the device")


def test_chains_of_processes_answer_as_predicted(bundle: Bundle, digits: Splits) -> None:
    """Tiers, labels and exits; and the planner counts the same bytes."""
    plans = {name: plan for name, plan in chains_of(bundle.manifest).items() if name in SHOWN}
    world = World(near="loopback", far="loopback")
    found = measure_tiers(bundle, digits.test.rows(slice(48)), (world,), 1, plans=plans)
    assert found.differing == 0
    for chain in found.chains:
        device = chain.plan.tiers["device"]
        onward = [one for one in chain.samples if one.tier != "device"]
        assert all(one.bytes_to_edge == 0 for one in chain.samples if one.tier == "device")
        # Nobody is to answer for a tier that is lost: a parameter says so, which takes 16 bytes.
        up = tier_request_bytes(bundle.manifest, device.cut, device.codec) + 16 if onward else 0
        assert {one.bytes_to_edge for one in onward} <= {up}
        if (edge := chain.plan.tiers.get("edge")) is not None:
            sent = request_bytes(bundle.manifest, edge.cut, edge.codec)
            assert {one.bytes_to_cloud for one in onward if one.tier == "cloud"} <= {sent}
    tiers = {one.tier for chain in found.chains for one in chain.samples}
    assert tiers == {"device", "edge", "cloud"}
    assert np.isfinite([one.mean_ms for one in found.chains]).all()
