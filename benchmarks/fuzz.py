"""Bytes that mean nothing, or nearly what they should: over both protocols, into documents and bundles.

    python benchmarks/fuzz.py runs/mem/bundle --cases 1000000

Each case is a valid request or file with some bytes flipped, cut, doubled, moved or replaced by another's, and given to
what reads it: the gRPC service and the HTTP application of an edge in this process, or a document's class. It is a
fault where anything but an error of ours comes back (the node says INTERNAL or 500, an exception is foreign), where a
case takes longer than ten seconds, or where the good request that follows every thousandth is not answered. Memory is
taken after a tenth of the cases and at the end.
"""

import argparse
import asyncio
import json
import logging
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2 as pb

from alternate import last_line, memory_kib
from offramp.artifacts.bundle import MANIFEST, Bundle, Manifest
from offramp.artifacts.document import Document
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.plan import Plan
from offramp.errors import OfframpError
from offramp.machine import here
from offramp.nodes.edge import Edge
from offramp.nodes.edge_model import EdgeModel
from offramp.protocol.apart import Streams
from offramp.protocol.data_plane import DataPlane
from offramp.protocol.grpc_service import _Service
from offramp.protocol.pool import Pool
from offramp.protocol.rest_app import Application
from offramp.protocol.tensors import objects, write_request
from offramp.train.recipe import RecipeFile

SLOW = 10.0  # seconds
GOOD = 1000  # cases between two good requests
GROWS = 0.10  # share of memory, at most


class AbortedError(Exception):
    """What grpc raises where a call ends with a status."""


class Context:
    """A call's other side: no deadline, and the status that it ends with."""

    code: grpc.StatusCode | None = None

    def time_remaining(self) -> None:
        """There is time."""

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """The caller stays."""
        return True

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


class Targets:
    """What reads the cases, and valid ones of each."""

    def __init__(self, path: Path, scratch: Path) -> None:
        bundle = Bundle.open(path)
        manifest = bundle.manifest
        edge = Edge(bundle, Plan.of(manifest.last, 0.5), threads=1)
        self.pool = Pool(2, "fuzz")
        plane = DataPlane([EdgeModel(edge)], 8)
        streams = Streams(8, lambda error: None)
        self.service, self.application = _Service(plane, self.pool, self.pool, streams), Application(plane, self.pool)
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
        recipe = RecipeFile(base="modern", changes={"epochs": 3})
        self.documents: list[tuple[type[Document], bytes]] = [
            (Plan, Plan.of(3, 0.3).to_json().encode()),
            (RecipeFile, recipe.to_json().encode()),
            (Manifest, (path / MANIFEST).read_bytes()),
        ]
        self.folder, self.source = scratch / "bundle", path
        shutil.copytree(path, self.folder)
        self.files = [file.name for file in path.iterdir() if file.is_file()]

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

    def document(self, chance: random.Random) -> str:
        """A document's text."""
        kind, content = chance.choice(self.documents)
        if chance.random() < 0.5:
            content = mutated(chance, content, [text for _, text in self.documents])
        else:
            content = json.dumps(bent(chance, json.loads(content))).encode()
        try:
            kind.parse(content, "case")
        except OfframpError as error:
            return type(error).__name__
        return "read"

    def bundle(self, chance: random.Random) -> str:
        """A file of a bundle."""
        name = chance.choice(self.files)
        content = (self.source / name).read_bytes()
        (self.folder / name).write_bytes(mutated(chance, content, [content]))
        try:
            Bundle.open(self.folder)
        except OfframpError as error:
            return type(error).__name__
        finally:
            (self.folder / name).write_bytes(content)
        return "opened"

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


def main() -> None:
    """Run the cases, print what came of them and whether the bars are met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.getLogger("offramp").propagate = False
    logging.getLogger("offramp").addHandler(faults := Defects())
    seen: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        targets = Targets(options.bundle, Path(scratch))
        ways = {"grpc": targets.grpc, "http": targets.http, "document": targets.document, "bundle": targets.bundle}
        foreign, slow, good, early = Counter[str](), 0, 0, 0
        for case in range(options.cases):
            chance = random.Random(options.seed * 1_000_003 + case)
            way = chance.choices(list(ways), (40, 40, 19, 1))[0]
            began = time.monotonic()
            try:
                seen.setdefault(way, Counter())[ways[way](chance)] += 1
            except Exception as error:
                foreign[f"{way}: {type(error).__name__}: {str(error)[:120]} (first at case {case})"] += 1
            slow += time.monotonic() - began > SLOW
            if case % GOOD == GOOD - 1:
                good += targets.good()
            if case == options.cases // 10:
                early = memory_kib()
        targets.pool.shutdown()
    grown = round(memory_kib() / early - 1, 4)
    for way, outcomes in seen.items():
        print(f"{way:9} {sum(outcomes.values()):>9,}: {', '.join(f'{k} {n:,}' for k, n in outcomes.most_common(9))}")
    bad = sum(outcomes["INTERNAL"] + outcomes["500"] for outcomes in seen.values())
    for words, number in (*foreign.most_common(10), *faults.seen.most_common(10)):
        print(f"  {number} x {words}")
    expected = options.cases // GOOD
    passes = not (bad or foreign or slow) and good == expected and grown <= GROWS
    last_line(
        "fuzz",
        {"cases": options.cases, "defects": bad, "foreign": sum(foreign.values()), "slow": slow, "good": good,
         "good_expected": expected, "memory_grown": grown, "passes": passes},
        Conditions(**here(), batch_size=1, link="none", runtime="onnxruntime", dtype="fp32"),
        seed=options.seed,
    )  # fmt: skip


class Defects(logging.Handler):
    """What the node's log calls a defect."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen = Counter[str]()

    def emit(self, record: logging.LogRecord) -> None:
        """Count it by its error."""
        self.seen[f"{record.getMessage()[:60]}: {record.exc_info[1]!r}"[:200] if record.exc_info else ""] += 1


if __name__ == "__main__":
    main()
