"""Requests by a client in C: `h2load` (Debian's nghttp2-client) posts one body over and over, over gRPC a message."""

import struct
import subprocess
from pathlib import Path

import grpc
import numpy as np
import numpy.typing as npt

from offramp.artifacts.stages import IMAGE
from offramp.nodes.contract import CLASSIFIER
from offramp.protocol import messages

Floats = npt.NDArray[np.float32]
CALL = f"/{messages.SERVICE}/ModelInfer"
OK = "200"


def message(batch: Floats) -> bytes:
    """A request for the answers to a batch."""
    request = messages.ModelInferRequest(model_name=CLASSIFIER, raw_input_contents=[batch.tobytes()])
    request.inputs.add(name=IMAGE, datatype="FP32", shape=batch.shape)
    content: bytes = request.SerializeToString()
    return content


def over_grpc(address: str, batch: Floats) -> Floats:
    """One answer's probabilities `(N, classes)`."""
    with grpc.insecure_channel(address) as channel:
        content = channel.unary_unary(CALL)(message(batch), timeout=30)
    answer = messages.ModelInferResponse.FromString(content)
    position = [output.name for output in answer.outputs].index("probabilities")
    shape = [*answer.outputs[position].shape]
    return np.frombuffer(answer.raw_output_contents[position], np.float32).reshape(shape)


def h2load(address: str, batch: Floats, connections: int, seconds: int, folder: Path) -> dict[str, float]:
    """Samples a second of so many connections with one request each, and seconds a request (p50, p99)."""
    content = message(batch)
    framed = b"\0" + struct.pack(">I", len(content)) + content
    said = {"content-type": "application/grpc", "te": "trailers"}
    took = posted(f"http://{address}{CALL}", framed, said, connections, seconds, folder)
    return {
        "rate": len(batch) * len(took) / seconds,
        "p50": float(np.percentile(took, 50)),
        "p99": float(np.percentile(took, 99)),
    }


def posted(
    url: str, content: bytes, headers: dict[str, str], connections: int, seconds: int, folder: Path, *flags: str
) -> npt.NDArray[np.float64]:
    """Post over and over from so many connections; the seconds that each request took, all of them answered."""
    log, body = folder / "requests", folder / "body"
    body.write_bytes(content)
    log.unlink(missing_ok=True)
    said = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    command = (
        "h2load", *flags, "-c", str(connections), "-m", "1", "-t", "1", "-D", str(seconds), "-d", str(body),
        *said, "--log-file", str(log), url,
    )  # fmt: skip
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    rows = [line.split("\t") for line in log.read_text().splitlines()]  # start in us, status, time in us
    took = np.array([float(took) for _, status, took in rows if status == OK]) / 1e6
    if len(took) < len(rows) or not len(took):
        raise SystemExit(f"{url}: {len(rows) - len(took)} of {len(rows)} requests failed.\n{told}")
    return took
