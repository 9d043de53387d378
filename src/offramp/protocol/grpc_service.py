"""The protocol over gRPC: messages to calls of a node, results to messages."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Executor, Future
from contextlib import asynccontextmanager, closing
from typing import Any, TypeAlias

import grpc
from google.protobuf import json_format
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from offramp.errors import OfframpError
from offramp.protocol.catalog import config, server_metadata
from offramp.protocol.data_plane import DataPlane
from offramp.protocol.served import Call
from offramp.protocol.status import status_of
from offramp.protocol.tensors import (
    FINAL,
    read_inputs,
    read_parameters,
    refuse_classification,
    refuse_shared_memory,
    write_response,
)
from offramp.protocol.work import Steps, Work

log = logging.getLogger("offramp")

Context: TypeAlias = grpc.aio.ServicerContext

SERVICE: str = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
FAILED = "the node failed; its log has the details."
# Calls of Triton's own that make no sense here: models are fixed when a node starts, and tensors travel in messages.
NOT_OFFERED = (
    "RepositoryModelLoad",
    "RepositoryModelUnload",
    "SystemSharedMemoryStatus",
    "SystemSharedMemoryRegister",
    "SystemSharedMemoryUnregister",
    "CudaSharedMemoryStatus",
    "CudaSharedMemoryRegister",
    "CudaSharedMemoryUnregister",
    "TraceSetting",
    "LogSettings",
)


class _Service(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # untyped base
    """The protocol's calls. What computes does so on the pool; the loop only reads, writes and tells."""

    def __init__(self, plane: DataPlane, pool: Executor) -> None:
        self.plane, self.pool = plane, pool
        for name in NOT_OFFERED:
            setattr(self, name, _not_offered(name))

    async def ServerLive(self, request: Any, context: Context) -> Any:  # noqa: N802
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, context: Context) -> Any:  # noqa: N802
        return pb.ServerReadyResponse(ready=True)

    async def ModelReady(self, request: Any, context: Context) -> Any:  # noqa: N802
        async with _refusing(context):
            model = self.plane.catalog.find(request.name, request.version)
            await asyncio.get_running_loop().run_in_executor(self.pool, model.prepare)
            return pb.ModelReadyResponse(ready=True)

    async def ServerMetadata(self, request: Any, context: Context) -> Any:  # noqa: N802
        return json_format.ParseDict(server_metadata(), pb.ServerMetadataResponse())

    async def ModelMetadata(self, request: Any, context: Context) -> Any:  # noqa: N802
        async with _refusing(context):
            catalog = self.plane.catalog
            metadata = catalog.metadata(catalog.find(request.name, request.version))
            return json_format.ParseDict(metadata, pb.ModelMetadataResponse())

    async def ModelConfig(self, request: Any, context: Context) -> Any:  # noqa: N802
        async with _refusing(context):
            told = config(self.plane.catalog.find(request.name, request.version))
            return json_format.ParseDict({"config": told}, pb.ModelConfigResponse())

    async def ModelStatistics(self, request: Any, context: Context) -> Any:  # noqa: N802
        async with _refusing(context):
            models = self.plane.catalog.matching(request.name, request.version)
            told = {"model_stats": [self.plane.statistics.of(model) for model in models]}
            return json_format.ParseDict(told, pb.ModelStatisticsResponse())

    async def RepositoryIndex(self, request: Any, context: Context) -> Any:  # noqa: N802
        return json_format.ParseDict({"models": self.plane.catalog.index()}, pb.RepositoryIndexResponse())

    async def ModelInfer(self, request: Any, context: Context) -> Any:  # noqa: N802
        async with _refusing(context):
            with closing(Work(self.pool, self._infer, self.plane.infer, request, context)) as work:
                part = await work.result()
            assert part is not None
            return part[0]

    async def ModelStreamInfer(self, requests: AsyncIterator[Any], context: Context) -> None:  # noqa: N802
        """Triton's streaming call: each request's parts as they come, an error as a message, then the next request."""
        async for request in requests:
            with closing(Work(self.pool, self._infer, self.plane.stream, request, context)) as work:
                last = False
                while not last:
                    message, last = await _next(request, work)
                    if message is not None:
                        await context.write(message)

    def _infer(self, ask: Any, request: Any, context: Context, gone: threading.Event) -> Steps[tuple[Any, bool]]:
        """Decode, infer and encode, on a thread of the pool; with each response, whether it is the last."""
        model = self.plane.catalog.find(request.model_name, request.model_version)
        call = Call(read_inputs(request), read_parameters(request.parameters), context.time_remaining(), gone)
        for found in ask(model, call, _asked(request)):
            if isinstance(found, Future):
                yield found
            else:
                yield write_response(model.name, model.version, found.outputs, found.parameters, request.id), found.last


def add_to(server: grpc.aio.Server, plane: DataPlane, pool: Executor) -> None:
    """Make a gRPC server answer for a node."""
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(_Service(plane, pool), server)


def _asked(request: Any) -> list[str]:
    for output in request.outputs:
        refuse_shared_memory(output.name, output.parameters)
        refuse_classification(output.name, output.parameters)
    return [output.name for output in request.outputs]


async def _next(request: Any, work: Work[tuple[Any, bool]]) -> tuple[Any, bool]:
    """The message of the next part, or of what went wrong, and whether it is the last; no message after the last."""
    try:
        part = await work.result()
    except OfframpError as error:
        return _stream_error(request, f"{status_of(error).name}: {error}"), True
    except Exception:
        log.exception("a defect while answering %s", request.model_name)
        return _stream_error(request, f"INTERNAL: {FAILED}"), True
    if part is None:
        return None, True
    part[0].parameters[FINAL].bool_param = part[1]
    return pb.ModelStreamInferResponse(infer_response=part[0]), part[1]


def _stream_error(request: Any, message: str) -> Any:
    answer = pb.ModelStreamInferResponse(error_message=message)
    answer.infer_response.id = request.id
    return answer


@asynccontextmanager
async def _refusing(context: Context) -> AsyncIterator[None]:
    """End a call with the status of what goes wrong."""
    try:
        yield
    except OfframpError as error:
        await context.abort(status_of(error), str(error))
    except Exception:
        log.exception("a defect while answering")
        await context.abort(grpc.StatusCode.INTERNAL, FAILED)


def _not_offered(name: str) -> Callable[[Any, Context], Coroutine[Any, Any, None]]:
    async def refuse(request: Any, context: Context) -> None:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{name}: this node does not offer it.")

    return refuse
