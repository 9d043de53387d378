"""The front of a cluster: an ordinary node, whose tails are computed by the replicas that it balances over."""

import logging
import secrets
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from offramp.artifacts.bundle import Bundle
from offramp.children import at_stop
from offramp.errors import InputError, LinkError, OfframpError
from offramp.nodes.cloud_process import chosen, cloud_title
from offramp.nodes.logs import log_to_stderr
from offramp.nodes.ray.asked import Replicas
from offramp.nodes.ray.balance import Balance, machines, shown
from offramp.nodes.ray.cluster import check_resources, joined, need_ray, said
from offramp.nodes.ray.relay import relays
from offramp.nodes.serving import hear_reloads, open_bundles, serve_models
from offramp.nodes.settings import CloudSettings
from offramp.nodes.told import to_json
from offramp.protocol.door import Access, Door
from offramp.protocol.metrics import Metrics
from offramp.protocol.served import Served
from offramp.protocol.server import CALLS

EVERY = 1.0  # seconds between looks at the replicas
SETTLING = 120.0  # seconds for a machine of the cluster to choose a runtime

log = logging.getLogger("offramp")


def serve_replicas(settings: CloudSettings, asked: Replicas) -> None:
    """Serve every tail of some bundles until SIGTERM or SIGINT, computed by replicas on a Ray cluster."""
    need_ray("serve cloud")
    _check(settings, asked)
    log_to_stderr(settings.log_format)
    orders = hear_reloads()
    door = Door(settings.access, settings.host)
    bundles = open_bundles(settings)
    told, stop = threading.Event(), threading.Event()
    token = secrets.token_hex(32)

    def end() -> None:
        told.set()
        orders.put(False)

    with joined(asked.address) as ray:
        from offramp.nodes.ray.deployed import deployed

        at_stop(end)  # Ray has taken the signals for itself as it was joined
        check_resources(ray, asked.least, asked.cpus, "replicas")
        of_one = _of_one(settings, asked)
        of_one, config = _settled(ray, of_one, asked)
        with deployed(ray, to_json(of_one), token, asked, told.is_set) as application:
            if told.is_set():
                return
            balance = Balance(shown(token), of_one.limits.calls)
            balance.update(application.places() or [])
            watch = threading.Thread(target=_watch, args=(application, balance, stop), name="replicas", daemon=True)
            watch.start()
            count = f"{asked.least} replicas on {machines(balance.places)} machines"
            try:
                serve_models(
                    relays(bundles, balance, config), settings, f"{cloud_title(bundles)}, {config['runtime']}, {count}",
                    orders, _reload(settings, bundles), door=door, calls=CALLS, metrics=Metrics(), full=balance.full,
                    needs=[_Needed(balance)],  # type: ignore[list-item]  # has all of a CloudWatch that is used
                )  # fmt: skip
            finally:
                stop.set()
                watch.join(2 * EVERY)
                balance.close()


def _check(settings: CloudSettings, asked: Replicas) -> None:
    """Raise InputError where what is asked of one machine is asked of a cluster."""
    if settings.workers > 1:
        raise InputError(f"workers {settings.workers}: are of one machine. On a cluster, ask for --replicas.")
    access = settings.access
    if asked.proxy is not None and (access.cert is not None or access.tokens is not None):
        raise InputError(
            f"ray proxy {asked.proxy}: Ray's own proxies know neither certificates nor tokens, so anybody could come "
            "in beside the front. Leave out --ray-proxy, or --tls-cert and --tokens."
        )


def _of_one(settings: CloudSettings, asked: Replicas) -> CloudSettings:
    """What a replica is told: its part of the machine, and nothing of what is the front's."""
    limits = replace(settings.limits, runners=asked.threads)
    return replace(
        settings, threads=settings.threads or asked.threads, limits=limits, http_port=None, port=0, access=Access(),
        origins=(), root_path="",
    )  # fmt: skip


def _settled(ray: Any, settings: CloudSettings, asked: Replicas) -> tuple[CloudSettings, dict[str, str]]:
    """The same with the runtime and precision that a machine of the cluster has chosen, for all of them to take.

    Raises what that machine raises where it cannot open a bundle.
    """
    task = ray.remote(_choose).options(num_cpus=asked.cpus, max_retries=1)
    try:
        runtime, precision, config = ray.get(task.remote(to_json(settings)), timeout=SETTLING)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause if isinstance(error.cause, OfframpError) else None
        raise type(cause)(f"on a machine of the cluster: {cause}") if cause else LinkError(said(error)) from error
    except ray.exceptions.RayError as error:
        raise LinkError(
            f"no machine of the cluster chose a runtime within {SETTLING:g} s ({said(error)}). Look whether its cores "
            "are free: ray status"
        ) from error
    return replace(settings, runtime=runtime, precision=precision), config


def _choose(settings: str) -> tuple[str, str, dict[str, str]]:
    """On a machine of the cluster: its choice, and what a tail there says of itself."""
    from offramp.nodes.told import from_json

    told = from_json(settings)
    bundles = open_bundles(told)
    assert isinstance(told, CloudSettings)
    choice = chosen(told, bundles[0])
    return choice.engine.runtime, choice.engine.precision, choice.config


class _Needed:
    """The replicas as what the node needs to be ready: a CloudWatch's part of it."""

    def __init__(self, balance: Balance) -> None:
        self.why_not = balance.why_not
        self.changed: Callable[[], object] = lambda: None
        balance.told = lambda: self.changed()


def _watch(application: Any, balance: Balance, stop: threading.Event) -> None:
    """Until told to stop: learn which replicas there are, and whether they are there."""
    while not stop.wait(EVERY):
        places = application.places()
        if places is not None:
            balance.update(places)
        balance.look()


def _reload(settings: CloudSettings, bundles: list[Bundle]) -> Callable[[Callable[[Iterable[Served]], None]], object]:
    """What a reload does: the files of the door alone. The replicas keep the networks that they were started with."""

    def reload(_: object) -> None:
        now = {bundle.id for bundle in open_bundles(settings)}
        if now != {bundle.id for bundle in bundles}:
            raise InputError(
                f"the folders hold other networks ({', '.join(sorted(now))}) than the replicas serve. Start another "
                "front under another --ray-application beside this one, then stop this one."
            )
        log.info("reload: the bundles are the same")

    return reload
