"""MLServer, somebody else's server, with tails of a bundle: `foreign_cloud.py GRPC_PORT HTTP_PORT NAME=FILE…`.

Runs in an environment of its own that knows nothing of offramp: the files are what `offramp slice` wrote.
"""

import asyncio
import sys

import onnxruntime as ort
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.settings import ModelParameters
from mlserver.types import InferenceRequest, InferenceResponse, MetadataTensor

VERSION = "1"
DATATYPES = {"tensor(float)": "FP32", "tensor(float16)": "FP16", "tensor(uint8)": "UINT8"}


class Tail(MLModel):
    """An ONNX file."""

    async def load(self) -> bool:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        uri = self.settings.parameters.uri
        self.session = ort.InferenceSession(uri, options, providers=["CPUExecutionProvider"])
        for tensors, found in ((self.session.get_inputs(), "inputs"), (self.session.get_outputs(), "outputs")):
            described = [
                MetadataTensor(name=one.name, datatype=DATATYPES[one.type], shape=[-1, *one.shape[1:]])
                for one in tensors
            ]
            setattr(self, found, described)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Run what was sent by the names under which it was sent."""
        sent = {tensor.name: NumpyCodec.decode_input(tensor) for tensor in payload.inputs}
        names = [output.name for output in self.session.get_outputs()]
        outputs = [
            NumpyCodec.encode_output(name, values)
            for name, values in zip(names, self.session.run(names, sent), strict=True)
        ]
        return InferenceResponse(model_name=self.name, model_version=VERSION, outputs=outputs)


async def main(grpc_port: str, http_port: str, *models: str) -> None:
    settings = Settings(
        host="127.0.0.1",
        http_port=int(http_port),
        grpc_port=int(grpc_port),
        metrics_endpoint=None,
        parallel_workers=0,
        debug=False,
        load_models_at_startup=False,
    )
    await MLServer(settings).start(
        [
            ModelSettings(name=name, implementation=Tail, parameters=ModelParameters(uri=file, version=VERSION))
            for name, file in (model.split("=", 1) for model in models)
        ]
    )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
