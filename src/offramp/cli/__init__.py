"""The command line: one verb a step of the pipeline. Heavy imports stand inside the verbs."""

import os
import sys
from collections.abc import Sequence

from offramp.cli.frame import app, settle_output
from offramp.errors import OfframpError

# isort: off
# In the order of the pipeline, which is the help's: a verb is known once its module is imported.
from offramp.cli import networks
from offramp.cli import boundaries
from offramp.cli import attach
from offramp.cli import bundles
from offramp.cli import measures
from offramp.cli import profiles
from offramp.cli import planning
from offramp.cli import reproduce
from offramp.cli import nodes
# isort: on

__all__ = [
    "app",
    "attach",
    "boundaries",
    "bundles",
    "main",
    "measures",
    "networks",
    "nodes",
    "planning",
    "profiles",
    "reproduce",
]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, or `arguments` as if they were; an error of ours is one message, and the exit code is 2."""
    # What grpc writes to stderr by itself stands beside the message that we raise for the same failure.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        with settle_output():
            app(arguments)
    except OfframpError as error:
        print(f"offramp: error: {error}", file=sys.stderr)
        sys.exit(2)
