"""The ONNX graph of any torch module: exported with a free batch, its modules' paths kept.

Takes a module in evaluation mode and an example, or the name of a function that gives them; gives what
`offramp.graphs` reads. Knows nothing of exits.
"""

import importlib
import inspect
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from offramp.errors import InputError
from offramp.export.decompositions import DECOMPOSITIONS
from offramp.export.graph import OPSET
from offramp.graphs.external import check_bytes
from offramp.graphs.names import SCOPES

Shape = tuple[int, ...]
Example = Shape | Tensor | Sequence[Tensor] | Mapping[str, Tensor]
BATCH = 2  # of the example: of 1, torch takes the batch for a constant
INNER = "network"  # what a wrapped module is called inside of its wrapper
LOGITS = "logits"


def load_factory(name: str) -> tuple[nn.Module, Example | None]:
    """Call `package.module:function`: it gives a module, or a module and its example.

    The working directory is looked through first, as `python -m` does. Raises InputError for what is not there, what
    raises, and what is no module.
    """
    where, colon, function = name.partition(":")
    if not colon or not where or not function:
        raise InputError(
            f"model {name!r}: expected an .onnx file, or package.module:function that gives a torch module."
        )
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(where), function)
        given = found() if not isinstance(found, nn.Module) else found
    except Exception as error:  # a user's own code
        raise InputError(
            f"model {name!r}: {type(error).__name__}: {error}. Check its name, and that it runs."
        ) from error
    finally:
        sys.path.remove(here)
    model, example = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
    if not isinstance(model, nn.Module):
        raise InputError(
            f"model {name!r}: gave a {type(model).__name__}, and a torch.nn.Module is needed, or one and an example."
        )
    return model, example


def load_with_example(name: str, shape: tuple[int, ...] | None) -> tuple[nn.Module, Example]:
    """The same with an example of its input, a `shape` that was said or its own; InputError where there is none."""
    model, own = load_factory(name)
    example = own if shape is None else shape
    if example is None:
        raise InputError(
            f"model {name!r}: gives no example of its input. Say the shape of one sample (--shape 3x224x224), or have "
            "the function give (module, example)."
        )
    return model, example


def module_graph(model: nn.Module, example: Example) -> bytes:
    """Export a module in evaluation mode as an ONNX graph with a free batch, its weights inside.

    `example` is one sample's shape, for fp32 inputs; or a batch as a tensor, several in order, or by the names that
    `forward` has. Raises InputError for a module in training mode, and where torch cannot export it.
    """
    if inside := next((path or "it" for path, part in model.named_modules() if part.training), None):
        raise InputError(
            f"{_called(model)}: {inside} is in training mode. Call .eval() first: exits are cut as it is then."
        )
    check_bytes(_called(model), sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values()))
    args, kwargs = _example(example)
    with torch.no_grad(), _quiet():
        wrapped = _wrapped(model, args, kwargs)
        names = [*kwargs] or [*inspect.signature(model.forward).parameters][: len(args)]
        free = {0: torch.export.Dim.DYNAMIC}
        shapes: Any = dict.fromkeys(kwargs, free) if kwargs else (free,) * len(args)
        if wrapped is not model:
            args, kwargs, shapes = (*args, *kwargs.values()), {}, ((free,) * len(names),)
        try:
            program = torch.export.export(wrapped, args, kwargs, dynamic_shapes=shapes)
            # In-place operations become plain ones: what is tapped before one would hold the value from after it.
            program = program.run_decompositions(DECOMPOSITIONS)
            exported = torch.onnx.export(
                program, input_names=names, output_names=[LOGITS], opset_version=OPSET, dynamo=True, verbose=False,
                external_data=False,
            )  # fmt: skip
            assert exported is not None
            graph: onnx.ModelProto = exported.model_proto
        except Exception as error:  # torch's own, unlisted
            raise InputError(
                f"{_called(model)}: torch {torch.__version__} cannot export it ({_cause(error)}). Try an example of "
                "another size; take out what depends on values (if, .item()), and what makes a number of the batch "
                "(len(x): write x.shape[0]); or export it to ONNX yourself and give the file."
            ) from error
    if wrapped is not model:
        _unwrap(graph)
    content: bytes = graph.SerializeToString()
    return content


class _Logits(nn.Module):
    """A module whose answer holds the logits, as one that gives them alone; its arguments in order, some by name."""

    def __init__(self, network: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.network, self.names = network, tuple(names)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Give the logits."""
        named = dict(zip(self.names, inputs, strict=True)) if self.names else {}
        logits: Tensor = _logits(self.network(**named) if named else self.network(*inputs))
        return logits


def _logits(answer: Any) -> Any:
    """What a network's answer holds of logits: itself, `.logits`, `["logits"]`, or the one tensor in it."""
    if isinstance(answer, Mapping):
        return answer.get(LOGITS, next(iter(answer.values())) if len(answer) == 1 else answer)
    if isinstance(answer, tuple | list) and len(answer) == 1:
        return answer[0]
    return getattr(answer, LOGITS, answer)


def _wrapped(model: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> nn.Module:
    """The module as one that gives its logits alone."""
    try:
        answer = model(*args, **kwargs)
    except Exception as error:  # a user's own code
        sizes = ", ".join(str(tuple(tensor.shape)) for tensor in (*args, *kwargs.values()))
        raise InputError(
            f"{_called(model)}: does not run on {sizes} ({_cause(error)}). Give an example that it takes."
        ) from error
    if isinstance(answer, Tensor):
        return model
    if not isinstance(_logits(answer), Tensor):
        raise InputError(
            f"{_called(model)}: gives a {type(answer).__name__}, and no logits by that name in it. Give a module that "
            "answers with the logits alone."
        )
    return _Logits(model, [*kwargs]).eval()


def _example(example: Example) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """The example as arguments, in a batch of 2."""
    if isinstance(example, Mapping):
        return (), {name: _of_two(tensor) for name, tensor in example.items()}
    if isinstance(example, Tensor):
        return (_of_two(example),), {}
    sizes = [size for size in example if isinstance(size, int)]
    if len(sizes) == len(example) and prod(sizes) > 0:
        return (torch.rand(BATCH, *sizes, generator=torch.Generator().manual_seed(0)),), {}
    return tuple(map(_of_two, example)), {}


def _of_two(tensor: object) -> Tensor:
    """A batch of two samples of what a tensor has."""
    if not isinstance(tensor, Tensor) or tensor.ndim < 1 or not len(tensor):
        raise InputError("example: expected one sample's shape, or tensors with the batch as their first axis.")
    return torch.cat([tensor, tensor])[:BATCH].contiguous()


@contextmanager
def _quiet() -> Iterator[None]:
    """Neither torch's warnings nor its exporter's log: what matters of them is in our errors."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _unwrap(graph: onnx.ModelProto) -> None:
    """Take the wrapper out of the modules' paths."""
    for node in graph.graph.node:
        for entry in node.metadata_props:
            if entry.key == SCOPES:
                entry.value = entry.value.replace(f"'{INNER}.", "'").replace(f"'{INNER}'", "''")


def _cause(error: BaseException) -> str:
    """What went wrong first, in a line: of a constraint, what broke it and not that one was broken."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    line = lines[1].removeprefix("- ") if lines[0].startswith("Constraints violated") and len(lines) > 1 else lines[0]
    return line if len(line) <= 300 else line[:299] + "…"


def _called(model: nn.Module) -> str:
    return f"module {type(model).__name__}"
