"""What computes a network: a runtime, the precision that it multiplies in, and the threads that it does so on."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal, get_args

Runtime = Literal["onnxruntime", "openvino"]
Precision = Literal["fp32", "bf16", "int8"]
RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@dataclass(frozen=True)
class Engine:
    """A runtime and a precision, which decide what a span computes, up to rounding; and on how many threads."""

    runtime: Runtime = "onnxruntime"
    precision: Precision = "fp32"
    threads: int = 0  # 0: one for every core

    def __str__(self) -> str:
        return f"{self.runtime} {self.precision}"

    @property
    def release(self) -> str:
        """The runtime with its version: what a measurement records."""
        try:
            return f"{self.runtime} {version(self.runtime)}"
        except PackageNotFoundError:  # installed under another name: onnxruntime-gpu and its like
            return self.runtime


PORTABLE = Engine()  # what every node has


@dataclass(frozen=True)
class Place:
    """What numbers were computed by: a runtime with its version, a precision, and a kind of processor.

    The same span gives the same numbers at two equal places, bit for bit, in fp32 and int8, whatever the batch size and
    threads (measured on onnxruntime 1.32 and OpenVINO 2026.4). An empty field is not known, and equals nothing.
    """

    release: str
    precision: Precision
    hardware: str

    def alike(self, other: "Place | None") -> bool:
        """Whether both are known and the same."""
        return self == other and bool(self.release) and bool(self.hardware)
