"""A gRPC server of the Open Inference Protocol for any `Served` models."""

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from offramp._version import __version__
from offramp.errors import OfframpError, UnknownModelError
from offramp.link.client import FINAL, KEEPALIVE_MS
from offramp.link.port import port_taken
from offramp.link.served import Call, Result, Served, TensorSpec
from offramp.link.status import status_of
from offramp.link.tensors import read_inputs, read_parameters, write_response

log = logging.getLogger("offramp")

CALLS = 32  # answered at once; each holds a thread while the runtime or the cloud works
MESSAGE_SLACK = 1 << 16  # bytes of a message beside its largest tensor


class Server:
    """Serves models on a port: bound and ready when made, since models are made before it.

    Models of one name and several versions are told apart by the version that a request names; the first answers where
    it names none. `calls` are answered at once. `shared` lets other processes of this user listen on the port too.
    """

    def __init__(
        self,
        models: Iterable[Served],
        host: str,
        port: int,
        *,
        max_batch: int,
        calls: int = CALLS,
        shared: bool = False,
    ) -> None:
        served: dict[str, dict[str, Served]] = {}
        largest = 0
        for model in models:
            served.setdefault(model.name, {})[model.version] = model
            largest = max([largest, *(_bytes(spec) for spec in (*model.inputs, *model.outputs))])
        self.pool = ThreadPoolExecutor(calls, thread_name_prefix="call")
        self.server = grpc.server(
            self.pool,
            options=[
                # Unless told not to, grpc lets two servers share a port, and each answers some of the calls.
                ("grpc.so_reuseport", int(shared)),
                ("grpc.max_receive_message_length", max_batch * largest + MESSAGE_SLACK),
                ("grpc.max_send_message_length", -1),
                # Pings closer than this while nothing is said are taken for an attack, and the connection is ended.
                ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_MS // 2),
                ("grpc.keepalive_permit_without_calls", 1),
            ],
        )
        self.health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.server)
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(_Service(served), self.server)
        try:
            self.port = self.server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:
            self.pool.shutdown()
            raise port_taken(host, port) from error
        self.address = f"{host}:{self.port}"

    def start(self) -> None:
        """Begin to answer."""
        self.server.start()
        for name in ("", "inference.GRPCInferenceService"):
            self.health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def stop(self, grace: float) -> None:
        """Take no new calls, let those in flight finish for up to `grace` seconds, and close."""
        self.health.enter_graceful_shutdown()
        self.server.stop(grace).wait()
        self.pool.shutdown()


def _bytes(spec: TensorSpec) -> int:
    size = 8
    for extent in spec.shape:
        size *= max(extent, 1)
    return size


class _Service(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # untyped base
    """The protocol's calls."""

    def __init__(self, served: dict[str, dict[str, Served]]) -> None:
        self.served = served

    def ServerLive(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return pb.ServerLiveResponse(live=True)

    def ServerReady(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return pb.ServerReadyResponse(ready=True)

    def ModelReady(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        def answer() -> Any:
            self._find(request.name, request.version).prepare()
            return pb.ModelReadyResponse(ready=True)

        return _answered(context, answer)

    def ServerMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return pb.ServerMetadataResponse(name="offramp", version=__version__, extensions=[])

    def ModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        def answer() -> Any:
            model = self._find(request.name, request.version)
            versions = [*self.served[model.name]]
            response = pb.ModelMetadataResponse(name=model.name, versions=versions, platform="offramp")
            for target, specs in ((response.inputs, model.inputs), (response.outputs, model.outputs)):
                for spec in specs:
                    target.add(name=spec.name, datatype=spec.datatype, shape=spec.shape)
            return response

        return _answered(context, answer)

    def ModelConfig(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        def answer() -> Any:
            model = self._find(request.name, request.version)
            response = pb.ModelConfigResponse()
            response.config.name, response.config.platform = model.name, "offramp"
            for name, value in model.config.items():
                response.config.parameters[name].string_value = value
            return response

        return _answered(context, answer)

    def ModelInfer(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        def answer() -> Any:
            model = self._find(request.model_name, request.model_version)
            return _response(request, model, model.infer(_call(request, context)))

        return _answered(context, answer)

    def ModelStreamInfer(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: N802
        """Triton's streaming call: each request's parts as they come, an error as a message, then the next request."""
        for request in requests:
            try:
                model = self._find(request.model_name, request.model_version)
                for result in model.stream(_call(request, context)):
                    response = _response(request, model, result)
                    response.parameters[FINAL].bool_param = result.last
                    yield pb.ModelStreamInferResponse(infer_response=response)
            except OfframpError as error:
                yield _stream_error(request, f"{status_of(error).name}: {error}")
            except Exception:
                log.exception("a defect while answering %s", request.model_name)
                yield _stream_error(request, "INTERNAL: the node failed; its log has the details.")

    def _find(self, name: str, version: str) -> Served:
        versions = self.served.get(name)
        if versions is None:
            raise UnknownModelError(f"model {name!r}: unknown here. This node serves {', '.join(self.served)}.")
        model = versions.get(version or next(iter(versions)))
        if model is None:
            raise UnknownModelError(
                f"model {name!r} version {version!r}: this node serves version {' and '.join(versions)}. "
                "The two nodes hold different bundles: give both the same one."
            )
        return model


def _call(request: Any, context: grpc.ServicerContext) -> Call:
    call = Call(read_inputs(request), read_parameters(request.parameters), context.time_remaining())
    context.add_callback(call.cancelled.set)
    return call


def _response(request: Any, model: Served, result: Result) -> Any:
    asked = [output.name for output in request.outputs]
    known = {spec.name for spec in model.outputs}
    if unknown := [name for name in asked if name not in known]:
        raise UnknownModelError(f"output {unknown[0]!r}: {model.name} gives {', '.join(sorted(known))}.")
    outputs = {name: result.outputs[name] for name in asked if name in result.outputs} if asked else result.outputs
    return write_response(model.name, model.version, outputs, result.parameters, request.id)


def _stream_error(request: Any, message: str) -> Any:
    answer = pb.ModelStreamInferResponse(error_message=message)
    answer.infer_response.id = request.id
    return answer


def _answered(context: grpc.ServicerContext, answer: Callable[[], Any]) -> Any:
    try:
        return answer()
    except OfframpError as error:
        context.abort(status_of(error), str(error))
    except Exception:
        log.exception("a defect while answering")
        context.abort(grpc.StatusCode.INTERNAL, "the node failed; its log has the details.")
