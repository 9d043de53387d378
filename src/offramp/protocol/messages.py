"""Triton's messages and service of the Open Inference Protocol over gRPC: `messages.ModelInferRequest` and the others.

Names, numbers and types are those of Triton's grpc_service.proto and model_config.proto, as far as a node speaks them
(https://github.com/triton-inference-server/common/tree/main/protobuf); the tests hold them against tritonclient's. They
lie in a pool of their own: a program may load both, of any versions, and a node needs no client, 26 MB of its install
with what that needs.
"""

from collections.abc import Container
from typing import Any

import grpc
from google.protobuf.descriptor_pool import DescriptorPool

from offramp.described import Table, classes

NAMED = "1 name string, 2 version string"
TENSOR = "1 name string, 2 datatype string, 3 shape int64*"
TOLD = "4 parameters {InferParameter}, 5 contents InferTensorContents"
MESSAGES = {
    "ServerLiveRequest": "",
    "ServerLiveResponse": "1 live bool",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "1 ready bool",
    "ModelReadyRequest": NAMED,
    "ModelReadyResponse": "1 ready bool",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": f"{NAMED}, 3 extensions string*",
    "ModelMetadataRequest": NAMED,
    "ModelMetadataResponse": "1 name string, 2 versions string*, 3 platform string, 4 inputs TensorMetadata*, "
    "5 outputs TensorMetadata*",
    "TensorMetadata": TENSOR,
    "InferParameter": "1 bool_param bool|parameter_choice, 2 int64_param int64|parameter_choice, "
    "3 string_param string|parameter_choice, 4 double_param double|parameter_choice, "
    "5 uint64_param uint64|parameter_choice",
    "InferTensorContents": "1 bool_contents bool*, 2 int_contents int32*, 3 int64_contents int64*, "
    "4 uint_contents uint32*, 5 uint64_contents uint64*, 6 fp32_contents float*, 7 fp64_contents double*, "
    "8 bytes_contents bytes*",
    "ModelInferRequest": "1 model_name string, 2 model_version string, 3 id string, 4 parameters {InferParameter}, "
    "5 inputs InferInputTensor*, 6 outputs InferRequestedOutputTensor*, 7 raw_input_contents bytes*",
    "InferInputTensor": f"{TENSOR}, {TOLD}",
    "InferRequestedOutputTensor": "1 name string, 2 parameters {InferParameter}",
    "ModelInferResponse": "1 model_name string, 2 model_version string, 3 id string, 4 parameters {InferParameter}, "
    "5 outputs InferOutputTensor*, 6 raw_output_contents bytes*",
    "InferOutputTensor": f"{TENSOR}, {TOLD}",
    "ModelStreamInferResponse": "1 error_message string, 2 infer_response ModelInferResponse",
    "ModelConfigRequest": NAMED,
    "ModelConfigResponse": "1 config ModelConfig",
    "ModelConfig": "1 name string, 2 platform string, 4 max_batch_size int32, 5 input ModelInput*, "
    "6 output ModelOutput*, 14 parameters {ModelParameter}",
    "ModelInput": "1 name string, 2 data_type DataType, 4 dims int64*",
    "ModelOutput": "1 name string, 2 data_type DataType, 3 dims int64*",
    "ModelParameter": "1 string_value string",
    "ModelStatisticsRequest": NAMED,
    "ModelStatisticsResponse": "1 model_stats ModelStatistics*",
    "ModelStatistics": f"{NAMED}, 3 last_inference uint64, 4 inference_count uint64, 5 execution_count uint64, "
    "6 inference_stats InferStatistics, 7 batch_stats InferBatchStatistics*, "
    "9 response_stats {InferResponseStatistics}",
    "InferResponseStatistics": "1 compute_infer StatisticDuration, 2 compute_output StatisticDuration, "
    "3 success StatisticDuration, 4 fail StatisticDuration, 5 empty_response StatisticDuration, "
    "6 cancel StatisticDuration",
    "InferStatistics": "1 success StatisticDuration, 2 fail StatisticDuration, 3 queue StatisticDuration, "
    "4 compute_input StatisticDuration, 5 compute_infer StatisticDuration, 6 compute_output StatisticDuration, "
    "7 cache_hit StatisticDuration, 8 cache_miss StatisticDuration",
    "InferBatchStatistics": "1 batch_size uint64, 2 compute_input StatisticDuration, "
    "3 compute_infer StatisticDuration, 4 compute_output StatisticDuration",
    "StatisticDuration": "1 count uint64, 2 ns uint64",
    "RepositoryIndexRequest": "1 repository_name string, 2 ready bool",
    "RepositoryIndexResponse": "1 models ModelIndex*",
    "ModelIndex": f"{NAMED}, 3 state string, 4 reason string",
    "SystemSharedMemoryStatusRequest": "1 name string",
    "SystemSharedMemoryStatusResponse": "1 regions {RegionStatus}",
    "RegionStatus": "1 name string, 2 key string, 3 offset uint64, 4 byte_size uint64",
    "SystemSharedMemoryRegisterRequest": "1 name string, 2 key string, 3 offset uint64, 4 byte_size uint64",
    "SystemSharedMemoryRegisterResponse": "",
    "SystemSharedMemoryUnregisterRequest": "1 name string",
    "SystemSharedMemoryUnregisterResponse": "",
    "Unread": "",
}
ENUMERATIONS = {
    "DataType": [
        f"TYPE_{kind}"
        for kind in (
            "INVALID", "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32",
            "FP64", "STRING", "BF16",
        )
    ]
}  # fmt: skip
MEMORY = ("SystemSharedMemoryStatus", "SystemSharedMemoryRegister", "SystemSharedMemoryUnregister")
# The calls that a node answers, each of a request to a response by its name.
CALLS = (
    "ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer", "ModelConfig",
    "ModelStatistics", "RepositoryIndex", *MEMORY,
)  # fmt: skip
# Those that are Triton's own and make no sense here: no client says which models there are, and no tensor lies on a
# graphics card. What they ask and answer is not read.
NOT_OFFERED = (
    "RepositoryModelLoad", "RepositoryModelUnload", "CudaSharedMemoryStatus", "CudaSharedMemoryRegister",
    "CudaSharedMemoryUnregister", "TraceSetting", "LogSettings",
)  # fmt: skip


def _pool() -> DescriptorPool:
    file = Table("inference", "proto3", MESSAGES, ENUMERATIONS).described()
    service = file.service.add(name="GRPCInferenceService")
    for name in (*CALLS, *NOT_OFFERED):
        asked, answered = ("Unread", "Unread") if name in NOT_OFFERED else (f"{name}Request", f"{name}Response")
        service.method.add(name=name, input_type=f".inference.{asked}", output_type=f".inference.{answered}")
    service.method.add(
        name="ModelStreamInfer", input_type=".inference.ModelInferRequest",
        output_type=".inference.ModelStreamInferResponse", client_streaming=True, server_streaming=True,
    )  # fmt: skip
    pool = DescriptorPool()
    pool.Add(file)
    return pool


POOL = _pool()
DESCRIBED = POOL.FindServiceByName("inference.GRPCInferenceService")
SERVICE: str = DESCRIBED.full_name
CLASSES = classes(POOL, "inference", MESSAGES)
globals().update(CLASSES)


def __getattr__(name: str) -> Any:
    """Of what is no message's name."""
    raise AttributeError(f"the protocol has no message {name!r}")


class Stub:
    """The service's calls by name, on a channel."""

    def __init__(self, channel: grpc.Channel) -> None:
        for name, asked, answered, kind in _calls():
            call = getattr(channel, kind)
            serialize, read = asked.SerializeToString, answered.FromString
            path = f"/{SERVICE}/{name}"
            # Registered, as generated code has it: the channel looks the path up once, and not at each call.
            known = {"_registered_method": True}
            setattr(self, name, call(path, request_serializer=serialize, response_deserializer=read, **known))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the protocol has no call {name!r}")


def add_service(server: grpc.Server, service: Any, in_bytes: Container[str] = ()) -> None:
    """Make a gRPC server answer each of the service's calls by the attribute of its name; these give bytes."""
    handlers = {}
    for name, asked, answered, kind in _calls():
        handler = getattr(grpc, f"{kind}_rpc_method_handler")
        read, serialize = asked.FromString, None if name in in_bytes else answered.SerializeToString
        handlers[name] = handler(getattr(service, name), request_deserializer=read, response_serializer=serialize)
    server.add_registered_method_handlers(SERVICE, handlers)


def _calls() -> list[tuple[str, Any, Any, str]]:
    """Of each call its name, the classes of request and response, and whether either comes as a stream."""
    sides = {False: "unary", True: "stream"}
    return [
        (
            method.name,
            CLASSES[method.input_type.name],
            CLASSES[method.output_type.name],
            f"{sides[method.client_streaming]}_{sides[method.server_streaming]}",
        )
        for method in DESCRIBED.methods
    ]
