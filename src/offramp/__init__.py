"""Networks with local exits, run over edge and cloud.

checkpoint = offramp.attach("resnet.onnx", data="images", out="runs/resnet")
edge = offramp.Edge("bundle", offramp.Plan.of(3, 0.3), cloud="10.0.0.5:8001")
answers = edge.infer(images)
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from offramp._version import __version__

if TYPE_CHECKING:
    from offramp.artifacts.bundle import Bundle
    from offramp.artifacts.plan import Plan
    from offramp.artifacts.pretrained import pretrained
    from offramp.attaching import attach
    from offramp.client.client import Client
    from offramp.errors import OfframpError
    from offramp.exits.answers import Answers, Tier
    from offramp.nodes.edge import Edge
    from offramp.nodes.local_cloud import LocalCloud
    from offramp.nodes.remote_cloud import RemoteCloud
    from offramp.protocol.credentials import Credentials

__all__ = [
    "Answers",
    "Bundle",
    "Client",
    "Credentials",
    "Edge",
    "LocalCloud",
    "OfframpError",
    "Plan",
    "RemoteCloud",
    "Tier",
    "__version__",
    "attach",
    "pretrained",
]

# onnxruntime since 1.32 reports its use to its maker over the network and writes an identifier into ~/.cache; a node
# does neither. It looks for this when it is first imported, so it stands before any module of ours that imports it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# Imported when first asked for: `import offramp` alone costs nothing.
_HOMES = {
    "Answers": "offramp.exits.answers",
    "Bundle": "offramp.artifacts.bundle",
    "Client": "offramp.client.client",
    "Credentials": "offramp.protocol.credentials",
    "Edge": "offramp.nodes.edge",
    "LocalCloud": "offramp.nodes.local_cloud",
    "OfframpError": "offramp.errors",
    "Plan": "offramp.artifacts.plan",
    "RemoteCloud": "offramp.nodes.remote_cloud",
    "Tier": "offramp.exits.answers",
    "attach": "offramp.attaching",
    "pretrained": "offramp.artifacts.pretrained",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'offramp' has no attribute {name!r}")
