"""A gRPC server of a node: its port and options, its health, reflection, and how it stops. Lives on an event loop."""

from concurrent.futures import Executor

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from offramp.protocol.data_plane import DataPlane
from offramp.protocol.grpc_service import SERVICE, add_to
from offramp.protocol.peer import KEEPALIVE_MS
from offramp.sockets import port_taken


class GrpcServer:
    """To be made on the loop that it runs on. Bound when made, so that a port in use is found before all else."""

    def __init__(self, plane: DataPlane, pool: Executor, host: str, port: int, *, shared: bool = False) -> None:
        self.server = grpc.aio.server(
            options=[
                # Unless told not to, grpc lets two servers share a port, and each answers some of the calls.
                ("grpc.so_reuseport", int(shared)),
                ("grpc.max_receive_message_length", plane.bounds.message),
                ("grpc.max_send_message_length", -1),
                # Pings closer than this while nothing is said are taken for an attack, and the connection is ended.
                ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_MS // 2),
                ("grpc.keepalive_permit_without_calls", 1),
            ],
        )
        self.health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.server)
        add_to(self.server, plane, pool)
        reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), self.server)
        try:
            self.port = self.server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:  # grpc's
            raise port_taken(host, port) from error

    async def start(self) -> None:
        """Begin to answer."""
        await self.server.start()
        for name in ("", SERVICE):
            await self.health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self, grace: float) -> None:
        """Take no new calls, let those in flight finish for up to `grace` seconds, and close."""
        await self.health.enter_graceful_shutdown()
        await self.server.stop(grace)
