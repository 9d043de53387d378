"""A torch module's graph: its free batch, its modules' paths, its values; and what cannot be exported."""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from offramp.errors import InputError
from offramp.export.module import load_factory, module_graph
from offramp.graphs.boundaries import Boundaries, find_boundaries
from offramp.graphs.source import GraphSource, parse_graph


class Residual(nn.Module):
    """A block whose activations and sum are in place."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.norm(self.conv(x))
        inner += x
        return self.act(inner)


class Windows(nn.Module):
    """Attention over windows, which lie in the batch's axis: four a sample."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weigh = nn.Linear(width, 3 * width)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        parts = x.view(n, c, 2, h // 2, 2, w // 2).permute(0, 2, 4, 3, 5, 1).reshape(n * 4, -1, c)
        queries, keys, values = self.weigh(parts).chunk(3, dim=-1)
        mixed = torch.softmax(queries @ keys.transpose(1, 2), -1) @ values
        back = mixed.view(n, 2, 2, h // 2, w // 2, c).permute(0, 5, 1, 3, 2, 4).reshape(n, c, h, w)
        return x + back


class Tokens(nn.Module):
    """Maps as tokens behind a class token; the class token's answer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.randn(1, 1, width))
        self.layer = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(2).transpose(1, 2)
        rows = torch.cat([self.first.expand(rows.shape[0], -1, -1), rows], dim=1)
        rows = rows + self.layer(rows)
        return (rows - rows.mean(1, keepdim=True))[:, 0]


class Everything(nn.Module):
    """What breaks naive cuts, all in one: in-place operations, channels shuffled, windows, a class token."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.blocks = nn.Sequential(Residual(width), Residual(width), Windows(width))
        self.tokens = Tokens(width)
        self.head = nn.Linear(width, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Answers as libraries' networks do: by name."""
        x = self.stem(x)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return {"logits": self.head(self.tokens(self.blocks(x)))}


@pytest.fixture(scope="module")
def net() -> nn.Module:
    """With statistics that are not those of nothing."""
    torch.manual_seed(0)
    net = Everything()
    for _ in range(3):
        net(torch.randn(16, 1, 8, 8))
    return net.eval()


@pytest.fixture(scope="module")
def source(net: nn.Module) -> GraphSource:
    return parse_graph(module_graph(net, (1, 8, 8)), "everything")


@pytest.fixture(scope="module")
def found(source: GraphSource) -> Boundaries:
    return find_boundaries(source)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_graph_computes_what_the_module_computes(net: nn.Module, source: GraphSource, size: int) -> None:
    """For any batch; and what was tapped before an in-place operation is what it was."""
    session = ort.InferenceSession(source.model.SerializeToString(), providers=["CPUExecutionProvider"])
    image = torch.randn(size, 1, 8, 8)
    (answer,) = session.run(None, {"x": image.numpy()})
    with torch.inference_mode():
        np.testing.assert_allclose(answer, net(image)["logits"].numpy(), rtol=1e-4, atol=1e-5)


def test_boundaries_have_the_modules_own_paths(found: Boundaries) -> None:
    """None of the wrapper that takes the logits out; ends are where blocks end."""
    ends = [one.name for one in found.offered if one.at == "end"]
    assert ends[:4] == ["stem", "blocks.0", "blocks.1", "blocks.2"]
    assert ends[-1] == "tokens"
    assert found.offered[[one.name for one in found.offered].index("blocks.2")].also == ("blocks",)
    assert {one.kind for one in found.offered} == {"nchw", "tokens", "vector"}
    assert all(one.tolerance < 1e-5 for one in found.offered)


def test_multiply_adds_are_torchs_own(net: nn.Module, found: Boundaries) -> None:
    """By torch's counter, as everywhere here."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.zeros(1, 1, 8, 8))
    assert found.macs == counter.get_total_flops() // 2


def test_nothing_of_the_module_is_changed(net: nn.Module) -> None:
    assert not net.training
    assert next(net.parameters()).requires_grad


class Worded(nn.Module):
    """Two inputs by name, one of them a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(9, 4)
        self.layer = nn.Linear(4, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor]:
        x = torch.relu(self.layer(self.words(ids)))
        seen = mask.unsqueeze(-1).to(x.dtype)
        return (self.head((self.layer(x) * seen).sum(1) / seen.sum(1).clamp(min=1)),)


def test_several_inputs_go_by_name_and_a_mask_is_carried() -> None:
    example = {"ids": torch.zeros(1, 5, dtype=torch.long), "mask": torch.ones(1, 5, dtype=torch.long)}
    source = parse_graph(module_graph(Worded().eval(), example), "worded")
    assert {name: (info.dtype.name, info.shape) for name, info in source.inputs.items()} == {
        "ids": ("int64", (5,)),
        "mask": ("int64", (5,)),
    }
    first = find_boundaries(source).offered[0]
    assert (first.kind, [*first.tensors.values()], [*first.tensors][1]) == ("tokens", [(5, 4), (5,)], "mask")


def test_a_module_in_training_mode_is_refused() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).eval()
    net[1].train()
    with pytest.raises(InputError) as caught:
        module_graph(net, (1, 2, 2))
    assert str(caught.value) == (
        "module Sequential: 1 is in training mode. Call .eval() first: exits are cut as it is then."
    )


class Choosing(nn.Module):
    """What no graph can hold: a way taken by a value."""

    def forward(self, x: Tensor) -> Tensor:
        return x if float(x.sum()) > 0 else -x


def test_what_torch_cannot_export_is_said_with_its_reason() -> None:
    with pytest.raises(InputError) as caught:
        module_graph(Choosing().eval(), (4,))
    message = str(caught.value)
    assert message.startswith(f"module Choosing: torch {torch.__version__} cannot export it (")
    assert message.endswith("or export it to ONNX yourself and give the file.")


class Counting(nn.Module):
    """len() of a tensor is a plain number."""

    def forward(self, x: Tensor) -> Tensor:
        return x / len(x)


def test_a_batch_made_a_plain_number_is_said_to_be_one() -> None:
    with pytest.raises(InputError, match=r"as dynamic but your code specialized it to be a constant \(2\)") as caught:
        module_graph(Counting().eval(), (4,))
    assert "(len(x): write x.shape[0])" in str(caught.value)


@pytest.mark.parametrize(
    ("model", "example", "message"),
    [
        (nn.Linear(3, 2), (4,), r"module Linear: does not run on \(2, 4\) \(mat1 and mat2 shapes cannot be multiplied"),
        (nn.LSTM(3, 2, batch_first=True), (5, 3), "module LSTM: gives a tuple, and no logits by that name in it"),
        (nn.Linear(3, 2), torch.tensor(1.0), "example: expected one sample's shape, or tensors with the batch as"),
    ],
)
def test_a_module_and_an_example_that_do_not_fit(model: nn.Module, example: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        module_graph(model.eval(), example)  # type: ignore[arg-type]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of a user's in the working directory."""
    name = f"own_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(
        "from torch import nn, zeros\n"
        "def plain(): return nn.Linear(4, 3).eval()\n"
        "def pair(): return nn.Linear(4, 3).eval(), zeros(2, 4)\n"
        "def number(): return 3\n"
        "def broken(): return 1 / 0\n"
    )
    monkeypatch.chdir(tmp_path)
    return name


def test_a_factory_is_found_in_the_working_directory(package: str) -> None:
    before = list(sys.path)
    model, example = load_factory(f"{package}:plain")
    assert isinstance(model, nn.Linear)
    assert example is None
    assert isinstance(load_factory(f"{package}:pair")[1], Tensor)
    assert sys.path == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("{}:number", "gave a int, and a torch.nn.Module is needed, or one and an example."),
        ("{}:broken", "ZeroDivisionError: division by zero. Check its name, and that it runs."),
        ("{}:gone", "has no attribute 'gone'"),
        ("nowhere.at_all:it", "ModuleNotFoundError: No module named 'nowhere'. Check its name, and that it runs."),
        ("{}", "expected an .onnx file, or package.module:function that gives a torch module."),
    ],
)
def test_a_factory_that_gives_no_module_is_named(package: str, name: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load_factory(name.format(package))
    assert str(caught.value).startswith(f"model '{name.format(package)}': ")
    assert message in str(caught.value)


def test_the_file_holds_no_paths_of_its_maker_once_it_is_staged(source: GraphSource) -> None:
    """The exporter writes lines of the user's code into the nodes; a bundle has none of them."""
    from offramp.graphs.stages import staged

    assert b"test_module.py" in source.model.SerializeToString()
    content = staged(source, [])
    assert b"test_module.py" not in content
    assert onnx.load_model_from_string(content).graph.output[0].name == "features_1"
