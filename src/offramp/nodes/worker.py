"""One worker of a cloud that shares its port with others: `python -m offramp.nodes.worker SETTINGS`.

Stops on SIGTERM, and when its input ends, which is when the node that started it has gone.
"""

import os
import signal
import sys
import threading

from offramp.errors import OfframpError
from offramp.nodes.process import CloudSettings, serve_worker


def main() -> None:
    """Serve by the settings in the first argument."""
    threading.Thread(target=_stop_with_the_node, name="lifeline", daemon=True).start()
    try:
        serve_worker(CloudSettings.from_json(sys.argv[1]))
    except OfframpError as error:
        print(f"offramp: error: {error}", file=sys.stderr)
        sys.exit(2)


def _stop_with_the_node() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
