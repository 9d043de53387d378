"""Requests, documents and bundles that are not quite what they should be, and what reads them, in one process.

Each case is a valid one with some bytes flipped, cut, doubled, moved or replaced by another's, or with something odd in
one place. What reads it gives a word for what came of it; an error that is not ours comes through.
"""

import asyncio
import json
import random
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2 as pb

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.document import Document
from offramp.artifacts.plan import Plan
from offramp.errors import OfframpError
from offramp.nodes.edge import Edge
from offramp.nodes.edge_model import EdgeModel
from offramp.protocol.data_plane import DataPlane
from offramp.protocol.grpc_service import _Service
from offramp.protocol.pool import Pool
from offramp.protocol.rest_app import Application
from offramp.protocol.streams import Streams
from offramp.protocol.tensors import objects, write_request

SLOW = 10.0  # seconds
DEFECTS = {"INTERNAL", "500"}  # what a node says where it is its own fault


class AbortedError(Exception):
    """What grpc raises where a call ends with a status."""


class Context:
    """A call's other side: no deadline, and the status that it ends with."""

    code: grpc.StatusCode | None = None

    def time_remaining(self) -> None:
        """There is time."""

    def invocation_metadata(self) -> tuple[()]:
        """Nothing beside the message."""
        return ()

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """The caller stays."""
        return True

    def set_trailing_metadata(self, metadata: tuple[tuple[str, str], ...]) -> None:
        """Nobody reads what stands behind the answer."""

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        """End it."""
        self.code = code
        raise AbortedError(details)


def mutated(chance: random.Random, source: bytes, others: list[bytes]) -> bytes:
    """Some bytes of it otherwise."""
    content = bytearray(source)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at = chance.randrange(len(content) + 1)
        kind = chance.randrange(6)
        if kind == 0 and at < len(content):
            content[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del content[at : at + chance.choice((1, 4, 64, 4096))]
        elif kind == 2:
            content[at:at] = content[at : at + chance.choice((1, 8, 256))]
        elif kind == 3:
            content[at:at] = bytes(chance.choices(b'{}[]",:0-1e9\\u\x00\xff\n tfn', k=chance.randrange(1, 9)))
        elif kind == 4:
            other = chance.choice(others)
            start = chance.randrange(len(other) + 1)
            content[at : at + chance.randrange(64)] = other[start : start + chance.randrange(256)]
        elif at + 8 <= len(content):
            content[at : at + 8] = chance.choice((0, 1, 2**31, 2**63 - 1, 2**64 - 1)).to_bytes(8, "little")
    return bytes(content)


ODD = (
    None,
    True,
    -1,
    0,
    1,
    2**31,
    2**63,
    1e308,
    -0.0,
    "",
    "1",
    "NaN",
    [],
    [[]],
    {},
    {"a": 1},
    "\ud83d\ude00",
    [0.5] * 3,
)


def bent(chance: random.Random, value: Any) -> Any:
    """A JSON value with something odd in one place of it."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        name = chance.choice(list(value))
        other = {key: one for key, one in value.items() if key != name or chance.random() < 0.9}
        return {**other, chance.choice((name, name, name, "x")): bent(chance, value[name])}
    if isinstance(value, list) and value and chance.random() < 0.9:
        at = chance.randrange(len(value))
        return [*value[:at], bent(chance, value[at]), *value[at + chance.choice((1, 1, 0)) :]]
    return chance.choice(ODD)


def bend(chance: random.Random, request: Any) -> None:
    """Put something odd into one field of a message."""
    tensor, kind = request.inputs[0], chance.randrange(8)
    if kind == 0:
        tensor.datatype = chance.choice(("FP32", "UINT8", "BYTES", "FP64", "INT8", "BOOL", "", "fp32"))
    elif kind == 1:
        tensor.shape[chance.randrange(len(tensor.shape))] = chance.choice((-1, 0, 1, 3, 2**31, 2**62))
    elif kind == 2:
        del tensor.shape[chance.randrange(len(tensor.shape)) :]
    elif kind == 3 and request.raw_input_contents:
        raw = request.raw_input_contents[0]
        request.raw_input_contents[0] = mutated(chance, raw, [raw])
    elif kind == 4:
        request.outputs.add(name=chance.choice(("label", "probabilities", "class_name", "x", ""))).parameters[
            chance.choice(("classification", "binary_data"))
        ].int64_param = chance.choice((-1, 0, 1, 99, 2**62))
    elif kind == 5:
        name = chance.choice(("exit", "threshold", "cut", "codec", "timeout", "degraded", "drop_threshold", "reply_to"))
        field = chance.choice(("int64_param", "string_param", "bool_param", "double_param"))
        odd = {"int64_param": (-1, 0, 3, 2**62), "string_param": ("", "nan", "3"), "bool_param": (True, False),
               "double_param": (float("nan"), float("inf"), -1.0, 0.5)}  # fmt: skip
        setattr(request.parameters[name], field, chance.choice(odd[field]))
    elif kind == 6:
        request.inputs.add().CopyFrom(tensor)
    else:
        tensor.contents.fp32_contents.extend(chance.choices((0.0, float("nan"), 1e38), k=chance.randrange(1, 9)))


class Protocols:
    """An edge in this process behind the gRPC service and the HTTP application, and valid requests of both."""

    def __init__(self, bundle: Bundle) -> None:
        manifest = bundle.manifest
        edge = Edge(bundle, Plan.of(manifest.last, 0.5), threads=1)
        self.pool = Pool(2, "fuzz")
        plane = DataPlane([EdgeModel(edge)], 8)
        streams = Streams(8, lambda error: None)
        self.service = _Service(plane, self.pool, self.pool, self.pool, streams)
        self.application = Application(plane, self.pool, self.pool)
        self.loop = asyncio.new_event_loop()
        channels, height, width = manifest.preprocessing.shape
        image = np.full((2, channels, height, width), 0.5, np.float32)
        pixels, junk = np.full((1, height, width, channels), 7, np.uint8), objects([b"\x89PNG\r\n\x1a\n" + bytes(40)])
        asked = {"threshold": 0.5, "timeout": 1000000}
        requests = [write_request("classifier", "", {"image": one}, asked) for one in (image, pixels, junk)]
        self.messages = [request.SerializeToString() for request in requests]
        tensor = {
            "name": "image",
            "datatype": "FP32",
            "shape": [1, channels, height, width],
            "data": [0.5] * (image.size // 2),
        }
        head = {
            "name": "image",
            "datatype": "FP32",
            "shape": list(image.shape),
            "parameters": {"binary_data_size": image.nbytes},
        }
        small = {**tensor, "shape": [1, 1], "data": [0.5, 1]}
        self.bodies = [
            json.dumps({"id": "1", "inputs": [one], "parameters": asked, "outputs": [{"name": "label"}]}).encode()
            for one in (tensor, small)
        ] + [json.dumps({"inputs": [head]}).encode() + image.tobytes()]
        self.lengths = [None, None, len(json.dumps({"inputs": [head]}))]

    def close(self) -> None:
        """Let go of the threads and the loop."""
        self.pool.shutdown()
        self.loop.close()

    def grpc(self, chance: random.Random) -> str:
        """A message to the service."""
        message = chance.choice(self.messages)
        try:
            request = pb.ModelInferRequest.FromString(
                mutated(chance, message, self.messages) if chance.random() < 0.2 else message
            )
        except DecodeError:
            return "no message"  # grpc itself answers that
        for _ in range(chance.choice((1, 1, 2))):
            if request.inputs and request.inputs[0].shape:
                bend(chance, request)
        context = Context()
        try:
            self.service.ModelInfer(request, context)
        except AbortedError:
            return str(context.code and context.code.name)
        return "answered"

    def http(self, chance: random.Random) -> str:
        """A body to the application, with the headers that it needs, or others."""
        number = chance.randrange(len(self.bodies))
        body, length = self.bodies[number], self.lengths[number]
        if chance.random() < 0.5:
            body = mutated(chance, body, self.bodies)
        else:
            head = json.dumps(bent(chance, json.loads(body[:length]))).encode()
            body, length = head + (b"" if length is None else body[length:]), length and len(head)
        if length is not None and chance.random() < 0.2:
            length += chance.randrange(-9, 9)
        return str(self._posted(body, length, chance.choice((b"", b"", b"", b"gzip", b"deflate"))))

    def good(self) -> bool:
        """A good request, both ways."""
        context = Context()
        self.service.ModelInfer(pb.ModelInferRequest.FromString(self.messages[0]), context)
        return context.code is None and self._posted(self.bodies[2], self.lengths[2], b"") == 200

    def _posted(self, body: bytes, length: int | None, coding: bytes) -> int:
        headers = [(b"content-length", b"%d" % len(body))]
        headers += [(b"inference-header-content-length", b"%d" % length)] if length is not None else []
        headers += [(b"content-encoding", coding)] if coding else []
        said: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            said.append(message)

        scope = {"type": "http", "method": "POST", "path": "/v2/models/classifier/infer", "headers": headers}
        self.loop.run_until_complete(asyncio.wait_for(self.application(scope, receive, send), SLOW))
        return int(said[0]["status"])


class Documents:
    """Classes of documents, each with the text of a valid one; those of before, where a class reads them, too."""

    def __init__(self, valid: Iterable[Document]) -> None:
        self.texts: list[tuple[type[Document], bytes]] = []
        for one in valid:
            text = one.to_json()
            self.texts.append((type(one), text.encode()))
            for version in type(one).READS:
                older = text.replace(f'"version": {json.loads(text)["version"]}', f'"version": {version}', 1)
                self.texts.append((type(one), older.encode()))

    def __call__(self, chance: random.Random) -> str:
        """A document's text."""
        kind, content = chance.choice(self.texts)
        if chance.random() < 0.5:
            content = mutated(chance, content, [text for _, text in self.texts])
        else:
            content = json.dumps(bent(chance, json.loads(content))).encode()
        try:
            kind.parse(content, "case")
        except OfframpError as error:
            return type(error).__name__
        return "read"


class Files:
    """A folder, or a file, of which one file is changed at a time, and what opens it."""

    def __init__(self, source: Path, scratch: Path, opens: Callable[[Path], object]) -> None:
        self.source, self.copy, self.opens = source, scratch / source.name, opens
        if source.is_dir():
            shutil.copytree(source, self.copy, ignore=lambda at, names: [n for n in names if (Path(at) / n).is_dir()])
            self.names = sorted(file.name for file in self.copy.iterdir())
        else:
            shutil.copy(source, self.copy)
            self.names = [""]

    def __call__(self, chance: random.Random) -> str:
        """One of its files, changed or not there."""
        name = chance.choice(self.names)
        content, file = (self.source / name).read_bytes(), self.copy / name
        if chance.random() < 0.1:
            file.unlink()
        else:
            file.write_bytes(mutated(chance, content, [content]))
        try:
            self.opens(self.copy)
        except OfframpError as error:
            return type(error).__name__
        finally:
            file.write_bytes(content)
        return "opened"
