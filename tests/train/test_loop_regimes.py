"""Training under each regime: what learns when, and that an interruption changes nothing."""

import hashlib
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from offramp.data.image_set import Splits
from offramp.models.architecture import Architecture
from offramp.models.checkpoint import WEIGHTS
from offramp.models.cnn import standard_cnn
from offramp.train.loop import LOG, Run, train
from offramp.train.observe import EpochRecord
from offramp.train.optimizer import Optimizer
from offramp.train.recipe import RECIPES
from offramp.train.regimes.settings import REGIMES, RegimeSettings

DIGITS = RECIPES["digits"]


class Interrupts:
    """An observer that stops the training after an epoch, as Ctrl-C would."""

    def __init__(self, after: int) -> None:
        self.after = after

    def step(self, done: int, total: int, loss: float) -> None:
        """Let it go on."""
        assert math.isfinite(loss)

    def epoch(self, record: EpochRecord) -> None:
        """Stop when the time has come."""
        if record.epoch == self.after:
            raise KeyboardInterrupt


def a_run(architecture: Architecture, regime: str | RegimeSettings, epochs: int = 4) -> Run:
    """Four epochs: phases of two each where a regime has any."""
    return Run(architecture, DIGITS.but(epochs=epochs, regime=regime), "digits", 0)


def weights_hash(folder: Path) -> str:
    """The weights file's sha256."""
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()


@pytest.mark.parametrize("regime", REGIMES)
def test_a_resumed_training_ends_with_the_weights_of_an_uninterrupted_one(
    few: Splits, minute: Architecture, tmp_path: Path, regime: str
) -> None:
    """Bit for bit, stopped after the second of four epochs, between the phases and on the ramp's way up."""
    with pytest.raises(KeyboardInterrupt):
        train(a_run(minute, regime), few, tmp_path / "stopped", observers=[Interrupts(2)])
    train(a_run(minute, regime), few, tmp_path / "stopped", resume=True)
    train(a_run(minute, regime), few, tmp_path / "whole")
    assert weights_hash(tmp_path / "stopped") == weights_hash(tmp_path / "whole")


def test_so_does_one_with_every_part_of_a_fast_recipe(few: Splits, minute: Architecture, tmp_path: Path) -> None:
    """What is averaged, alternates or is computed from the images follows from the epoch's number and the images."""
    recipe = DIGITS.but(
        epochs=3, optimizer="muon", lookahead=0.9, alternating=True, initialization="dirac", norm_momentum=0.4,
        norm_scale=False, bias_rate=8.0, label_smoothing=0.1,
    )  # fmt: skip
    mirrored = replace(few, train=replace(few.train, mirrors=True))
    document = minute.model_copy(update={"whitened": True, "shortcuts": True, "pooling": "max"})
    run = Run(document, recipe, "digits", 0)
    with pytest.raises(KeyboardInterrupt):
        train(run, mirrored, tmp_path / "stopped", observers=[Interrupts(1)])
    train(run, mirrored, tmp_path / "stopped", resume=True)
    train(run, mirrored, tmp_path / "whole")
    assert weights_hash(tmp_path / "stopped") == weights_hash(tmp_path / "whole")


def test_the_fused_optimizer_takes_heads_that_come_later(minute: Architecture) -> None:
    """A GPU's optimizer, here on the CPU: heads without gradients in a first phase then learn as by the plain one."""
    found = []
    for fused in (False, True):
        net = standard_cnn(minute, seed=1)
        optimizer = Optimizer(net, DIGITS, fused=fused)
        parameters = optimizer.parameters
        late = {id(parameter) for parameter in net.head(1).parameters()}
        for step in range(4):
            for parameter in parameters:
                idle = step < 2 and id(parameter) in late
                parameter.grad = None if idle else torch.full_like(parameter, 0.1 * (step + 1))
            optimizer.step()
        found.append(torch.cat([parameter.detach().flatten() for parameter in parameters]))
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-6)


def test_each_regime_gives_other_weights(few: Splits, minute: Architecture, tmp_path: Path) -> None:
    """From the same start: none of them is another one under a second name."""
    hashes = set()
    for name in REGIMES:
        train(a_run(minute, name, epochs=2), few, tmp_path / name)
        hashes.add(weights_hash(tmp_path / name))
    assert len(hashes) == len(REGIMES)


def test_separate_heads_learn_on_stages_that_stay(few: Splits, minute: Architecture, tmp_path: Path) -> None:
    """Weights, and the running statistics of the normalization, are those of the end of the first phase."""
    short = RegimeSettings(name="short", backbone_first=0.25, freeze=True)
    long = RegimeSettings(name="long", backbone_first=0.25)
    after = {
        settings.name: train(a_run(minute, settings), few, tmp_path / settings.name).net.state_dict()
        for settings in (short, long)
    }
    # The first phase is the same in both, and its learning rate does not know how long the second is.
    backbone = RegimeSettings(name="backbone", backbone_first=0.5, freeze=True)
    reference = train(a_run(minute, backbone, epochs=2), few, tmp_path / "reference").net.state_dict()
    stages = [name for name in reference if name.startswith("stages.")]
    assert all(torch.equal(after["short"][name], reference[name]) for name in stages)
    assert not all(torch.equal(after["long"][name], reference[name]) for name in stages)
    drawn = standard_cnn(minute).state_dict()
    assert not torch.equal(after["short"]["heads.1.2.weight"], drawn["heads.1.2.weight"])


def test_local_heads_wait_while_the_backbone_comes_first(few: Splits, minute: Architecture, tmp_path: Path) -> None:
    """They stay as they were drawn, undecayed."""
    settings = RegimeSettings(name="mine", backbone_first=0.99)
    with pytest.raises(KeyboardInterrupt):
        train(a_run(minute, settings), few, tmp_path, observers=[Interrupts(3)])
    import safetensors.torch

    kept = safetensors.torch.load((tmp_path / "resume.safetensors").read_bytes())
    drawn = standard_cnn(minute).state_dict()
    same = {k: torch.equal(kept[f"net.heads.{k}.2.weight"], drawn[f"heads.{k}.2.weight"]) for k in (1, 2, 3)}
    assert same == {1: True, 2: True, 3: False}
    assert (tmp_path / LOG).exists()
