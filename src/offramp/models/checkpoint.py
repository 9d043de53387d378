"""The checkpoint: `model.safetensors` and `model.json`, a network as it was trained, with all that led to it.

What the weights stand on lies beside them where a family needs it: the graph of a network from elsewhere. Nothing in a
checkpoint is code.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import safetensors
import safetensors.torch
from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationInfo

from offramp.artifacts.data_record import DataRecord
from offramp.artifacts.document import Document, read_bytes, write_bytes
from offramp.artifacts.inputs import Input
from offramp.artifacts.preprocessing import Preprocessing
from offramp.errors import ArtifactDamagedError, ArtifactMissingError
from offramp.models.architecture import Architecture
from offramp.models.build import FAMILIES, Families, build, describe
from offramp.models.exit_net import ExitNet

WEIGHTS = "model.safetensors"
CARD = "model.json"


def _described(value: Any, info: ValidationInfo) -> Any:
    """A network's fields as the document of its family; of those in the context, where there is one."""
    return describe(value, info.context or FAMILIES) if isinstance(value, dict) else value


class ModelCard(Document):
    """`model.json`: what the weights are and how they came about."""

    FORMAT: ClassVar[str] = "offramp.checkpoint"
    VERSION: ClassVar[int] = 2
    READS: ClassVar[tuple[int, ...]] = (1,)

    architecture: Annotated[SerializeAsAny[Architecture], BeforeValidator(_described)]
    recipe: dict[str, Any]
    data: str
    seed: int
    commit: str
    hardware: str
    epochs: int
    seconds: float
    validation_accuracy: dict[int, float]  # by exit, every sample at every exit
    weights_sha256: str
    record: DataRecord | None = None  # of what was read; None: written before there was one, and split by position
    # What each exit's logits were divided by, in the weights already; empty: the recipe did not ask for it.
    temperatures: dict[int, float] = Field(default_factory=dict, exclude_if=lambda by_exit: not by_exit)

    @property
    def takes(self) -> Input:
        """What the network takes, images read as those were that it learnt from."""
        takes, record = self.architecture.takes, self.record
        if record is None or not isinstance(takes, Preprocessing):
            return takes
        return takes.model_copy(update={"reading": record.read_as, "fit": record.source.fit})

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Version 1 knew one family."""
        return fields | {"architecture": {"family": "standard-cnn", **fields["architecture"]}}


@dataclass(frozen=True)
class Checkpoint:
    """A trained network and its card."""

    path: Path
    card: ModelCard
    net: ExitNet
    files: Mapping[str, bytes] = field(default_factory=dict)  # beside the weights, by name

    @classmethod
    def open(cls, path: Path | str, families: Families = FAMILIES) -> Self:
        """Read a checkpoint of one of some families from its folder: a network in evaluation mode, on the CPU.

        Raises ArtifactMissingError, ArtifactVersionError or ArtifactDamagedError, each naming the file.
        """
        path = Path(path)
        if not (path / CARD).is_file():
            raise ArtifactMissingError(
                f"{path}: not a checkpoint, it has no {CARD}. Write one with: offramp train MODEL --out {path}"
            )
        card = ModelCard.read(path / CARD, families)
        content = _read_checked(path / WEIGHTS, card.weights_sha256)
        files = {name: _read_checked(path / name, digest) for name, digest in card.architecture.beside.items()}
        net = build(card.architecture, families=families, files=files)
        _load_weights(net, content, path / WEIGHTS)
        return cls(path, card, net.eval(), files)


def write_checkpoint(path: Path, card: ModelCard, weights: bytes, files: Mapping[str, bytes] | None = None) -> None:
    """Write a checkpoint; the card comes last, so a folder with a card is a whole checkpoint."""
    (path / CARD).unlink(missing_ok=True)
    for name, content in (files or {}).items():
        write_bytes(path / name, content)
    write_bytes(path / WEIGHTS, weights)
    card.write(path / CARD)


def _read_checked(path: Path, expected: str) -> bytes:
    content = read_bytes(path)
    digest = hashlib.sha256(content).hexdigest()
    if digest != expected:
        raise ArtifactDamagedError(
            f"{path}: expected sha256 {expected[:16]}…, found {digest[:16]}… "
            f"({len(content)} bytes). The file was changed or cut short: copy it again or train again."
        )
    return content


def _load_weights(net: ExitNet, content: bytes, origin: Path) -> None:
    try:
        net.load_state_dict(safetensors.torch.load(content))
    except (safetensors.SafetensorError, ValueError) as error:
        raise ArtifactDamagedError(f"{origin}: not a safetensors file, or cut short ({error}).") from error
    except RuntimeError as error:
        raise ArtifactDamagedError(f"{origin}: does not fit the architecture of its {CARD}: {error}") from error
