"""Networks with local exits, run over edge and cloud."""

from offramp._version import __version__

__all__ = ["__version__"]
