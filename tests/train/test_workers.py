"""Several processes training one network: parts of batches, averages, and two real processes under torchrun."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from offramp.data.digits import digits
from offramp.data.image_set import ImageSet, Splits, split
from offramp.errors import TrainingError
from offramp.models.architecture import Architecture
from offramp.models.checkpoint import Checkpoint
from offramp.train.accuracy import accuracies
from offramp.train.augment import Batches
from offramp.train.loop import LOG, Run, Trainer, train
from offramp.train.recipe import RECIPES
from offramp.train.workers import Alone, own_gpu, part_of

# What each process does: it averages a tensor that tells the rank, and trains.
PROGRAM = """
import sys
from pathlib import Path
import torch
from torch import distributed
from offramp.data.digits import digits
from offramp.data.image_set import split
from offramp.models.architecture import StandardCnn
from offramp.train.loop import Run, train
from offramp.train.recipe import RECIPES
from offramp.train.workers import workers

out, architecture = sys.argv[1:]
team = workers(torch.device("cpu"))
tensors = [torch.full((2, 2), float(team.rank)), torch.tensor([team.rank]), torch.tensor(10.0 * team.rank)]
team.average(tensors)
assert [tensor.tolist() for tensor in tensors] == [[[0.5, 0.5], [0.5, 0.5]], [team.rank], 5.0], tensors
recipe = RECIPES["digits"].but(epochs=3, regime="distill")
run = Run(StandardCnn.model_validate_json(architecture), recipe, "digits", 0)
train(run, split(digits(), None, 0), Path(out))
distributed.destroy_process_group()
"""


class Pretends:
    """A worker among several that are not there."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Nothing to average with."""

    def wait(self) -> None:
        """Nobody to wait for."""


def labels(size: int, workers: Pretends | Alone) -> list[list[int]]:
    """The labels of an epoch's batches; each sample's is its own."""
    return [batch.tolist() for _, batch in epoch(size, workers)]


def epoch(size: int, workers: Pretends | Alone) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """An epoch's batches, with every augmentation that there is."""
    images = np.random.default_rng(0).integers(0, 256, (26, 4, 4, 1), np.uint8)
    classes = tuple(map(str, range(26)))
    source = ImageSet("noise", images, np.arange(26), classes, np.arange(26), mirrors=True)
    jpeg, at = {"jpeg": 0.5, "jpeg_quality": (10, 90)}, {"seed": 3, "device": torch.device("cpu"), "workers": workers}
    return list(Batches(source, batch_size=size, flip=True, crop=1, **jpeg, **at).epoch(2))  # type: ignore[arg-type]


def test_workers_share_out_every_batch() -> None:
    """Together they see what one process sees, in the same batches."""
    alone = labels(8, Alone())
    first, second = (labels(8, Pretends(rank, 2)) for rank in (0, 1))
    assert [a + b for a, b in zip(first, second, strict=True)] == alone
    assert [len(part) for part in first] == [4, 4, 4]
    parts = zip(*(epoch(8, Pretends(rank, 2)) for rank in (0, 1)), strict=True)
    for (whole, _), ((upper, _), (lower, _)) in zip(epoch(8, Alone()), parts, strict=True):
        assert torch.equal(whole, torch.cat([upper, lower]))


def test_a_batch_that_cannot_be_shared_evenly_is_refused() -> None:
    """A mean of means would weigh samples unequally."""
    with pytest.raises(TrainingError) as caught:
        part_of(33, Pretends(0, 2))
    assert str(caught.value) == ("batch size 33: cannot be divided evenly among 2 processes. Choose a multiple of 2.")


def test_each_process_has_a_gpu_of_its_own() -> None:
    """NCCL refuses two processes on one GPU with words of its own, after a wait: said before that, and how to go on."""
    assert [str(own_gpu(rank, 2, 4)) for rank in range(2)] == ["cuda:0", "cuda:1"]
    with pytest.raises(TrainingError) as caught:
        own_gpu(0, 2, 1)
    assert str(caught.value) == (
        "2 processes on a machine with 1 GPU: expected one GPU for each. Start torchrun with --nproc-per-node 1, "
        "or train on CPUs with CUDA_VISIBLE_DEVICES set to nothing."
    )


def test_a_run_of_several_workers_is_another_run(few: Splits, minute: Architecture) -> None:
    """Its normalization sees smaller parts; one process keeps the key that it had."""
    run = Run(minute, RECIPES["digits"], "digits", 0)
    assert run.key(few.train, 1) == run.key(few.train)
    assert run.key(few.train, 2) != run.key(few.train)


def test_what_is_computed_and_not_learned_is_brought_together(few: Splits, minute: Architecture) -> None:
    """The filters of a whitening are computed by each process: all begin with the mean, and nothing else is touched."""

    class Beside(Pretends):
        """The other worker's tensors are all 0."""

        def average(self, tensors: Iterable[Tensor]) -> None:
            for tensor in tensors:
                tensor.div_(2)

    run = Run(minute.model_copy(update={"whitened": True}), RECIPES["digits"], "digits", 0)
    alone, beside = (
        dict(Trainer(run, few, torch.device("cpu"), team).net.named_parameters()) for team in (None, Beside(0, 2))
    )
    (computed,) = (name for name, parameter in alone.items() if not parameter.requires_grad)
    assert alone[computed].any()
    for name, parameter in alone.items():
        assert torch.equal(beside[name], parameter / 2 if name == computed else parameter)


def test_two_processes_train_one_network(minute: Architecture, tmp_path: Path) -> None:
    """By torchrun and gloo: one checkpoint and log, as accurate as one process's up to the seeds' spread."""
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
            str(tmp_path / "program.py"), str(tmp_path / "two"), minute.model_dump_json(),
        ],
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    together = Checkpoint.open(tmp_path / "two")
    assert [json.loads(line)["epoch"] for line in (tmp_path / "two" / LOG).read_text().splitlines()] == [1, 2, 3]
    splits = split(digits(), None, 0)
    run = Run(minute, RECIPES["digits"].but(epochs=3, regime="distill"), "digits", 0)
    alone = train(run, splits, tmp_path / "one")
    found, expected = (accuracies(checkpoint.net, splits.test)[3] for checkpoint in (together, alone))
    assert found == pytest.approx(expected, abs=0.1)
    assert found > 0.6
