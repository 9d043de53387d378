"""The command line: one verb a step of the pipeline. Heavy imports stand inside the verbs."""

import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from importlib import import_module

from offramp.cli.frame import app, settle_output
from offramp.errors import OfframpError
from offramp.nodes.starting import starting

__all__ = ["app", "learn", "main"]

# In the order of the pipeline, which is the help's: a verb is known once its module is imported.
VERBS = (
    "networks", "boundaries", "attach", "bundles", "measures", "profiles", "planning", "fleet", "reproduce", "links",
    "nodes", "aggregators", "views",
)  # fmt: skip


def learn(modules: Iterable[str] = VERBS) -> None:
    """Have the program know the verbs of some modules."""
    for name in modules:
        import_module(f"offramp.cli.{name}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, or `arguments` as if they were; an error of ours is one message, and the exit code is 2."""
    # What grpc writes to stderr by itself stands beside the message that we raise for the same failure.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    asked = sys.argv[1:] if arguments is None else [*arguments]
    serving = asked[:1] == ["serve"]
    try:
        with starting() if serving else nullcontext(), settle_output():
            # Of a node every module is memory at rest, and time until it is ready: of the verbs it knows its own.
            learn(("nodes", "aggregators") if serving else VERBS)
            app(arguments)
    except OfframpError as error:
        print(f"offramp: error: {error}", file=sys.stderr)
        sys.exit(2)
