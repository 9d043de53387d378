"""The verbs that run a node: serve cloud and serve edge."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from offramp.cli import completion
from offramp.cli.cluster import (
    Cores,
    Count,
    EngineName,
    RayAddress,
    RayApplication,
    RayProxy,
    RayTarget,
    replicas_of,
)
from offramp.cli.frame import credentials_of, serve
from offramp.cli.options import (
    CloudTlsCa,
    CloudTlsCert,
    CloudTlsKey,
    CloudTokenFile,
    Drop,
    Host,
    HttpPort,
    LogFormat,
    LogRequests,
    MaxBatch,
    MaxConnections,
    MaxStreams,
    NoHttp,
    Origins,
    Port,
    PrecisionName,
    RootPath,
    RuntimeName,
    SharedMemory,
    SocketMode,
    Threads,
    TlsCert,
    TlsClientCa,
    TlsKey,
    TokensFile,
    Trusted,
)
from offramp.cli.plans import CodecSaid, Cut, Exits, PlanFile, Said, ScoreSaid, Thresholds, plan_of
from offramp.errors import InputError
from offramp.unix_sockets import SCHEME, http_beside, mode_of, path_of

if TYPE_CHECKING:
    from offramp.artifacts.plan import Plan
    from offramp.link.shape import LinkShape
    from offramp.nodes.edge_settings import AtLastExit, Audited, Follow
    from offramp.protocol.door import Access


CloudLink = Annotated[
    str | None,
    typer.Option(
        help="Reach the cloud over such a link: lan, wifi, lte, 3g, satellite, 10mbit,20ms …",
        autocompletion=completion.links,
    ),
]


BatchSize = Annotated[
    int, typer.Option(help="Samples of several requests run as one batch, at most; 1 runs each request alone.")
]
MaxWait = Annotated[
    float, typer.Option(help="How long a request may wait for company while the runtime is free; 0 does not.")
]
Queue = Annotated[int, typer.Option(help="Samples that may wait; what comes on top is refused at once.")]
Next = Annotated[
    str | None,
    typer.Option("--cloud", "--next", help="HOST:PORT or unix:/PATH of the cloud or next tier, or A,B of several."),
]
TierSaid = Annotated[
    str | None, typer.Option(help="Of a longer chain: whose part of the plan it runs. Default: edge, or the first.")
]
ChoicesFile = Annotated[
    Path | None, typer.Option(help="Choose among the plans of `offramp plan --choices FILE` as the link goes.")
]
Within = Annotated[
    float | None,
    typer.Option(help="With --follow: the most accurate plan of so many ms in the mean. Default: the fastest."),
]
Audit = Annotated[
    float | None,
    typer.Option(help="Share of the samples of which those answered here are asked of the last exit too, as 0.01."),
]
AuditMost = Annotated[
    float | None,
    typer.Option(help="With --audit: share that may be answered otherwise. Default: as the plan promises."),
]
Workers = Annotated[int, typer.Option(help="Processes that share the port, each with its part of the cores.")]


@serve.command("cloud")
def serve_cloud(
    bundle: Annotated[list[Path], typer.Argument(help="Folders of `offramp export`, or one of `offramp suite`.")],
    host: Host = "127.0.0.1", socket_mode: SocketMode = "600",
    shared_memory: SharedMemory = False,
    port: Port = 8001,
    http_port: HttpPort = None,
    no_http: NoHttp = False,
    threads: Threads = 0,
    max_batch: MaxBatch = 256,
    max_streams: MaxStreams = 128,
    max_connections: MaxConnections = 400,
    batch_size: BatchSize = 64,
    max_wait_ms: MaxWait = 0.0,
    queue: Queue = 256,
    workers: Workers = 1,
    engine: EngineName = "node", replicas: Count = None, replica_cpus: Cores = None, ray_address: RayAddress = None,
    ray_application: RayApplication = None, ray_target: RayTarget = None, ray_proxy: RayProxy = None,
    runtime: RuntimeName = "auto",
    precision: PrecisionName = "auto",
    cors_origin: Origins = None, root_path: RootPath = "", tls_cert: TlsCert = None, tls_key: TlsKey = None,
    tls_client_ca: TlsClientCa = None, tokens: TokensFile = None, trust: Trusted = None,
    log_format: LogFormat = "text", log_requests: LogRequests = False,
) -> None:  # fmt: skip
    """Serve every tail of one bundle or several, in batches across clients."""
    from offramp.nodes.batching import Limits
    from offramp.nodes.cloud_process import serve_cloud as run
    from offramp.nodes.settings import CloudSettings

    settings = CloudSettings(
        bundles=tuple(map(str, bundle)), host=host, socket_mode=mode_of(socket_mode), port=port,
        http_port=http_port_of(host, port, http_port, no_http), threads=threads, max_batch=max_batch,
        max_streams=max_streams, max_connections=max_connections,
        limits=Limits(batch=batch_size, wait=max_wait_ms / 1000, queue=queue), workers=workers, runtime=runtime,
        precision=precision, origins=tuple(cors_origin or ()), root_path=root_path,
        shared_memory=shared_memory, access=access_of(tls_cert, tls_key, tls_client_ca, tokens),
        trust=tuple(map(str, trust or ())), log_format=log_format, log_requests=log_requests,
    )  # fmt: skip
    asked = replicas_of(
        engine, replicas=replicas, cpus=replica_cpus, address=ray_address, application=ray_application,
        target=ray_target, proxy=ray_proxy,
    )  # fmt: skip
    if asked is None:
        run(settings)
    else:
        from offramp.nodes.ray.front import serve_replicas

        serve_replicas(settings, asked)


@serve.command("edge")
def serve_edge(
    bundle: Annotated[list[Path], typer.Argument(help="Folders of `offramp export`, or one of `offramp suite`.")],
    exit_: Exits = None,
    threshold: Thresholds = None,
    cut: Cut = None,
    codec: CodecSaid = None,
    drop_threshold: Drop = None,
    plan: PlanFile = None,
    follow: ChoicesFile = None, follow_within: Within = None, audit: Audit = None, audit_most: AuditMost = None,
    cloud: Next = None, tier: TierSaid = None, workers: Workers = 1,
    batch_size: BatchSize = 64, max_wait_ms: MaxWait = 0.0, queue: Queue = 256,
    cloud_version: Annotated[
        str | None, typer.Option(help="The version on another maker's cloud; empty: none. Default: the bundle's id.")
    ] = None,
    cloud_wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the cloud at start.")] = 10.0,
    cloud_timeout: Annotated[float, typer.Option(help="Seconds to wait for an answer of the cloud, at most.")] = 10.0,
    no_degraded: Annotated[
        bool, typer.Option("--no-degraded", help="Where the cloud fails, fail too; answer nothing in its place.")
    ] = False,
    max_in_flight: Annotated[
        int, typer.Option(min=1, help="Samples left to the cloud at once; what comes on top is answered here.")
    ] = 1024,
    ready_needs_cloud: Annotated[
        bool, typer.Option("--ready-needs-cloud", help="Be ready only while the cloud is there.")
    ] = False,
    link: CloudLink = None, score: ScoreSaid = None,
    host: Host = "127.0.0.1", socket_mode: SocketMode = "600", port: Port = 8001, http_port: HttpPort = None,
    no_http: NoHttp = False, shared_memory: SharedMemory = False, threads: Threads = 0, max_batch: MaxBatch = 256,
    max_streams: MaxStreams = 128, max_connections: MaxConnections = 400, runtime: RuntimeName = "auto",
    precision: PrecisionName = "auto", cors_origin: Origins = None, root_path: RootPath = "", trust: Trusted = None,
    tls_cert: TlsCert = None, tls_key: TlsKey = None, tls_client_ca: TlsClientCa = None, tokens: TokensFile = None,
    cloud_tls_ca: CloudTlsCa = None, cloud_tls_cert: CloudTlsCert = None, cloud_tls_key: CloudTlsKey = None,
    cloud_token_file: CloudTokenFile = None, log_format: LogFormat = "text", log_requests: LogRequests = False,
) -> None:  # fmt: skip
    """Serve the classifier of one bundle or several: answer at the exit what is sure enough, forward the rest."""
    from offramp.nodes.batching import Limits
    from offramp.nodes.edge_process import serve_edge as run
    from offramp.nodes.edge_settings import EdgeSettings, Follow
    from offramp.sockets import check_addresses

    said = Said(
        plan=plan, exits=tuple(exit_ or ()), thresholds=tuple(threshold or ()), cut=cut, codec=codec, score=score,
        drop=drop_threshold,
    )  # fmt: skip
    following = None if follow is None else Follow(choices=str(follow), within=follow_within)
    settings = EdgeSettings(
        bundles=tuple(map(str, bundle)), plan=_planned(said, following, follow_within),
        plan_file=None if plan is None else str(plan), follow=following, tier=tier, audit=_audited(audit, audit_most),
        cloud=None if cloud is None else ",".join(check_addresses(cloud)), link=_link(link, cloud),
        cloud_version=cloud_version, cloud_wait=cloud_wait, cloud_timeout=cloud_timeout, degraded=not no_degraded,
        in_flight=max_in_flight, ready_needs_cloud=ready_needs_cloud, host=host, socket_mode=mode_of(socket_mode),
        port=port, http_port=http_port_of(host, port, http_port, no_http), threads=threads, max_batch=max_batch,
        max_streams=max_streams, max_connections=max_connections, runtime=runtime, precision=precision,
        origins=tuple(cors_origin or ()), root_path=root_path, log_format=log_format, log_requests=log_requests,
        shared_memory=shared_memory, access=access_of(tls_cert, tls_key, tls_client_ca, tokens),
        credentials=credentials_of(cloud_tls_ca, cloud_tls_cert, cloud_tls_key, cloud_token_file),
        trust=tuple(map(str, trust or ())), workers=workers,
        limits=Limits(batch=batch_size, wait=max_wait_ms / 1000, queue=queue),
    )  # fmt: skip
    run(settings)


def _audited(share: float | None, most: float | None) -> "Audited | None":
    """What is looked at, if anything."""
    from offramp.nodes.edge_settings import Audited

    if share is None and most is not None:
        raise InputError(f"audit most {most:g}: nothing is looked at. Say how much is (--audit SHARE).")
    return None if share is None else Audited(share=share, most=most)


def _planned(said: Said, follow: "Follow | None", within: float | None) -> "Plan | AtLastExit":
    """The plan that an edge begins by: what is said of it, or of choices the one that uses the link least."""
    if follow is None:
        if within is not None:
            raise InputError(f"follow within {within:g}: nothing is followed. Name choices (--follow FILE).")
        return plan_of(said)
    if said:
        named = ", ".join(said.options) or "--plan"
        raise InputError(
            f"follow {follow.choices}: the file has the plans to choose among, and {named} says one. Leave out the one "
            "or the other."
        )
    return follow.read()[1][0].plan


def _link(text: str | None, cloud: str | None) -> "LinkShape | None":
    """The shape of the link to a cloud, which there has to be."""
    from offramp.link.shape import LinkShape

    shape = None if text is None else LinkShape.parse(text)
    if shape is not None and cloud is None:
        raise InputError(
            f"link {str(shape)!r}: leads to the cloud, and this edge has none. Name one (--cloud HOST:PORT)."
        )
    return shape


def access_of(cert: Path | None, key: Path | None, client_ca: Path | None, tokens: Path | None) -> "Access":
    """Who may come in."""
    from offramp.protocol.door import Access

    files = (None if path is None else str(path) for path in (cert, key, client_ca, tokens))
    return Access(**dict(zip(("cert", "key", "client_ca", "tokens"), files, strict=True)))


def http_port_of(host: str, port: int, http_port: int | None, no_http: bool) -> int | None:
    """Triton's convention, 8000 for HTTP beside 8001 for gRPC, moved along with the port; None for no HTTP."""
    if no_http:
        return None
    if http_port is not None and (path := path_of(host)) is not None:
        raise InputError(
            f"http port {http_port}: the node listens on a Unix socket, and for HTTP on the one beside it, "
            f"{SCHEME}{http_beside(path)}. Leave it out."
        )
    return http_port if http_port is not None else max(port - 1, 0)
