"""A classifier as a verb's argument names it, and the shape of its input."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from offramp.errors import InputError

if TYPE_CHECKING:
    from offramp.graphs.source import GraphSource

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="An .onnx file, or package.module:function that gives a torch module, or one and an example.",
    ),
]
InputShape = Annotated[
    str | None,
    typer.Option("--shape", help="Of one sample, like 3x224x224: for a torch module, or where a file leaves it free."),
]


def read_shape(text: str | None) -> tuple[int, ...] | None:
    """Read a shape like 3x224x224.

    >>> read_shape("3x224x224"), read_shape("128")
    ((3, 224, 224), (128,))
    """
    if text is None:
        return None
    try:
        shape = tuple(int(size) for size in text.split("x"))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise InputError(f"shape {text!r}: expected sizes of one sample like 3x224x224, without the batch.")
    return shape


def graph_source(model: str, shape: tuple[int, ...] | None) -> "GraphSource":
    """Read the classifier that an argument names; only a torch module needs torch."""
    from offramp.cli.frame import needs_onnx, needs_torch

    needs_onnx("boundaries")
    from offramp.graphs.source import parse_graph, read_graph

    if ":" not in model or Path(model).is_file():
        return read_graph(Path(model), shape)
    needs_torch("boundaries")
    from offramp.export.module import load_with_example, module_graph

    return parse_graph(module_graph(*load_with_example(model, shape)), model)
