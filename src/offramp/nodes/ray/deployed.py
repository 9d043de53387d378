"""Tails as an application of Ray Serve: put on a cluster, watched, and taken away again."""

import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from offramp.errors import BusyError, InputError, LinkError
from offramp.nodes.ray.asked import Replicas
from offramp.nodes.ray.balance import Place
from offramp.nodes.ray.cluster import LEAVING, OURS, said, within
from offramp.nodes.ray.proxy import SERVICER
from offramp.nodes.ray.replica import GRACE, Replica
from offramp.nodes.ray.scaling import by_flight

STARTING = 180.0  # seconds for all replicas to be there
SILENT = 10.0  # seconds after which a front that asks its replicas no more has gone
ANSWER = 3.0  # seconds for the replicas to say where they are
LOOK = 0.2  # seconds between looks at those that start
CONTROLLER = ("SERVE_CONTROLLER_ACTOR", "serve")  # its name and namespace on a cluster

log = logging.getLogger("offramp")


class Deployed:
    """The application. `places` are asked for again and again: that is what says that its front is there."""

    def __init__(self, serve: Any, name: str) -> None:
        self.serve, self.name, self.front = serve, name, secrets.token_hex(8)
        self.handle = serve.get_app_handle(name)

    def places(self) -> list[Place] | None:
        """Where the replicas are now; None where they could not be asked."""
        try:
            answers = self.handle.broadcast("where", self.front).results(timeout_s=ANSWER, return_exceptions=True)
        except Exception as error:  # whatever Ray raises: it is asked again
            log.debug("the replicas were not asked: %s", error)
            return None
        return [Place(*answer) for answer in answers if not isinstance(answer, BaseException)]

    def status(self) -> tuple[str, str]:
        """What Ray Serve says of it: its status, and its message or that of its deployment."""
        found = self.serve.status().applications.get(self.name)
        if found is None:
            return "GONE", "the application is not there"
        messages = [deployment.message for deployment in found.deployments.values()]
        return str(found.status.value), found.message or " ".join(filter(None, messages))


@contextmanager
def deployed(ray: Any, settings: str, token: str, asked: Replicas, stopped: Callable[[], bool]) -> Iterator[Deployed]:
    """Have replicas serve by these settings meanwhile, and wait until they do or `stopped` says that nobody waits.

    Raises BusyError where another front has the application's name, LinkError where a replica cannot start.
    """
    from ray import serve

    logging.getLogger("ray.serve").setLevel(logging.ERROR)  # what it does is said by this program
    ours = _is_running(ray)
    _start(serve, asked, running=not ours)
    try:
        ours |= _check_free(serve, asked.application)
        try:
            serve.run_many(
                [
                    serve.RunTarget(
                        _application(serve, settings, token, asked), asked.application, f"/{asked.application}"
                    )
                ],
                wait_for_ingress_deployment_creation=False,
                wait_for_applications_running=False,
            )
            yield _awaited(serve, asked, stopped)
        finally:
            within(LEAVING, lambda: serve.delete(asked.application), f"taking {asked.application} off the cluster")
    finally:
        if ours and not within(LEAVING, lambda: [*serve.status().applications], "asking Ray Serve"):
            within(LEAVING, serve.shutdown, "stopping Ray Serve")


def _is_running(ray: Any) -> bool:
    """Whether this is the first to use Ray Serve on its cluster."""
    try:
        ray.get_actor(*CONTROLLER)
    except ValueError:
        return True
    return False


def _start(serve: Any, asked: Replicas, *, running: bool) -> None:
    options: dict[str, Any] = {"proxy_location": "Disabled"}
    if asked.proxy is not None:
        if running:
            raise InputError(
                f"ray proxy {asked.proxy}: Ray Serve runs on this cluster already, and takes no other proxies then. "
                "Stop it there (serve shutdown), or leave --ray-proxy out."
            )
        options = {
            "proxy_location": "EveryNode",
            "http_options": {"port": 0},
            "grpc_options": {"port": asked.proxy, "grpc_servicer_functions": [SERVICER], "request_timeout_s": 600.0},
        }
    if not running:
        serve.start(**options, logging_config={"enable_access_log": False})


def _check_free(serve: Any, name: str) -> bool:
    """Raise BusyError where another front has this application; whether one is taken over whose front has gone."""
    if name not in serve.status().applications:
        return False
    try:
        answers = serve.get_app_handle(name).broadcast("whose").results(timeout_s=ANSWER, return_exceptions=True)
    except Exception as error:
        raise BusyError(
            f"ray application {name!r} is on this cluster already, and is not this program's or does not answer "
            f"({said(error)}). Choose another name (--ray-application), or take it away: serve.delete({name!r})"
        ) from error
    there = [answer for answer in answers if not isinstance(answer, BaseException)]
    if any(front and silent < SILENT for front, silent in there):
        raise BusyError(
            f"ray application {name!r} is on this cluster already, and another front balances over it. Choose another "
            "name (--ray-application), or stop that one."
        )
    log.warning("ray application %r was left here by a front that has gone: taken over", name)
    return True


def _application(serve: Any, settings: str, token: str, asked: Replicas) -> Any:
    options: dict[str, Any] = {"num_replicas": asked.least}
    if asked.most > asked.least:
        options = {
            "autoscaling_config": {
                "min_replicas": asked.least, "max_replicas": asked.most, "target_ongoing_requests": asked.target,
                "policy": {"policy_function": by_flight},
            }
        }  # fmt: skip
    deployment = serve.deployment(
        Replica,
        name="tails",
        max_ongoing_requests=4096,
        graceful_shutdown_timeout_s=GRACE + 5,
        ray_actor_options={"num_cpus": asked.cpus},
        **options,
    )
    return deployment.bind(settings, token)


def _awaited(serve: Any, asked: Replicas, stopped: Callable[[], bool]) -> Deployed:
    """The application once all of its replicas are there, or nobody waits for them."""
    end, found = time.monotonic() + STARTING, Deployed(serve, asked.application)
    status = message = ""
    while time.monotonic() < end and not stopped():
        status, message = found.status()
        if status == "RUNNING":
            return found
        # Ray Serve tries for minutes; what is an error of ours will be one each time.
        if status in ("DEPLOY_FAILED", "UNHEALTHY", "GONE", "DELETING") or OURS in message:
            raise LinkError(f"a replica cannot start on this cluster: {said(message)}")
        time.sleep(LOOK)
    if stopped():
        return found
    raise LinkError(
        f"the replicas were not there after {STARTING:g} s ({status}: {said(message)}). Look at the cluster: ray "
        "status, serve status"
    )
