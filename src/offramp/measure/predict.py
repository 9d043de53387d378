"""Predictions: one pass of a checkpoint or a bundle over a split, in one piece or by a plan's own spans."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from offramp.artifacts.bundle import MANIFEST, Bundle
from offramp.artifacts.codec import Codec, encode_image
from offramp.artifacts.data_record import DataRecord
from offramp.artifacts.engine import PORTABLE, Engine
from offramp.artifacts.inputs import TOKENIZER, Input, read_samples
from offramp.artifacts.legs import legs_of
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions, PredictionsHeader
from offramp.artifacts.stages import logits_name
from offramp.data.image_set import ImageSet
from offramp.errors import ArtifactMissingError, DataError, InputError, MissingExtraError
from offramp.machine import processor_kind
from offramp.measure.stretch import opened
from offramp.progress import Watch, unwatched
from offramp.runtime.choice import choose
from offramp.runtime.open import open_span
from offramp.runtime.sameness import check_engine
from offramp.runtime.span import SpanSpec

if TYPE_CHECKING:
    from offramp.models.checkpoint import Checkpoint

BATCH = 256
FORMS = {"images": "UINT8", "samples": "FP32", "texts": "BYTES"}  # in which an edge takes what a data set holds

Pass = Callable[[npt.NDArray[np.float32]], dict[int, npt.NDArray[np.float32]]]


@dataclass(frozen=True)
class Predictor:
    """A checkpoint or a bundle, ready to classify batches at every exit."""

    about: PredictionsHeader  # of what it will measure, but for the data and the split
    takes: Input
    seed: int  # of the training, and so of its splits
    run: Pass
    data: str = "digits"  # that it was trained on
    record: DataRecord | None = None  # of that data; None: nothing was recorded, and it was split by position
    tokenizer: bytes | None = None  # its file, of a network that takes strings

    @property
    def shape(self) -> tuple[int, ...]:
        """One sample of the network's input: of an image `(C, H, W)`."""
        return self.takes.shape

    def predict(self, images: ImageSet, split: str, watch: Watch = unwatched) -> Predictions:
        """Classify every sample at every exit; `watch` is told how many are."""
        classes, exits = self.about.classes, self.about.exits
        if images.classes != classes:
            raise DataError(
                f"{images.name}: its classes are {', '.join(images.classes[:5])}… ({len(images.classes)}), the model's "
                f"{', '.join(classes[:5])}… ({len(classes)}). It was trained on {self.data}: give that by --data."
            )
        parts = []
        for start in range(0, len(images), BATCH):
            watch(f"classifying {split} {images.noun}", start, len(images))
            parts.append(self.run(read_samples(self.takes, images.images[start : start + BATCH], self.tokenizer)))
        header = self.about.model_copy(update={"data": images.name, "split": split, "image": FORMS[images.noun]})
        logits = {exit_: np.concatenate([part[exit_] for part in parts]) for exit_ in exits}
        return Predictions(header, images.index, images.labels, logits)


def open_predictor(
    path: Path,
    cut: int = 0,
    codec: Codec = "fp32",
    runtime: str = "onnxruntime",
    precision: str = "fp32",
    plan: Plan | None = None,
    threads: int = 0,
) -> Predictor:
    """Open a checkpoint's or a bundle's folder for predicting; `auto` settles runtime and precision as a node does.

    With a plan, by its spans, and `cut` and `codec` are the plan's. ParityError where OpenVINO computes another network
    than the bundle's. A checkpoint runs on torch in fp32, in one piece:
    for it, runtime and precision are `auto`, or the defaults. Of `threads`, 0 is every core; for torch, its own choice.
    """
    if (path / MANIFEST).exists():
        bundle = Bundle.open(path)
        engine = choose(bundle, runtime, precision, threads).engine
        if engine.runtime == "openvino":  # asked for, or chosen before: a node would be held to the same
            check_engine(bundle, engine)
        return of_bundle(bundle, cut, codec, engine) if plan is None else of_plan(bundle, plan, engine)
    if (path / "model.json").exists():
        if plan is not None:
            raise InputError(
                f"{path}: a checkpoint is not cut, and follows no plan. Export it, and predict the bundle."
            )
        if codec != "fp32":
            raise InputError(f"{path}: a checkpoint has no codec {codec}. Export it, and predict the bundle.")
        if runtime == "openvino" or precision not in ("auto", "fp32"):
            raise InputError(f"{path}: a checkpoint runs on torch in fp32. Export it, and predict the bundle.")
        try:
            from offramp.models.checkpoint import Checkpoint
        except ImportError as error:
            raise MissingExtraError(
                f"{path}: a checkpoint runs on torch. Install it with: pip install 'offramp[train]', or predict its "
                "bundle."
            ) from error
        return of_checkpoint(Checkpoint.open(path), "cpu", threads or None)
    raise ArtifactMissingError(
        f"{path}: neither a checkpoint (model.json) nor a bundle ({MANIFEST}). "
        "Write one with: offramp train, then offramp export"
    )


def of_bundle(bundle: Bundle, cut: int = 0, codec: Codec = "fp32", engine: Engine = PORTABLE) -> Predictor:
    """Predict with a bundle's graph in one piece: every exit in one pass, in fp32 as nodes answer by any plan.

    In bf16 and int8 a network that is cut is another one: see `of_plan`. With a cut or a codec, the last exit's logits
    are those of features that crossed there; every other exit is of the graph in one piece.
    """
    manifest = bundle.manifest
    last = manifest.last
    manifest.cut(cut)
    plain = codec == "fp32" and not cut
    before = manifest.exits if plain else manifest.exits[:-1]
    span = open_span(bundle, SpanSpec(0, last, before), engine=engine) if before else None
    here = None if plain or not cut else open_span(bundle, SpanSpec(0, cut, gives=codec), engine=engine)
    there = None if plain else open_span(bundle, SpanSpec(cut, last, (last,), takes=codec), engine=engine)

    def run(image: npt.NDArray[np.float32]) -> dict[int, npt.NDArray[np.float32]]:
        outputs = span.run(image) if span else {}
        if there is not None:
            sent = here.run(image).values() if here else [encode_image(image, codec)]
            outputs |= there.run(*sent)
        return {exit_: outputs[logits_name(exit_)] for exit_ in manifest.exits}

    return _of(bundle, engine, run, exits=manifest.exits, cut=cut, codec=codec)


def of_plan(bundle: Bundle, plan: Plan, engine: Engine = PORTABLE) -> Predictor:
    """Predict by the spans that the tiers of a plan and the cloud behind them run, every sample through all of them.

    Gives the plan's exits and the last: in fp32 and int8 the very numbers that nodes on the same runtime and processor
    answer by, whatever the thresholds. Raises InputError for a plan that the bundle cannot follow, or that asks one
    exit at two tiers.
    """
    manifest = bundle.manifest
    plan.check(manifest)
    last = manifest.last
    legs = legs_of(plan, last)
    exits = [exit_ for leg in legs for exit_ in leg.active if exit_ != last]
    if twice := sorted(exit_ for exit_ in {*exits} if exits.count(exit_) > 1):
        raise InputError(
            f"plan: exit {twice[0]} is asked at two tiers, and predictions hold what an exit says once. Leave it out "
            "at one of them."
        )
    stretches = opened(bundle, plan, engine)

    def run(image: npt.NDArray[np.float32]) -> dict[int, npt.NDArray[np.float32]]:
        logits: dict[int, npt.NDArray[np.float32]] = {}
        came: list[npt.NDArray[Any]] = [image]
        for stretch in stretches:
            came = stretch.run(came, logits)
        return logits

    first, *behind = legs
    route = {"active": first.active, "cut": first.cut, "codec": first.codec, "behind": tuple(behind)}
    return _of(bundle, engine, run, exits=(*sorted(exits), last), **route)


def _of(bundle: Bundle, engine: Engine, run: Pass, **route: Any) -> Predictor:
    """A bundle's predictor by a route."""
    manifest = bundle.manifest
    about = PredictionsHeader(
        model=manifest.model,
        source=f"bundle:{bundle.id}",
        data="",
        split="",
        classes=manifest.classes,
        runtime=engine.runtime,
        precision=engine.precision,
        release=engine.release,
        hardware=processor_kind(),
        **route,
    )
    origin = manifest.origin
    takes = manifest.preprocessing
    return Predictor(about, takes, origin.seed, run, origin.data, origin.record, bundle.tokenizer)


def of_checkpoint(checkpoint: "Checkpoint", device: str | None = None, threads: int | None = None) -> Predictor:
    """Predict with a checkpoint's network in fp32, by default on a GPU if there is one; `threads` are of a CPU."""
    import copy

    import torch

    from offramp.models.threads import torch_threads

    target = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    card, net = checkpoint.card, copy.deepcopy(checkpoint.net).to(target)

    def run(image: npt.NDArray[np.float32]) -> dict[int, npt.NDArray[np.float32]]:
        # Convolutions on a GPU would round to TF32's 10 bits otherwise, and that is not fp32.
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        with torch.inference_mode(), exact, torch_threads(threads):
            return {exit_: logits.cpu().numpy() for exit_, logits in net(torch.from_numpy(image).to(target)).items()}

    architecture = card.architecture
    about = PredictionsHeader(
        model=architecture.name,
        source=f"checkpoint:{card.weights_sha256}",
        data="",
        split="",
        classes=architecture.classes,
        exits=net.exits,
        runtime="torch",
        release=f"torch {torch.__version__}",
        hardware=processor_kind() if target.type == "cpu" else torch.cuda.get_device_name(target),
    )
    tokenizer = checkpoint.files.get(TOKENIZER)
    return Predictor(about, card.takes, card.seed, run, card.data, card.record, tokenizer)
