"""KServe's Python server with the tails of a repository: `foreign_kserve.py REPOSITORY GRPC_PORT`.

Runs in an environment that has kserve and onnxruntime and knows nothing of offramp: the repository is what
`offramp export --triton` wrote, of which this server reads the ONNX files. Its gRPC side is put together as its own
`GRPCServer` does, but for the address: that one listens on every interface.
"""

import asyncio
import sys
from pathlib import Path

import grpc
import onnxruntime as ort
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelRepository
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor, LoggingInterceptor
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.protocol.model_repository_extension import ModelRepositoryExtension

DATATYPES = {"tensor(float)": "FP32", "tensor(float16)": "FP16", "tensor(uint8)": "UINT8"}


class Tail(Model):
    """An ONNX file."""

    def __init__(self, name: str, file: Path) -> None:
        super().__init__(name)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self.ready = True

    async def get_input_types(self) -> list[dict]:
        return [_described(one) for one in self.session.get_inputs()]

    async def get_output_types(self) -> list[dict]:
        return [_described(one) for one in self.session.get_outputs()]

    def predict(self, payload: InferRequest, *_: object) -> InferResponse:
        sent = {tensor.name: tensor.as_numpy() for tensor in payload.inputs}
        outputs = []
        names = [one.name for one in self.session.get_outputs()]
        for name, values in zip(names, self.session.run(names, sent), strict=True):
            output = InferOutput(name, list(values.shape), "FP32")
            output.set_data_from_numpy(values, binary_data=True)
            outputs.append(output)
        return InferResponse(payload.id or "0", self.name, outputs)


def _described(tensor: ort.NodeArg) -> dict:
    return {"name": tensor.name, "datatype": DATATYPES[tensor.type], "shape": [-1, *tensor.shape[1:]]}


async def main(repository: str, port: str) -> None:
    models = ModelRepository()
    for file in sorted(Path(repository).glob("*/1/model.onnx")):
        models.update(Tail(file.parent.parent.name, file))
    servicer = InferenceServicer(DataPlane(models), ModelRepositoryExtension(models))
    server = grpc.aio.server(interceptors=(LoggingInterceptor(), ExceptionToStatusInterceptor()))
    add_GRPCInferenceServiceServicer_to_server(servicer, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
