"""A client of the protocol's REST form with binary tensors, on one connection: what is timed of HTTP."""

import http.client
import json
import socket
from typing import Self

from offramp.errors import LinkError
from offramp.protocol.datatypes import NAMES
from offramp.protocol.served import Array, Parameters
from offramp.sockets import split_address
from offramp.unix_sockets import path_of


class UnixConnection(http.client.HTTPConnection):
    """A connection to a Unix socket's path."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        """Open it."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class HttpCall:
    """Asks one model of a node at HOST:PORT or unix:/PATH the same thing again and again. A context manager."""

    def __init__(
        self, address: str, model: str, name: str, tensor: Array, parameters: Parameters, timeout: float
    ) -> None:
        described = {
            "name": name, "shape": tensor.shape, "datatype": NAMES[tensor.dtype],
            "parameters": {"binary_data_size": tensor.nbytes},
        }  # fmt: skip
        asked = {"inputs": [described], "parameters": {**parameters, "binary_data_output": True}}
        head = json.dumps(asked).encode()
        self.body = head + tensor.tobytes()
        self.headers = {
            "Content-Type": "application/octet-stream",
            "Inference-Header-Content-Length": str(len(head)),
        }
        self.address, self.path = address, f"/v2/models/{model}/infer"
        self.connection: http.client.HTTPConnection
        if (path := path_of(address)) is not None:
            self.connection = UnixConnection(path, timeout)
        else:
            self.connection = http.client.HTTPConnection(*split_address(address), timeout=timeout)

    def ask(self) -> bytes:
        """Send it and read the answer; LinkError where that is none."""
        try:
            self.connection.request("POST", self.path, self.body, self.headers)
            answer = self.connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()  # else it waits for this answer for ever, and takes no other request
            raise LinkError(f"{self.address}: {error}") from error
        if answer.status != http.client.OK:
            raise LinkError(f"{self.address}: status {answer.status}: {content[:300]!r}")
        return content

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
