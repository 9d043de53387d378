"""All that an interrupted training needs to go on: weights, momenta, and how far it was. One file, checked by a digest.

The order of samples, the augmentation and the regime follow from the epoch's number, and need not be kept.
"""

import hashlib
import json
from pathlib import Path
from typing import Protocol

import safetensors
import safetensors.torch
from torch import Tensor

from offramp.artifacts.document import write_bytes
from offramp.errors import ArtifactDamagedError, TrainingError
from offramp.models.exit_net import ExitNet
from offramp.train.optimizer import Optimizer


class Progress(Protocol):
    """What a training has come to."""

    net: ExitNet
    optimizer: Optimizer
    epochs_done: int
    seconds: float


def save_state(path: Path, key: str, of: Progress) -> None:
    """Write the state of the run that `key` names, after an epoch."""
    tensors = {f"net.{name}": tensor for name, tensor in of.net.state_dict().items()}
    for position, momentum in enumerate(of.optimizer.momenta()):
        if momentum is not None:
            tensors[f"momentum.{position}"] = momentum
    tensors = plain(tensors)
    metadata = {"run": key, "epochs": str(of.epochs_done), "seconds": json.dumps(of.seconds)}
    metadata["sha256"] = _digest(tensors, metadata)
    write_bytes(path, safetensors.torch.save(tensors, metadata))


def load_state(path: Path, key: str, of: Progress) -> None:
    """Go back to where a state was written.

    Raises ArtifactDamagedError for a file that is not what was written, TrainingError for another run's.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
    except (safetensors.SafetensorError, OSError) as error:
        raise ArtifactDamagedError(f"{path}: cannot be resumed from ({error}). Remove it to start anew.") from error
    if metadata.get("run") != key:
        raise TrainingError(
            f"{path.parent}: holds a run of another model, recipe, data or seed. Choose another folder."
        )
    if metadata.pop("sha256", None) != _digest(tensors, metadata):
        raise ArtifactDamagedError(f"{path}: cannot be resumed from (it was changed). Remove it to start anew.")
    of.net.load_state_dict({name[4:]: tensor for name, tensor in tensors.items() if name.startswith("net.")})
    of.optimizer.resume([tensors.get(f"momentum.{position}") for position in range(len(of.optimizer.parameters))])
    of.epochs_done, of.seconds = int(metadata["epochs"]), json.loads(metadata["seconds"])


def plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same values as safetensors takes them: on the CPU, in the usual layout."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _digest(tensors: dict[str, Tensor], metadata: dict[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()
