"""The options of what runs on a cluster."""

from typing import TYPE_CHECKING, Annotated

import typer

from offramp.cli import completion
from offramp.errors import InputError

if TYPE_CHECKING:
    from offramp.nodes.ray.asked import Replicas

ENGINES = ("node", "ray")

EngineName = Annotated[
    str,
    typer.Option(
        help="node: this machine alone; ray: the machines of a Ray cluster.",
        autocompletion=completion.one_of(*ENGINES),
    ),
]
Count = Annotated[
    str | None, typer.Option(help="With --engine ray: how many replicas, like 2, or 1:4 to have it scale. Default: 1.")
]
Cores = Annotated[float | None, typer.Option(help="With --engine ray: cores of each of them. Default: 1.")]
RunCores = Annotated[
    float | None,
    typer.Option(help="With --engine ray: cores of each run, which trains on as many threads. Default: 1."),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        help="With --engine ray: HOST:PORT of the cluster's head; local: one for this process. Default: the one that "
        "runs on this machine."
    ),
]
RayApplication = Annotated[
    str | None, typer.Option(help="With --engine ray: the application's name on the cluster. Default: offramp.")
]
RayTarget = Annotated[
    float | None, typer.Option(help="Requests in flight at each replica that it scales to. Default: 2.")
]
RayProxy = Annotated[
    int | None, typer.Option(help="Be reached through Ray's own gRPC proxies at this port too, as 9000.")
]


def check_engine(engine: str, **given: object) -> bool:
    """Whether a cluster is asked for; InputError for an engine that is unknown, or what is of no use without one."""
    if engine not in ENGINES:
        raise InputError(f"engine {engine!r}: unknown. Choose one of {', '.join(ENGINES)}.")
    if engine == "node" and (named := [name for name, value in given.items() if value is not None]):
        raise InputError(f"{named[0].replace('_', ' ')} {given[named[0]]}: is of a cluster. Ask for one: --engine ray")
    return engine == "ray"


def replicas_of(
    engine: str,
    *,
    replicas: str | None,
    cpus: float | None,
    address: str | None,
    application: str | None,
    target: float | None,
    proxy: int | None,
) -> "Replicas | None":
    """What is asked of a cluster; None where nothing is."""
    given = {
        "replicas": replicas, "replica_cpus": cpus, "ray_address": address, "ray_application": application,
        "ray_target": target, "ray_proxy": proxy,
    }  # fmt: skip
    if not check_engine(engine, **given):
        return None
    from offramp.nodes.ray.asked import Replicas

    more = {"cpus": cpus, "address": address, "application": application, "target": target, "proxy": proxy}
    return Replicas.of(replicas or "1", **{name: value for name, value in more.items() if value is not None})
