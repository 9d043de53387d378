"""A bundle's tails as a model repository of Triton: a folder a model, `config.pbtxt`, labels and ONNX by version.

Written by Triton's own schema, `ModelConfig` of its model_config.proto, without its package: a test parses it by that.
Knows nothing of where the repository goes; needs no torch.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import DATATYPES, Codec, tail_name
from offramp.artifacts.new_folder import write_folder
from offramp.artifacts.stages import logits_name
from offramp.errors import InputError
from offramp.runtime.portable import portable
from offramp.runtime.tier_spans import tail_span

NOUN = "a model repository"
LABELS = "labels.txt"
MODEL = "model.onnx"
BATCH, QUEUE = 64, 256  # of a node's own batcher: samples that are run at once, and that may wait
MOST = 256  # samples that one request may hold, of a node's own cloud
LAST_VERSION = 2**31 - 1


@dataclass(frozen=True)
class Tail:
    """A model of the repository: what follows a boundary whose features come in a codec."""

    boundary: int
    codec: Codec

    @property
    def name(self) -> str:
        """As an edge asks for it."""
        return tail_name(self.boundary, self.codec)


@dataclass(frozen=True)
class Repository:
    """How tails are served. `max_batch` is the most samples of a request, and of a batch that the server makes."""

    version: int = 1
    max_batch: int = MOST

    def __post_init__(self) -> None:
        if not 1 <= self.version <= LAST_VERSION:
            raise InputError(f"version {self.version}: Triton's models are numbered from 1 to {LAST_VERSION}.")
        if self.max_batch < 1:
            raise InputError(f"batch of {self.max_batch}: a request holds one sample at least.")


def tails_of(bundle: Bundle, named: Sequence[str] = ()) -> list[Tail]:
    """Those named, in the bundle's order; without names every one that a plan may use. InputError where one is not."""
    every = [Tail(cut.boundary, codec) for cut in bundle.manifest.cuts for codec in cut.codecs]
    names = [tail.name for tail in every]
    for name in named:
        if name not in names:
            raise InputError(f"tail {name!r}: {bundle.manifest.model} has {', '.join(names)}. Choose of them.")
    return [tail for tail in every if not named or tail.name in named]


def write_repository(path: Path, bundle: Bundle, tails: Iterable[Tail], how: Repository | None = None) -> None:
    """Write the tails' repository whole or not at all; ArtifactError where there is something already, or no room."""
    write_folder(path, _files(bundle, tails, how or Repository()), NOUN)


def _files(bundle: Bundle, tails: Iterable[Tail], how: Repository) -> Iterator[tuple[str, bytes]]:
    """Paths in the repository, and what is there."""
    labels = "".join(f"{' '.join(name.split())}\n" for name in bundle.manifest.classes).encode()
    for tail in tails:
        yield f"{tail.name}/config.pbtxt", model_config(bundle, tail, how).encode()
        yield f"{tail.name}/{LABELS}", labels
        graph = portable(bundle, tail_span(bundle.manifest.last, tail.boundary, tail.codec)).graph
        yield f"{tail.name}/{how.version}/{MODEL}", graph


def model_config(bundle: Bundle, tail: Tail, how: Repository) -> str:
    """A tail's `config.pbtxt`. What its version is of stands in the parameters: such a server cannot name a bundle."""
    manifest = bundle.manifest
    inputs = [
        f"{{ name: {_text(name)} data_type: TYPE_{DATATYPES[form]} dims: [ {', '.join(map(str, shape))} ] }}"
        for name, (form, shape) in manifest.crossing(tail.boundary, tail.codec).items()
    ]
    said = {
        "bundle": bundle.id,
        "model": manifest.model,
        "boundary": str(tail.boundary),
        "codec": tail.codec,
    }
    parameters = [f"{{ key: {_text(key)} value {{ string_value: {_text(value)} }} }}" for key, value in said.items()]
    return (
        f"name: {_text(tail.name)}\n"
        'backend: "onnxruntime"\n'
        f'default_model_filename: "{MODEL}"\n'
        f"max_batch_size: {how.max_batch}\n"
        f"input [ {', '.join(inputs)} ]\n"
        f"output [ {{ name: {_text(logits_name(manifest.last))} data_type: TYPE_FP32 "
        f'dims: [ {len(manifest.classes)} ] label_filename: "{LABELS}" }} ]\n'
        f"version_policy {{ specific {{ versions: [ {how.version} ] }} }}\n"
        "dynamic_batching {\n"
        f"  preferred_batch_size: [ {min(BATCH, how.max_batch)} ]\n"
        f"  default_queue_policy {{ max_queue_size: {QUEUE} }}\n"
        "}\n" + "".join(f"parameters {one}\n" for one in parameters)
    )


def _text(value: str) -> str:
    """A string of protobuf's text format."""
    named = {"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t"}
    return '"' + "".join(named.get(character, character) for character in value) + '"'
