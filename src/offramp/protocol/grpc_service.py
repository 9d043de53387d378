"""The protocol over gRPC: messages to calls of a node, results to messages."""

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from time import perf_counter, time
from typing import Any

import grpc
from google.protobuf import json_format

from offramp.errors import ForbiddenError, InputError, OfframpError
from offramp.protocol import messages as pb
from offramp.protocol.apart import Answer, Came, Entrance, on
from offramp.protocol.catalog import config
from offramp.protocol.classification import classes_asked
from offramp.protocol.data_plane import FOREVER, DataPlane
from offramp.protocol.gone import Gone, GoneError
from offramp.protocol.pool import Pool, waited
from offramp.protocol.record import Record
from offramp.protocol.served import TOOK, Call, Result, Served
from offramp.protocol.shared_memory import ELSEWHERE, REGION, Held, Regions, is_peer_here
from offramp.protocol.short import Known
from offramp.protocol.status import end_by, status_of
from offramp.protocol.streams import Streams
from offramp.protocol.tensors import (
    FINAL,
    places_of,
    read_inputs,
    read_parameters,
    serialized_response,
    write_placed,
    write_response,
)
from offramp.protocol.trace_context import of_metadata

log = logging.getLogger("offramp")

SLOWER = 0.02  # share of a longer call in what such calls take: it may have waited for a core; a shorter is believed
IN_PARTS = "outputs: the parts of an answer would take each other's place in shared memory. Ask for it whole."
FAILED = "the node failed; its log has the details."
# ModelReady is not of these: it may have to open a model, on a thread of its own.
TOLD = (
    "ServerLive", "ServerReady", "ServerMetadata", "ModelMetadata", "ModelConfig", "ModelStatistics", "RepositoryIndex",
    *pb.MEMORY,
)  # fmt: skip
Tell = Callable[[DataPlane, Any], dict[str, Any]]


def _telling(message: Any, tell: Tell) -> Any:
    """The call that answers with what a node tells of itself, in a message of its own."""

    def answer(self: "_Service", request: Any, context: grpc.ServicerContext) -> Any:
        return _answered(context, lambda: json_format.ParseDict(tell(self.plane, request), message()))

    return answer


class _Service:
    """The protocol's calls. What computes goes by an entrance; what tells of the node has threads of its own.

    Whether a model is ready goes by another, `opening`: it may have to be opened first.
    """

    def __init__(self, plane: DataPlane, calls: Entrance, telling: Pool, opening: Entrance, streams: Streams) -> None:
        self.plane, self.known = plane, Known(more=SLOWER, less=1.0)
        calls.short, calls.together = self._is_short, self.together
        self.ModelInfer = on(calls, self.ModelInfer)  # type: ignore[method-assign]
        self.ModelReady = on(opening, self.ModelReady)  # type: ignore[method-assign]
        for name in TOLD:
            setattr(self, name, on(telling, getattr(self, name)))
        self.ModelStreamInfer = streams.counted(self.ModelStreamInfer)  # type: ignore[method-assign]
        for name in (*pb.NOT_OFFERED, *(() if plane.regions is not None else pb.MEMORY)):
            setattr(self, name, _not_offered(name))

    ServerLive = _telling(pb.ServerLiveResponse, lambda plane, asked: {"live": True})
    ServerReady = _telling(pb.ServerReadyResponse, lambda plane, asked: {"ready": plane.unready() is None})
    ServerMetadata = _telling(pb.ServerMetadataResponse, lambda plane, asked: plane.metadata())
    ModelMetadata = _telling(
        pb.ModelMetadataResponse,
        lambda plane, asked: plane.catalog.metadata(plane.catalog.find(asked.name, asked.version)),
    )
    ModelConfig = _telling(
        pb.ModelConfigResponse,
        lambda plane, asked: {"config": config(plane.catalog.find(asked.name, asked.version), plane.bounds.batch)},
    )
    ModelStatistics = _telling(pb.ModelStatisticsResponse, lambda plane, asked: plane.told(asked.name, asked.version))
    RepositoryIndex = _telling(pb.RepositoryIndexResponse, lambda plane, asked: {"models": plane.catalog.index()})

    def SystemSharedMemoryStatus(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        def answer() -> Any:
            regions = {str(told["name"]): told for told in self._regions(context).status(request.name)}
            return json_format.ParseDict({"regions": regions}, pb.SystemSharedMemoryStatusResponse())

        return _answered(context, answer)

    def SystemSharedMemoryRegister(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        def answer() -> Any:
            self._regions(context).register(request.name, request.key, request.offset, request.byte_size)
            return pb.SystemSharedMemoryRegisterResponse()

        return _answered(context, answer)

    def SystemSharedMemoryUnregister(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        def answer() -> Any:
            self._regions(context).unregister(request.name)
            return pb.SystemSharedMemoryUnregisterResponse()

        return _answered(context, answer)

    def _memory(self, context: grpc.ServicerContext) -> Regions | None:
        """What this caller may use."""
        regions = self.plane.regions
        return regions if regions is not None and is_peer_here(context.peer()) else None

    def _regions(self, context: grpc.ServicerContext) -> Regions:
        memory = self._memory(context)
        if memory is None:
            raise ForbiddenError(ELSEWHERE)
        return memory

    def ModelReady(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        def answer() -> Any:
            model = self.plane.catalog.find(request.name, request.version)
            if ready := self.plane.unready() is None:
                model.prepare()
            return pb.ModelReadyResponse(ready=ready)

        return _answered(context, answer)

    def together(self, calls: list[Came]) -> list[Answer] | None:
        """Answers to short calls, made as one batch; None where each is to be answered alone.

        That is where they ask several models, one that waits for others, or where something is wrong with one of them.
        """
        name, version = calls[0].request.model_name, calls[0].request.model_version
        if any((one.request.model_name, one.request.model_version) != (name, version) for one in calls):
            return None
        try:
            model = self.plane.catalog.find(name, version)
            asked = [(self._call_of(one), _asked(one.request)) for one in calls]
            results = self.plane.at_once(model, asked)
            if results is None:
                return None
            answers: list[Answer] = []
            for one, (call, _), result in zip(calls, asked, results, strict=True):
                response = _serialized(one.request, model, result, call.record, {})
                answers.append(partial(_send, response, one.since))
        except Exception:  # whose it is comes out when each is answered alone
            return None
        for call, _ in asked:
            with call.record:
                pass
        return answers

    def _is_short(self, came: Came) -> bool:
        """Whether a call of this size has been short, and has no deadline and no part in a trace that is taken here."""
        request = came.request
        sort = request.model_name, request.model_version, request.ByteSize()
        return (
            self.known.is_short(sort)
            and not _is_placed(request)
            and self.plane.tracing is None
            and came.event.call_details.deadline - time() >= FOREVER
        )

    def _note(self, request: Any, record: Record) -> None:
        """How long such a call takes."""
        sort = request.model_name, request.model_version, record.bytes_in
        self.known.note(sort, perf_counter() - record.began)

    def _call_of(self, came: Came) -> Call:
        request = came.request
        record = self.plane.record("grpc", request.id, of_metadata(came.event.invocation_metadata, request.parameters))
        record.bytes_in = request.ByteSize()
        decoded = record.stage("wait", came.since, record.began)
        call = Call(read_inputs(request), read_parameters(request.parameters), record=record)
        record.stage("decode", decoded)
        return call

    def ModelInfer(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        def answer() -> Any:
            with self._record(request, context) as record:
                record.stage("wait", record.began - waited(), record.began)
                model = self.plane.catalog.find(request.model_name, request.model_version)
                memory = self._memory(context)
                call = _call(request, context, record, _leaving(context), memory)
                places = _held(request, memory)
                result = self.plane.infer(model, call, _asked(request))
                response = _serialized(request, model, result, record, places)
                self._note(request, record)
                return _send(response, record.began - waited(), request, context)

        return _answered(context, answer)

    def ModelStreamInfer(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: N802
        """Triton's streaming call: each request's parts as they come, an error as a message, then the next request."""
        gone = _leaving(context)  # one for all: a stream keeps what it is to call to its end, and may live for a year
        memory = self._memory(context)
        for request in requests:
            try:
                with self._record(request, context) as record:
                    model = self.plane.catalog.find(request.model_name, request.model_version)
                    if places_of(request.outputs, memory):
                        raise InputError(IN_PARTS)
                    call = _call(request, context, record, gone, memory)
                    for result in self.plane.stream(model, call, _asked(request)):
                        response = _response(request, model, result, record)
                        response.parameters[FINAL].bool_param = result.last
                        yield pb.ModelStreamInferResponse(infer_response=response)
            except GoneError:
                return
            except OfframpError as error:
                yield _stream_error(request, f"{status_of(error).name}: {error}")
            except Exception:
                log.exception("a defect while answering %s", request.model_name)
                yield _stream_error(request, f"INTERNAL: {FAILED}")

    def _record(self, request: Any, context: grpc.ServicerContext) -> Record:
        trace = of_metadata(context.invocation_metadata(), request.parameters)
        record = self.plane.record("grpc", request.id, trace)
        record.bytes_in = request.ByteSize()
        return record


def add_to(
    server: grpc.Server, plane: DataPlane, calls: Entrance, telling: Pool, opening: Entrance, streams: Streams
) -> None:
    """Make a gRPC server answer for a node."""
    pb.add_service(server, _Service(plane, calls, telling, opening, streams), in_bytes=("ModelInfer",))


def _leaving(context: grpc.ServicerContext) -> Gone:
    """Whether a call's client has gone."""
    gone = Gone()
    context.add_callback(gone.set)
    return gone


def _call(request: Any, context: grpc.ServicerContext, record: Record, gone: Gone, memory: Regions | None) -> Call:
    start = perf_counter()
    inputs, parameters = read_inputs(request, memory), read_parameters(request.parameters)
    call = Call(inputs, parameters, context.time_remaining(), cancelled=gone, record=record)
    record.stage("decode", start)
    return call


def _asked(request: Any) -> dict[str, int]:
    """The outputs asked for by name, each with how many of its classes; 0: as it is."""
    if not request.outputs:  # the usual request
        return {}
    return {output.name: classes_asked(output.name, read_parameters(output.parameters)) for output in request.outputs}


def _is_placed(request: Any) -> bool:
    """Whether a tensor of a request lies in shared memory, or is to."""
    return any(REGION in tensor.parameters for tensors in (request.inputs, request.outputs) for tensor in tensors)


def _response(request: Any, model: Served, result: Result, record: Record) -> Any:
    start = perf_counter()
    response = write_response(model.name, model.version, result.outputs, result.parameters, request.id)
    record.bytes_out += response.ByteSize()
    record.stage("respond", start)
    return response


def _held(request: Any, memory: Regions | None) -> dict[str, Held]:
    """Where outputs go that are asked for in shared memory."""
    places = places_of(request.outputs, memory)
    return {} if memory is None or not places else memory.hold(places)


def _serialized(request: Any, model: Served, result: Result, record: Record, places: Mapping[str, Held]) -> bytes:
    start = perf_counter()
    said = (model.name, model.version, result.outputs, result.parameters, request.id)
    if places:
        message = write_response(*said)
        write_placed(message, places)
        response: bytes = message.SerializeToString()
    else:
        response = serialized_response(*said)
    record.bytes_out = len(response)
    record.stage("respond", start)
    return response


def _send(response: bytes, since: float, _request: Any, context: grpc.ServicerContext) -> bytes:
    """A whole answer, with how long its request has been here."""
    context.set_trailing_metadata(((TOOK, f"{perf_counter() - since:.6f}"),))
    return response


def _stream_error(request: Any, message: str) -> Any:
    answer = pb.ModelStreamInferResponse(error_message=message)
    answer.infer_response.id = request.id
    return answer


def _answered(context: grpc.ServicerContext, answer: Callable[[], Any]) -> Any:
    try:
        return answer()
    except OfframpError as error:
        end_by(context, error)
    except GoneError:
        context.abort(grpc.StatusCode.CANCELLED, "the client has gone.")
    except Exception:
        log.exception("a defect while answering")
        context.abort(grpc.StatusCode.INTERNAL, FAILED)


def _not_offered(name: str) -> Callable[[Any, grpc.ServicerContext], None]:
    def refuse(request: Any, context: grpc.ServicerContext) -> None:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{name}: this node does not offer it.")

    return refuse
