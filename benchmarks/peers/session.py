"""The one thing that every peer runs: the graph, on onnxruntime, with the same settings as offramp's own span."""

import os

import numpy as np
import onnxruntime as ort


class Session:
    """Image batch in, logits out, as raw bytes: shape first (four int64), then the values."""

    def __init__(self) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = int(os.environ["PEER_THREADS"])
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = ort.InferenceSession(os.environ["PEER_GRAPH"], options, providers=["CPUExecutionProvider"])
        self.name = self.session.get_inputs()[0].name

    def run(self, image: np.ndarray) -> np.ndarray:
        """Logits of a batch."""
        return self.session.run(None, {self.name: image})[0]

    def run_bytes(self, body: bytes) -> bytes:
        """The same on raw bytes."""
        shape = np.frombuffer(body, np.int64, 4)
        return self.run(np.frombuffer(body, np.float32, offset=32).reshape(shape)).tobytes()
