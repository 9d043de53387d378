"""Nodes and links as processes of this machine: started, waited for, stopped; whatever happens, none is left behind."""

import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from offramp.artifacts.engine import PORTABLE, Engine
from offramp.artifacts.plan import Plan
from offramp.errors import LinkError
from offramp.link.shape import LinkShape
from offramp.nodes.process import HTTP, READY

START_TIMEOUT = 60.0
STOP_TIMEOUT = 40.0


class Process:
    """A running `offramp` that says when it is ready: a node, or a link."""

    name = "a link"

    def __init__(self, *arguments: str) -> None:
        # onnxruntime and grpc read the number of threads from the session; OMP would add its own on top.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "offramp", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        self.lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.output: list[str] = []
        self.ready: list[str] = []  # words of the line that says so
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line)
            self.lines.put(line)
        self.lines.put(None)

    def address(self, timeout: float = START_TIMEOUT) -> str:
        """Wait until it is ready and give its HOST:PORT, of a node's gRPC side."""
        return self._ready_words(timeout)[1]

    def _ready_words(self, timeout: float) -> list[str]:
        if self.ready:
            return self.ready
        while True:
            try:
                line = self.lines.get(timeout=timeout)
            except queue.Empty:
                raise LinkError(
                    f"{self.name} was not ready after {timeout:g} s. It said: {''.join(self.output)}"
                ) from None
            if line is None:
                raise LinkError(f"{self.name} stopped before it was ready. It said: {''.join(self.output)}")
            if line.startswith(READY + " "):
                self.ready = line.split()
                return self.ready

    def stop(self) -> int:
        """Ask it to stop, as an orchestrator does, and wait; give its exit code."""
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
        code = self.process.wait()
        self.reader.join(5)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


class Node(Process):
    """A running node."""

    name = "a node"

    def __init__(self, *arguments: str) -> None:
        super().__init__("serve", *arguments)

    def http_address(self, timeout: float = START_TIMEOUT) -> str:
        """Wait until the node is ready and give the HOST:PORT of its HTTP side."""
        words = self._ready_words(timeout)
        return words[words.index(HTTP) + 1]


@contextmanager
def running(*arguments: str) -> Iterator[Node]:
    """Run a node: `running("cloud", "bundle", "--port", "0")`."""
    node = Node(*arguments)
    try:
        yield node
    finally:
        node.stop()


@contextmanager
def link(shape: LinkShape, to: str) -> Iterator[str]:
    """Run a link to `to`, HOST:PORT, as a process of its own; give the HOST:PORT where it begins."""
    process = Process("link", str(shape), "--to", to, "--port", "0")
    try:
        yield process.address()
    finally:
        process.stop()


@contextmanager
def edge_and_cloud(bundle: Path, plan: Plan, *, threads: int = 0, engine: Engine = PORTABLE) -> Iterator[str]:
    """Run a cloud and an edge of the same bundle on free ports of this machine; give the edge's HOST:PORT."""
    common = ("--port", "0", "--threads", str(threads), "--runtime", engine.runtime, "--precision", engine.precision)
    with tempfile.TemporaryDirectory() as folder, running("cloud", str(bundle), *common) as cloud:
        file = Path(folder) / "plan.json"
        plan.write(file)
        with running("edge", str(bundle), "--plan", str(file), "--cloud", cloud.address(), *common) as edge:
            yield edge.address()
