"""Somebody else's module tuned with its exits: by any regime, and what is frozen really is."""

import copy
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import torch
from torch import nn

import tiny_resnet
from offramp.artifacts.preprocessing import Preprocessing
from offramp.attaching import Job, Prepared, source_of
from offramp.data.image_set import Splits
from offramp.errors import InputError
from offramp.graphs.pick import pick
from offramp.graphs.spec import InputSpec
from offramp.models.build import NetworkFamily
from offramp.models.checkpoint import Checkpoint
from offramp.models.graph_network import BACKBONE
from offramp.models.heads import standing_on
from offramp.models.tapped import Prepare, TappedModule, TappedNet
from offramp.train.heads import HeadRecipe
from offramp.train.loop import Run, Trainer
from offramp.train.recipe import RECIPES
from offramp.train.regimes.settings import REGIMES
from offramp.tuning import TUNED, Tuning, tune

PATHS = ("layer1.0", "layer2.0")
SHAPES = ((8, 8, 8), (16, 4, 4))
DOCUMENT = TappedModule(
    model="net", classes=tuple("0123456789"), exits=(1, 2, 3), input=Preprocessing(channels=1, height=16, width=16),
    paths=PATHS,
)  # fmt: skip
SPEC = InputSpec(mean=(0.3,), std=(0.4,))
Offramp = Callable[..., "CompletedProcess[str]"]


def tapped(seed: int = 0) -> TappedNet:
    """The small ResNet with a head at each of two blocks."""
    model, _ = tiny_resnet.untrained()
    torch.manual_seed(seed)
    heads = {k: standing_on("nchw", shape, 10, "mlp") for k, shape in enumerate(SHAPES, start=1)}
    return TappedNet(model, PATHS, {**heads, 3: nn.Identity()}, Prepare(SPEC, 1))


def trainer(regime: str, digits: Splits, epochs: int = 1) -> Trainer:
    """One that takes a few steps."""
    parts = (digits.train, digits.validation, digits.calibration, digits.test)
    few = Splits(*(part.rows(slice(0, 64)) for part in parts))
    families = {"tapped": NetworkFamily(TappedModule, lambda *_: tapped())}
    recipe = RECIPES["digits"].but(epochs=epochs, batch_size=32, regime=regime, learning_rate=0.01)
    return Trainer(Run(DOCUMENT, recipe, "digits", 0, families), few, torch.device("cpu"))


def test_taps_give_what_the_modules_give_and_change_nothing() -> None:
    """Even where the layer behind one works in place."""
    net = tapped().eval()
    image = torch.rand(3, 1, 16, 16)
    with torch.inference_mode():
        ready = (image - 0.3) / 0.4
        features = net.features(image)
        inner = torch.relu(net.model.stem(ready))
        assert torch.equal(features[0], net.model.layer1[0](inner))
        assert torch.equal(features[2], net.model(ready))
        logits = net(image)
    assert [tuple(one.shape[1:]) for one in features] == [*SHAPES, (10,)]
    assert torch.equal(logits[3], features[2])

    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.relu = nn.Linear(4, 4), nn.ReLU(inplace=True)

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return self.relu(self.first(values))

    module = InPlace()
    inside = TappedNet(module, ["first"], {1: nn.Identity(), 2: nn.Identity()}, nn.Identity())
    values = torch.randn(5, 4)
    first, last = inside.features(values)
    assert torch.equal(first, module.first(values))
    assert torch.equal(last, first.relu())
    assert not module.first._forward_hooks


@pytest.mark.parametrize("regime", REGIMES)
def test_every_regime_takes_steps(regime: str, digits: Splits) -> None:
    """The network learns, and its heads do."""
    run = trainer(regime, digits, epochs=2)
    before = copy.deepcopy(run.net.state_dict())
    records = [run.epoch([]), run.epoch([])]
    assert all(np.isfinite(record.loss) for record in records)
    moved = {name for name, tensor in run.net.state_dict().items() if not torch.equal(tensor, before[name])}
    assert any(name.startswith("stages.") and "conv1" in name for name in moved)
    assert any(name.startswith("heads.1.") for name in moved)
    assert any(name.startswith("heads.2.") for name in moved)


def test_what_is_frozen_stays_bit_for_bit(digits: Splits) -> None:
    """Weights and the statistics of batch normalization: in a frozen phase heads alone learn."""
    run = trainer("separate", digits, epochs=4)
    for _ in range(2):  # the backbone's phase
        run.epoch([])
    network = copy.deepcopy(run.net.stages.state_dict())
    heads = copy.deepcopy(run.net.heads.state_dict())
    run.epoch([])
    assert any("running_mean" in name for name in network)
    assert all(torch.equal(tensor, network[name]) for name, tensor in run.net.stages.state_dict().items())
    assert not all(torch.equal(tensor, heads[name]) for name, tensor in run.net.heads.state_dict().items())


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    """The untrained network's boundaries."""
    return Prepared.of(source_of(*tiny_resnet.untrained()), SPEC)


def test_a_tuned_network_is_a_graph_again(prepared: Prepared, digits: Splits, tmp_path: Path) -> None:
    """Its checkpoint holds no code, and answers as the card says."""
    module, shape = tiny_resnet.untrained()
    before = copy.deepcopy(module.state_dict())
    tuning = Tuning(module, shape, TUNED.but(epochs=3, batch_size=32))
    out = tmp_path / "run"
    job = Job(digits, out, "net", threads=1)
    found = tune(tuning, prepared, pick(prepared.found, list(PATHS)), job, HeadRecipe(epochs=2))
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert sorted(path.name for path in out.iterdir()) == [BACKBONE, "log.jsonl", "model.json", "model.safetensors"]
    opened = Checkpoint.open(out)
    assert opened.card == found.card
    assert (opened.card.recipe["name"], opened.card.epochs) == ("tuned", 3)
    assert opened.card.validation_accuracy[3] > 0.5
    assert [stage.name for stage in opened.card.architecture.stages] == [*PATHS, ""]
    image = torch.from_numpy(digits.validation.images.transpose(0, 3, 1, 2).astype(np.float32) / 255)
    with torch.inference_mode():
        for exit_, logits in opened.net(image).items():
            right = float((logits.argmax(1).numpy() == digits.validation.labels).mean())
            assert right == pytest.approx(opened.card.validation_accuracy[exit_], abs=1e-6)


def test_a_boundary_that_is_no_module_s_output_is_refused(prepared: Prepared, digits: Splits, tmp_path: Path) -> None:
    """Before anything is tuned."""
    module, shape = tiny_resnet.untrained()
    inside = next(one for one in prepared.found.offered if one.name not in dict(module.named_modules()))
    with pytest.raises(InputError, match=r"not what one of the network's modules gives"):
        tune(Tuning(module, shape), prepared, [inside], Job(digits, tmp_path / "run", "net"), HeadRecipe(epochs=1))


def test_a_graph_is_not_tuned(offramp: Offramp, tmp_path: Path) -> None:
    """There is nothing in it that learns."""
    done = offramp("attach", "net.onnx", "--data", "digits", "--tune", "joint", "--out", str(tmp_path / "run"))
    assert done.returncode == 2
    assert done.stderr == (
        "offramp: error: model 'net.onnx': a graph is not tuned. Give package.module:function, which gives a torch "
        "module, or attach without --tune.\n"
    )
