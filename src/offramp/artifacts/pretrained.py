"""Weights that come with the package: a checkpoint and its bundle, what they were trained by and how right they are."""

from importlib.resources import files
from pathlib import Path

from offramp.errors import InputError

MEM = "cifar10-small-mem"


def pretrained(name: str = MEM) -> Path:
    """Give the folder of a network that comes with the package; `bundle` in it is what nodes take.

    >>> (pretrained() / "bundle" / "graph.onnx").is_file()
    True
    """
    if name not in known():
        raise InputError(f"pretrained network {name!r}: unknown. There is {', '.join(known())}.")
    return _root() / name


def known() -> list[str]:
    """Give the names of those that there are."""
    return sorted(folder.name for folder in _root().iterdir() if folder.is_dir())


def _root() -> Path:
    return Path(str(files("offramp"))) / "pretrained"
