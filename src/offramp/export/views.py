"""Write a trained network of several views as a folder: a bundle for each device, one behind the join, `views.json`."""

import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.document import check_output, writing
from offramp.artifacts.inputs import read_samples
from offramp.artifacts.views import JOINT, MISSING, VIEWS, View, Views, ViewsFolder
from offramp.data.image_set import ImageSet
from offramp.data.view_set import ViewSet
from offramp.errors import ArtifactError
from offramp.export.bits import Bits
from offramp.export.write import export
from offramp.machine import commit, processor
from offramp.models.architecture import Architecture
from offramp.models.checkpoint import Checkpoint, ModelCard
from offramp.models.exit_net import ExitNet
from offramp.models.views import CUT
from offramp.models.views_net import TrainedViews, ViewsNet, join, signs


def export_views(trained: TrainedViews, out: Path, calibration: ViewSet, data: str) -> ViewsFolder:
    """Write the parts into `out`, calibrated on samples that no weight was fitted to, and open them again.

    A network that was trained for bits crosses as signs in one bit a value, another by two means a channel; logits do
    not cross so. Whole or not at all: what `out` held stays until all parts of the new one are there. Raises
    ArtifactError where `out` holds something else, ParityError as `export` does.
    """
    check_views_folder(out)
    with writing(out):
        beside = out if out.is_dir() else out.parent  # which may be a mount
        beside.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=beside, prefix=f".{out.name}."))
    try:
        _write(trained, unfinished, calibration, data)
        with writing(out):
            _put(unfinished, out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return ViewsFolder.open(out)


def check_views_folder(out: Path) -> None:
    """Raise ArtifactError unless a folder of views can be written at `out`: for before it is trained."""
    check_output(out, folder=True)
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / VIEWS).exists())):
        raise ArtifactError(f"{out}: holds something else than a folder of views. Choose an empty or a new folder.")


def _put(whole: Path, out: Path) -> None:
    """Rename a whole folder to `out`, in place of the parts that are there."""
    whole.chmod(0o755)  # a node reads it as another user
    if not out.exists():
        whole.rename(out)
        return
    (out / VIEWS).unlink(missing_ok=True)  # a folder with that file is a whole one
    for part in sorted(path for path in whole.iterdir() if path.is_dir()):
        if (out / part.name).exists():
            shutil.rmtree(out / part.name)
        part.rename(out / part.name)
    (whole / VIEWS).rename(out / VIEWS)


def _write(trained: TrainedViews, out: Path, calibration: ViewSet, data: str) -> None:
    """Write every part into a new folder, and what they are last."""
    net, document = trained.net, trained.net.document
    bits: Bits = "sign" if document.bits else "means"
    crossing: Mapping[int, Bits] = {CUT: bits} if document.at == "features" else {}
    bundles = {}
    for name in document.names:
        seen = calibration.only((name,)).views[name]
        bundles[name] = _export(document.alone(name), net.alone(name), trained, out / name, seen, data, crossing)
    joint = _export(document.behind_the_join(), net.joint(), trained, out / JOINT, _joined(net, calibration), data, {})
    Views(
        views=tuple(View(name=name, bundle=bundle.id, cut=CUT) for name, bundle in bundles.items()),
        join=document.join,
        at=document.at,
        missing=MISSING[document.join],
        joint=joint.id,
        silent=trained.silent,
    ).write(out / VIEWS)


def _export(
    architecture: Architecture, net: ExitNet, trained: TrainedViews, out: Path, samples: ImageSet, data: str,
    bits: Mapping[int, Bits],
) -> Bundle:  # fmt: skip
    weights: bytes = safetensors.torch.save({name: kept.contiguous() for name, kept in net.state_dict().items()})
    card = ModelCard(
        architecture=architecture,
        recipe=dict(trained.recipe),
        data=data,
        seed=trained.seed,
        commit=commit(),
        hardware=processor(),
        epochs=trained.epochs,
        seconds=round(trained.seconds, 3),
        validation_accuracy={},
        weights_sha256=hashlib.sha256(weights).hexdigest(),
    )
    return export(Checkpoint(out, card, net.eval()), out, samples, bits=bits)


@torch.inference_mode()
def _joined(net: ViewsNet, calibration: ViewSet) -> ImageSet:
    """What comes out of the join of calibration samples, as samples of values."""
    document = net.document
    there = torch.from_numpy(calibration.there)
    batch = [
        torch.from_numpy(read_samples(document.takes[name], calibration.views[name].images)) for name in document.names
    ]
    features = net.features(batch, there)
    sent = [signs(one) for one in features] if document.bits else features
    joined = np.ascontiguousarray(join(sent, there, document.join).numpy())
    return ImageSet("joined", joined, calibration.labels, calibration.classes, calibration.index, mirrors=False)
