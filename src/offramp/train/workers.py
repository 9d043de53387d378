"""The processes that train one network together: each takes its part of every batch, and gradients are averaged.

Data parallelism by torch.distributed: NCCL between GPUs, gloo between CPU processes. Started by torchrun; without it a
process is alone. Normalization takes its statistics from a process's own part of the batch, as it does in PyTorch's
DistributedDataParallel; the running ones are averaged after each epoch.
"""

import os
from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor, distributed

from offramp.errors import TrainingError


class Workers(Protocol):
    """Who trains together. `rank` counts from 0; the first writes files and speaks."""

    rank: int
    size: int

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Put the mean over all workers into each floating-point tensor, in place, on every worker."""

    def wait(self) -> None:
        """Go on when all have come here."""


class Alone:
    """One process."""

    rank, size = 0, 1

    def average(self, tensors: Iterable[Tensor]) -> None:
        """The mean of one is itself."""

    def wait(self) -> None:
        """There is nobody to wait for."""


class Together:
    """The processes that torchrun started."""

    def __init__(self, device: torch.device) -> None:
        gpu = device if device.type == "cuda" else None
        if gpu is not None:
            torch.cuda.set_device(gpu)
        if not distributed.is_initialized():
            # With its device named, a barrier need not guess which one it is on.
            distributed.init_process_group("gloo" if gpu is None else "nccl", device_id=gpu)
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Sum over workers in one message, divided by their number."""
        found = [tensor for tensor in tensors if tensor.is_floating_point()]
        if not found:
            return
        flat = torch.cat([tensor.detach().reshape(-1) for tensor in found])
        distributed.all_reduce(flat)
        flat /= self.size
        for tensor, part in zip(found, torch.split(flat, [tensor.numel() for tensor in found]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def wait(self) -> None:
        """A barrier."""
        distributed.barrier()


def size() -> int:
    """How many processes torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def first() -> bool:
    """Whether this process is the one that writes and speaks."""
    return os.environ.get("RANK", "0") == "0"


def local_device() -> torch.device | None:
    """The GPU of this process where torchrun started several: that of its local rank. None: it is alone."""
    if size() == 1:
        return None
    rank, beside = (int(os.environ[name]) for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"))
    return own_gpu(rank, beside, torch.cuda.device_count())


def own_gpu(rank: int, processes: int, gpus: int) -> torch.device:
    """The GPU of one of a machine's processes: NCCL takes one process a GPU."""
    if processes > gpus:
        raise TrainingError(
            f"{processes} processes on a machine with {gpus} GPU: expected one GPU for each. Start torchrun with "
            f"--nproc-per-node {gpus}, or train on CPUs with CUDA_VISIBLE_DEVICES set to nothing."
        )
    return torch.device("cuda", rank)


def workers(device: torch.device) -> Workers:
    """Join the processes that torchrun started, or be alone."""
    return Together(device) if size() > 1 else Alone()


def part_of(batch_size: int, workers: Workers) -> int:
    """How many samples of a batch one worker takes."""
    if batch_size % workers.size:
        raise TrainingError(
            f"batch size {batch_size}: cannot be divided evenly among {workers.size} processes. "
            f"Choose a multiple of {workers.size}."
        )
    return batch_size // workers.size
