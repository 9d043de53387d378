"""A node as several processes that share its ports and count in one memory: the kernel gives each connection to one."""

import os
from contextlib import ExitStack
from dataclasses import replace

from offramp.children import Child, ready_line
from offramp.nodes.serving import COMMAND, GRACE, Orders, open_bundles, reloaded, say_open_to
from offramp.nodes.told import Settings, to_json
from offramp.nodes.workers import Changed, supervise
from offramp.protocol.counts import shared_memory
from offramp.protocol.door import Door
from offramp.runtime.choice import Choice
from offramp.sockets import hold_port, join_address


def serve_workers(settings: Settings, choice: Choice, title: str, orders: Orders, door: Door) -> None:
    """Serve by so many processes until SIGTERM or SIGINT; each computes by this choice, which is made once for all.

    At SIGHUP each reloads for itself, where the door's files and the bundles can be read.
    """
    host, engine = settings.host, choice.engine
    with ExitStack() as held:
        port, http_port = held.enter_context(hold_port(host, settings.port)), settings.http_port
        if http_port is not None:
            http_port = held.enter_context(hold_port(host, http_port))
        of_one = replace(settings.of_one(), port=port, http_port=http_port)
        told = replace(of_one, runtime=engine.runtime, precision=engine.precision, why=choice.why)
        http = None if http_port is None else join_address(host, http_port)
        counts = shared_memory(settings.workers)
        held.callback(os.close, counts)

        def start(number: int, changed: Changed) -> Child:
            own = to_json(replace(told, counts=(counts, number - 1)))
            return Child(f"worker {number}", COMMAND, own, inherited=(counts,), changed=changed)

        say_open_to(door)
        line = ready_line(join_address(host, port), f"{title}, {choice}, {settings.workers} workers", http)
        supervise(
            start,
            settings.workers,
            orders,
            line=line,
            grace=GRACE + 5,
            reload=lambda: reloaded(lambda: (door.read(), open_bundles(settings))),  # said once for all
        )
