"""What a folder of several views makes of samples: each device alone, and every choice of devices that are there.

It runs the spans that the nodes run, each on onnxruntime, and joins as they do: offline, on one machine.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from offramp.artifacts.codec import Codec
from offramp.artifacts.engine import PORTABLE, Engine
from offramp.artifacts.stages import logits_name
from offramp.artifacts.views import ViewsFolder
from offramp.data.view_set import ViewSet
from offramp.errors import InputError
from offramp.exits.joining import join
from offramp.runtime.open import open_span
from offramp.runtime.span import Span, SpanSpec

AT_ONCE = 64
Floats = npt.NDArray[np.float32]
Exits = Mapping[int, Floats]  # logits `(N, classes)` by exit of the joint part


@dataclass(frozen=True)
class Seen:
    """What the devices made of samples: their own logits, and their features as they came through a codec."""

    names: tuple[str, ...]
    logits: Mapping[str, Floats]  # by view `(N, classes)`
    features: Mapping[str, Floats]  # by view `(N, *shape)`, decoded
    there: npt.NDArray[np.bool_]  # (N, V)
    labels: npt.NDArray[np.int64]

    def had(self, names: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Which views are joined `(N, V)` where only some devices speak, of those that see the sample."""
        return self.there & np.isin(self.names, list(names))


def seen(folder: ViewsFolder, views: ViewSet, codec: Codec = "fp32", engine: Engine = PORTABLE) -> Seen:
    """Run every device's part on its own view, and its features through a codec."""
    if views.names != folder.views.names:
        raise InputError(
            f"{views.name}: has the views {', '.join(views.names)}, and {folder.path} was trained on "
            f"{', '.join(folder.views.names)}."
        )
    theirs, ours = next(iter(views.views.values())).classes, folder.joint.manifest.classes
    if theirs != ours:
        raise InputError(
            f"{views.name}: its classes are {', '.join(theirs[:5])} ({len(theirs)}), and {folder.path} tells "
            f"{', '.join(ours[:5])} ({len(ours)}) apart, in this order. Give data of these."
        )
    logits, features = {}, {}
    for name, bundle in folder.devices.items():
        cut = folder.cut(name)
        manifest = bundle.manifest
        manifest.check_cut(cut, codec)
        front = open_span(bundle, SpanSpec(0, cut, (cut,), codec), engine)
        decoded = None if codec == "fp32" else open_span(bundle, SpanSpec(cut, cut, (), "fp32", codec), engine)
        (sent,) = manifest.tensors(cut)
        found: list[tuple[Floats, Floats]] = []
        for batch in _batches(bundle.read(views.views[name].images)):
            outputs = front.run(batch)
            arrived = outputs[sent] if decoded is None else decoded.run(outputs[sent])[sent]
            found.append((outputs[logits_name(cut)], arrived))
        logits[name], features[name] = (np.concatenate(part) for part in zip(*found, strict=True))
    return Seen(views.names, logits, features, views.there, views.labels)


def joint_span(folder: ViewsFolder, engine: Engine = PORTABLE) -> Span:
    """What comes behind the join, with all of its exits."""
    manifest = folder.joint.manifest
    return open_span(folder.joint, SpanSpec(0, manifest.last, manifest.exits), engine)


def joined(folder: ViewsFolder, span: Span, of: Seen, had: npt.NDArray[np.bool_]) -> Exits:
    """Logits of the exits behind the join, of what it `had` `(N, V)`: at least one view of each sample."""
    features = join([of.features[name] for name in of.names], had, folder.views.join)
    found = [span.run(batch) for batch in _batches(features)]
    exits = folder.joint.manifest.exits
    return {exit_: np.concatenate([outputs[logits_name(exit_)] for outputs in found]) for exit_ in exits}


def accuracy(logits: Floats, labels: npt.NDArray[np.int64]) -> float:
    """Share that is right."""
    return float((logits.argmax(axis=1) == labels).mean())


def of_each(of: Seen) -> dict[str, float]:
    """Each device's accuracy by its own exit, of the samples that it sees."""
    return {
        name: accuracy(of.logits[name][of.there[:, number]], of.labels[of.there[:, number]])
        for number, name in enumerate(of.names)
    }


def by_devices(folder: ViewsFolder, of: Seen, engine: Engine = PORTABLE) -> dict[tuple[str, ...], dict[int, float]]:
    """Accuracy of each exit behind the join for every choice of devices, the samples that none of them sees apart."""
    span = joint_span(folder, engine)
    found = {}
    for count in range(1, len(of.names) + 1):
        for names in combinations(of.names, count):
            had = of.had(names)
            any_ = had.any(axis=1)
            kept = Seen(
                of.names, of.logits, {name: one[any_] for name, one in of.features.items()}, of.there[any_],
                of.labels[any_],
            )  # fmt: skip
            exits = joined(folder, span, kept, had[any_])
            found[names] = {exit_: accuracy(logits, kept.labels) for exit_, logits in exits.items()}
    return found


def by_count(found: Mapping[tuple[str, ...], Mapping[int, float]], exit_: int) -> dict[int, float]:
    """Accuracy by the number of devices that speak: the mean over all choices of so many."""
    counts = sorted({len(names) for names in found})
    return {
        count: float(np.mean([exits[exit_] for names, exits in found.items() if len(names) == count]))
        for count in counts
    }


def _batches(batch: Floats) -> Iterator[Floats]:
    for start in range(0, len(batch), AT_ONCE):
        yield batch[start : start + AT_ONCE]
