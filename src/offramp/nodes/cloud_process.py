"""A cloud as a process: every tail of its bundles, in batches across callers, on one process or several."""

import logging
from collections.abc import Callable, Iterable
from itertools import chain

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import tail_name
from offramp.nodes.batching import Batcher
from offramp.nodes.cloud import Tail, tails
from offramp.nodes.generations import Generations
from offramp.nodes.logs import log_to_stderr
from offramp.nodes.replies import Replies
from offramp.nodes.serving import Orders, hear_reloads, open_bundles, serve_models
from offramp.nodes.settings import CloudSettings
from offramp.nodes.shared_port import serve_workers
from offramp.protocol.counts import Counts
from offramp.protocol.door import Door
from offramp.protocol.metrics import QUEUE, Metrics
from offramp.protocol.served import Served
from offramp.protocol.server import CALLS
from offramp.runtime.choice import Choice, choose

log = logging.getLogger("offramp")


def serve_cloud(settings: CloudSettings) -> None:
    """Serve every tail of some bundles until SIGTERM or SIGINT, in this process or in several that share the port.

    The kernel gives each connection to one of several: they serve many edges, not one edge faster. A direct reply needs
    the client and the edge at the same process, so several send none. At SIGHUP the folders of the bundles are looked
    at again.
    """
    log_to_stderr(settings.log_format)
    orders = hear_reloads()
    door = Door(settings.access, settings.host)  # what is wrong with it is said before anything is opened
    bundles = open_bundles(settings)
    choice = settings.settled(chosen(settings, bundles[0]))  # one for the node: that of its first network
    if settings.shared or settings.workers == 1:
        _serve_tails(bundles, settings.of_one(), choice, orders, door)
        return
    serve_workers(settings, choice, cloud_title(bundles), orders, door)


def chosen(settings: CloudSettings, bundle: Bundle) -> Choice:
    """The runtime and precision that are asked for, or settled on this machine, for the largest batch that may come."""
    largest = max(settings.limits.batch, settings.max_batch)
    return choose(bundle, settings.runtime, settings.precision, settings.of_one().threads, largest)


def _serve_tails(bundles: list[Bundle], settings: CloudSettings, choice: Choice, orders: Orders, door: Door) -> None:
    descriptor, place = settings.counts
    metrics = Metrics(Counts(descriptor, place, settings.workers))
    batcher = Batcher(settings.limits)
    batcher.told = metrics.gauge(QUEUE)
    replies = [] if settings.shared else [Replies(bundles[0].id)]

    def opened(bundle: Bundle) -> list[Tail]:
        return tails(bundle, batcher, choice, *replies)

    held = Generations[list[Tail]]({}).turned(bundles, opened)

    def reload(serve: Callable[[Iterable[Served]], None]) -> None:
        nonlocal held
        turned = held.turned(open_bundles(settings), opened)
        serve([*_flat(turned), *replies])
        said, held = turned.said(held), turned
        log.info("reload: %s", said)

    # Every call that the batcher lets in has a thread, and there are some for others: nothing waits unseen.
    calls = settings.limits.calls + CALLS
    title = f"{cloud_title(bundles)}, {choice}"
    serve_models(
        [*_flat(held), *replies], settings, title, orders, reload,
        door=door, calls=calls, shared=settings.shared, full=batcher.full, metrics=metrics,
    )  # fmt: skip
    batcher.close()


def _flat(held: Generations[list[Tail]]) -> Iterable[Tail]:
    return chain.from_iterable(held.all.values())


def cloud_title(bundles: list[Bundle]) -> str:
    """What a cloud says of itself: `cloud: mem, tail-0 to tail-8-uint8, bundle 3f…`."""
    said = []
    for bundle in bundles:
        tails_of = [tail_name(cut.boundary, codec) for cut in bundle.manifest.cuts for codec in cut.codecs]
        names = f"{tails_of[0]} to {tails_of[-1]}"
        said.append(f"{bundle.manifest.model}, {names}, bundle {bundle.id}")
    return f"cloud: {' and '.join(said)}"
