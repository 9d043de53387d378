"""What a service manager is told of a node: systemd's notifications, a datagram to the socket that it names.

Source: sd_notify(3). Nothing is told where nobody asked for it.
"""

import logging
import os
import socket

SOCKET = "NOTIFY_SOCKET"  # the environment's word for where; an @ stands for the zero byte of an abstract address
PATIENCE = 1.0  # seconds for a manager that does not read

log = logging.getLogger("offramp")


def tell(*assignments: str) -> None:
    """Tell it so: `READY=1`, `STOPPING=1`, `STATUS=…`. One that does not listen is mentioned in the log, no more."""
    address = os.environ.get(SOCKET)
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
            to.settimeout(PATIENCE)
            to.sendto("\n".join(assignments).encode(), "\0" + address[1:] if address.startswith("@") else address)
    except OSError as error:
        log.warning("the service manager at %s=%s was not told %s: %s", SOCKET, address, assignments[0], error)


def say_ready(line: str) -> None:
    """Print the line that says that a node can answer, and tell the service manager."""
    print(line, flush=True)
    tell("READY=1", f"STATUS={line}")


def say_stopping(line: str) -> None:
    """Print that a node takes nothing more, and tell the service manager."""
    print(line, flush=True)
    tell("STOPPING=1", f"STATUS={line}")
