"""The graph behind LitServe: JSON with the tensor in base64, the leanest request that it reads, and raw bytes out."""

import base64
import os

import litserve
from fastapi import Response
from session import Session


class Api(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.session = Session()

    def decode_request(self, request: dict[str, str]) -> bytes:
        return base64.b64decode(request["body"])

    def predict(self, body: bytes) -> bytes:
        return self.session.run_bytes(body)

    def encode_response(self, output: bytes) -> Response:
        return Response(output, media_type="application/octet-stream")


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", workers_per_device=1, timeout=60)
    server.run(host="127.0.0.1", port=int(os.environ["PEER_PORT"]), generate_client_file=False, log_level="warning")
