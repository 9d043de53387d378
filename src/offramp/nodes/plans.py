"""The plans of an edge's networks as documents: what each follows now, and another in its place until the next reload.

Takes and gives JSON. Knows neither HTTP nor who may.
"""

from offramp.artifacts.plan import Plan
from offramp.errors import ArtifactError, InputError, UnknownModelError
from offramp.nodes.edge_networks import EdgeNetworks
from offramp.nodes.ways import Network


class Plans:
    """Those of the networks by which an edge answers now, by the ids of their bundles. Safe to call from any thread."""

    def __init__(self, networks: EdgeNetworks) -> None:
        self.networks = networks

    def told(self, version: str) -> str:
        """The document of the plan that a network follows; UnknownModelError where it is not here."""
        return self._network(version).edge.plan.to_json()

    def change(self, version: str, document: bytes, by: str) -> str:
        """Have a network follow the plan of a document, as a reload does, and give the one in force.

        Raises an OfframpError, and changes nothing, where the document is none or cannot be followed.
        """
        network = self._network(version)
        try:
            plan = Plan.parse(document, "plan")
        except ArtifactError as error:  # it is no file of the node's, but what somebody has sent
            raise InputError(str(error)) from error
        return self.networks.change(network, plan, by).to_json()

    def _network(self, version: str) -> Network:
        now = self.networks.generations.now
        if version in now:
            return now[version]
        if not version and len(now) == 1:
            return next(iter(now.values()))
        here = ", ".join(f"/plan/{one} ({network.edge.bundle.manifest.model})" for one, network in now.items())
        if not version:
            raise InputError(f"plan: this edge has {len(now)} networks, each with a plan. Name the one: {here}.")
        raise UnknownModelError(f"plan: no bundle {version!r} answers here now. There is {here}.")
