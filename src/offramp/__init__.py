"""Networks with local exits, run over edge and cloud."""

import os

from offramp._version import __version__

# onnxruntime since 1.32 reports its use to its maker over the network and writes an identifier into ~/.cache; a node
# does neither. It looks for this when it is first imported, so it stands before any module of ours that imports it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = ["__version__"]
