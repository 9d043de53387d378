"""The verb that runs a node where the views of several devices are joined: serve aggregator."""

from pathlib import Path
from typing import Annotated

import typer

from offramp.cli.frame import credentials_of, serve
from offramp.cli.nodes import access_of, http_port_of
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
    MaxConnections,
    NoHttp,
    Port,
    PrecisionName,
    RuntimeName,
    SocketMode,
    Threads,
    TlsCert,
    TlsClientCa,
    TlsKey,
    TokensFile,
    Trusted,
)
from offramp.cli.plans import CodecSaid, Cut, Exits, PlanFile, Said, ScoreSaid, Thresholds, plan_of
from offramp.unix_sockets import mode_of


@serve.command("aggregator")
def serve_aggregator(
    folder: Annotated[Path, typer.Argument(help="A folder of several views: bundles, and views.json.")],
    wait_ms: Annotated[
        float, typer.Option(min=0, help="How long the other views of a sample are waited for, at most.")
    ] = 100.0,
    quorum: Annotated[int | None, typer.Option(help="So many views are enough. Default: all of them.")] = None,
    keep_s: Annotated[
        float, typer.Option(min=0, help="Seconds in which a late view finds its sample's answer.")
    ] = 10.0,
    max_samples: Annotated[int, typer.Option(min=1, help="Samples that are known at once, answered ones too.")] = 1024,
    exit_: Exits = None, threshold: Thresholds = None, cut: Cut = None, codec: CodecSaid = None,
    drop_threshold: Drop = None, plan: PlanFile = None, score: ScoreSaid = None,
    cloud: Annotated[
        str | None, typer.Option("--cloud", "--next", help="HOST:PORT of a cloud of the folder's joint/, or A,B.")
    ] = None,
    cloud_wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the cloud at start.")] = 10.0,
    cloud_timeout: Annotated[float, typer.Option(help="Seconds to wait for an answer of the cloud, at most.")] = 10.0,
    no_degraded: Annotated[bool, typer.Option("--no-degraded", help="Where the cloud fails, fail too.")] = False,
    host: Host = "127.0.0.1", socket_mode: SocketMode = "600", port: Port = 8001, http_port: HttpPort = None,
    no_http: NoHttp = False, threads: Threads = 0, max_connections: MaxConnections = 400, runtime: RuntimeName = "auto",
    precision: PrecisionName = "auto", trust: Trusted = None, tls_cert: TlsCert = None, tls_key: TlsKey = None,
    tls_client_ca: TlsClientCa = None, tokens: TokensFile = None, cloud_tls_ca: CloudTlsCa = None,
    cloud_tls_cert: CloudTlsCert = None, cloud_tls_key: CloudTlsKey = None, cloud_token_file: CloudTokenFile = None,
    log_format: LogFormat = "text", log_requests: LogRequests = False,
) -> None:  # fmt: skip
    """Serve several devices: join their views of a sample, answer at the exit what is sure enough, forward the rest."""
    from offramp.artifacts.views import JOINT
    from offramp.nodes.aggregator_process import serve_aggregator as run
    from offramp.nodes.edge_settings import EdgeSettings, Gathers
    from offramp.sockets import check_addresses

    said = Said(
        plan=plan, exits=tuple(exit_ or ()), thresholds=tuple(threshold or ()), cut=cut, codec=codec, score=score,
        drop=drop_threshold,
    )  # fmt: skip
    gathers = Gathers(folder=str(folder), wait=wait_ms / 1000, quorum=quorum, keep=keep_s, most=max_samples)
    settings = EdgeSettings(
        bundles=(str(folder / JOINT),), plan=plan_of(said), plan_file=None if plan is None else str(plan),
        gathers=gathers, cloud=None if cloud is None else ",".join(check_addresses(cloud)), cloud_wait=cloud_wait,
        cloud_timeout=cloud_timeout, degraded=not no_degraded, host=host, socket_mode=mode_of(socket_mode), port=port,
        http_port=http_port_of(host, port, http_port, no_http), threads=threads, max_connections=max_connections,
        runtime=runtime, precision=precision, access=access_of(tls_cert, tls_key, tls_client_ca, tokens),
        credentials=credentials_of(cloud_tls_ca, cloud_tls_cert, cloud_tls_key, cloud_token_file),
        trust=tuple(map(str, trust or ())), log_format=log_format, log_requests=log_requests,
    )  # fmt: skip
    run(settings)
