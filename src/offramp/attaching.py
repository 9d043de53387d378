"""Attach exits to a classifier that is there already: from its graph and labelled samples to a checkpoint.

The graph stays as it is, byte for byte; heads at some of its boundaries learn from what it computes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from offramp.artifacts.data_record import DataSource
from offramp.artifacts.inputs import TOKENIZER, Input
from offramp.artifacts.preprocessing import Preprocessing
from offramp.data.image_set import Splits
from offramp.data.load import load
from offramp.errors import DataError, InputError
from offramp.graphs.boundaries import find_boundaries
from offramp.graphs.boundary import Boundaries, Boundary
from offramp.graphs.inputs import adapted, takes_of
from offramp.graphs.pick import AUTO, Wanted, pick
from offramp.graphs.source import GraphSource, parse_graph, read_graph
from offramp.graphs.spec import InputSpec
from offramp.graphs.stages import staged
from offramp.models.attached import attached_network
from offramp.models.checkpoint import Checkpoint
from offramp.models.graph_network import BACKBONE, GraphNetwork
from offramp.models.heads import GraphHead
from offramp.progress import Watch, unwatched
from offramp.train.attached import AttachedRun, train_attached
from offramp.train.heads import HeadRecipe
from offramp.train.observe import Observer
from offramp.train.stand import MOST

if TYPE_CHECKING:
    from torch import nn

    from offramp.export.module import Example


@dataclass(frozen=True)
class Job:
    """On what, into which folder and under which name exits are attached, and who looks on."""

    data: str | DataSource | Splits
    out: Path
    name: str
    classes: Sequence[str] | None = None
    seed: int = 0
    threads: int | None = None
    most: int = MOST  # bytes of features that are kept in the folder meanwhile
    observers: Sequence[Observer] = ()
    watch: Watch = unwatched

    def splits(self, prepared: "Prepared") -> Splits:
        """The data as a network takes them; DataError where they are not of its classes."""
        read = self.data
        if isinstance(read, Splits):
            splits = read
        else:
            said = None if self.classes is None else tuple(self.classes)
            splits = load(read, prepared.takes, seed=self.seed, classes=said, watch=self.watch)
        check_classes(splits, prepared.source, self.classes)
        return splits


@dataclass(frozen=True)
class Prepared:
    """A classifier that takes what offramp sends, and its boundaries."""

    source: GraphSource
    takes: Input
    found: Boundaries
    spec: InputSpec
    own_shape: tuple[int, ...]  # of one sample of its first input, before it was made to take `image`

    @classmethod
    def of(cls, source: GraphSource, spec: InputSpec, watch: Watch = unwatched) -> "Prepared":
        """Make a graph take `image` as a spec says, and find where it can be cut."""
        takes = takes_of(source, spec)
        ready = adapted(source, spec)
        watch("finding boundaries", 0, 1)
        own = next(iter(source.inputs.values())).shape
        return cls(ready, takes, find_boundaries(ready), spec, own)

    def network(
        self, chosen: Sequence[Boundary], classes: tuple[str, ...], model: str, head: GraphHead, takes: Input
    ) -> tuple[GraphNetwork, dict[str, bytes]]:
        """The document of a network with exits at some boundaries, and the files that it stands on."""
        backbone = staged(self.source, chosen)
        files = {BACKBONE: backbone} | ({} if self.spec.tokenizer is None else {TOKENIZER: self.spec.tokenizer})
        network = attached_network(
            chosen, files, macs=self.found.macs, model=model, classes=classes, takes=takes, head=head
        )
        return network, files


def attach(
    model: "str | Path | bytes | nn.Module",
    example: "Example | None" = None,
    exits: Wanted = AUTO,
    *,
    data: str | DataSource | Splits,
    out: str | Path,
    classes: Sequence[str] | None = None,
    input: InputSpec | None = None,
    name: str | None = None,
    recipe: HeadRecipe | None = None,
    seed: int = 0,
    threads: int | None = None,
    most: int = MOST,
    observers: Sequence[Observer] = (),
    watch: Watch = unwatched,
) -> Checkpoint:
    """Give a classifier exits: train heads on its features, and write a checkpoint into `out`.

    `model` is an ONNX file's path or content, or a torch module in evaluation mode with an `example` (one sample's
    shape, or a batch). `exits` is `auto`, how many (the network's own among them), or names or numbers of boundaries;
    `data` what `offramp train --data` takes, or splits that are loaded; `classes` what its outputs are called,
    in their order, into which the data's labels are brought; `input` what it was trained to be given (nothing said:
    images in [0, 1]).
    Heads see each training sample's features once computed; `most` bytes of them are kept in `out` meanwhile.

    Raises InputError for a network, exits or inputs that do not fit, DataError for data that do not, TrainingError
    where `out` holds a run already.
    """
    prepared = Prepared.of(source_of(model, example), input or InputSpec(), watch)
    job = Job(data, Path(out), name or named(model), classes, seed, threads, most, observers, watch)
    return attach_at(prepared, pick(prepared.found, exits), job, recipe or HeadRecipe())


def attach_at(prepared: Prepared, chosen: Sequence[Boundary], job: Job, recipe: HeadRecipe) -> Checkpoint:
    """The same, with the boundaries found and chosen."""
    splits = job.splits(prepared)
    takes = as_read(prepared.takes, splits)
    network, files = prepared.network(chosen, splits.train.classes, job.name, recipe.head, takes)
    run = AttachedRun(network, files, recipe, _called(job.data, splits), job.seed, in_order=job.classes is not None)
    return train_attached(
        run, splits, job.out, threads=job.threads, most=job.most, observers=job.observers, watch=job.watch
    )


def source_of(model: "str | Path | bytes | nn.Module", example: "Example | None" = None) -> GraphSource:
    """Read a classifier: a file, its content, or a torch module, which is exported."""
    shape = example if isinstance(example, tuple) and all(isinstance(size, int) for size in example) else None
    if isinstance(model, str | Path):
        return read_graph(Path(model), shape)
    if isinstance(model, bytes):
        return parse_graph(model, "model", shape)
    from offramp.export.module import module_graph

    if example is None:
        raise InputError("example: a torch module needs one, of one sample's shape like (3, 224, 224), or a batch.")
    return parse_graph(module_graph(model, example), f"module {type(model).__name__}")


def named(model: object) -> str:
    """What a network is called where nobody says: its file, its factory, its class."""
    if isinstance(model, str | Path):
        return str(model).rpartition(":")[2] if ":" in str(model) else Path(model).stem
    return "model" if isinstance(model, bytes) else type(model).__name__.lower()


def check_classes(splits: Splits, source: GraphSource, classes: Sequence[str] | None) -> None:
    """Raise DataError unless the data's classes are the network's outputs, in their order."""
    theirs = splits.train.classes
    if len(theirs) != source.classes:
        raise DataError(
            f"{splits.train.name}: its classes are {_some(theirs)}, and {source.origin} has {source.classes} outputs. "
            "Give the data that it was trained on."
        )
    if classes is not None and tuple(classes) != theirs:
        same = "in another order: load them in this one" if set(classes) == set(theirs) else "others"
        raise DataError(
            f"{splits.train.name}: its classes are {_some(theirs)}, and the network's {_some(tuple(classes))}; {same}. "
            "Each output needs the samples of its own class."
        )


def as_read(takes: Input, splits: Splits) -> Input:
    """What the network takes, images read as those of the splits were."""
    if splits.record is None or not isinstance(takes, Preprocessing):
        return takes
    return takes.model_copy(update={"reading": splits.record.read_as})


def _some(classes: tuple[str, ...]) -> str:
    return f"{', '.join(classes[:5])}{'…' if len(classes) > 5 else ''} ({len(classes)})"


def _called(data: str | DataSource | Splits, splits: Splits) -> str:
    """What a card calls the data."""
    if isinstance(data, Splits):
        return splits.record.source.data if splits.record else splits.train.name
    return data.data if isinstance(data, DataSource) else data
