"""The graph behind MLServer, over the Open Inference Protocol: its gRPC side takes raw tensors.

Its HTTP side takes JSON alone: there a tensor comes and goes as bytes in base64, which it need not check by number.
"""

import asyncio
import os
import sys

from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import Base64Codec, NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from session import Session


class Runtime(MLModel):
    async def load(self) -> bool:
        self.peer = Session()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        tensor = payload.inputs[0]
        if tensor.datatype == "BYTES":
            (content,) = Base64Codec.decode_input(tensor)
            output = Base64Codec.encode_output("logits", [self.peer.run_bytes(content)])
        else:
            output = NumpyCodec.encode_output("logits", self.peer.run(NumpyCodec.decode_input(tensor)))
        return InferenceResponse(model_name=self.name, outputs=[output])


async def main() -> None:
    port = int(os.environ["PEER_PORT"])
    settings = Settings(
        host="127.0.0.1",
        http_port=port,
        grpc_port=port + 1,
        metrics_port=port + 2,
        parallel_workers=0,
        debug=False,
        load_models_at_startup=False,
    )
    server = MLServer(settings)
    await server.start([ModelSettings(name="classifier", implementation=Runtime)])


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(__file__))
    asyncio.run(main())
