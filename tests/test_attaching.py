"""Exits on somebody else's classifier, from a torch module or an ONNX file to nodes that answer."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import torch

import offramp
import tiny_resnet
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Engine
from offramp.artifacts.plan import Plan
from offramp.attaching import Job, Prepared, attach, attach_at, source_of
from offramp.data.image_set import Splits
from offramp.errors import DataError, InputError, TrainingError
from offramp.exits.answers import Tier
from offramp.export.module import module_graph
from offramp.export.write import export
from offramp.graphs.pick import pick
from offramp.graphs.spec import InputSpec
from offramp.measure.predict import of_bundle, of_checkpoint
from offramp.models.checkpoint import Checkpoint
from offramp.models.graph_network import BACKBONE
from offramp.nodes.edge import Edge
from offramp.nodes.local_cloud import LocalCloud
from offramp.train.heads import HeadRecipe
from processes import interrupted

RECIPE = HeadRecipe(epochs=8, batch_size=64, learning_rate=1e-2)
Offramp = Callable[..., "CompletedProcess[str]"]


@pytest.fixture(scope="module")
def model(digits: Splits) -> torch.nn.Module:
    """A network as a user brings it."""
    return tiny_resnet.trained(digits.train)


@pytest.fixture(scope="module")
def file(model: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as an ONNX file."""
    path = tmp_path_factory.mktemp("model") / "resnet.onnx"
    path.write_bytes(module_graph(model, tiny_resnet.SHAPE))
    return path


@pytest.fixture(scope="module")
def prepared(file: Path) -> Prepared:
    """Its boundaries."""
    return Prepared.of(source_of(file), InputSpec())


@pytest.fixture(scope="module")
def attached(file: Path, digits: Splits, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """With exits after its first block and after its third."""
    out = tmp_path_factory.mktemp("attached") / "run"
    return attach(file, exits=["layer1.0", "layer2.0"], data=digits, out=out, recipe=RECIPE, threads=1)


@pytest.fixture(scope="module")
def of_attached(attached: Checkpoint, digits: Splits) -> Bundle:
    """Its bundle."""
    return export(attached, attached.path / "bundle", digits.calibration)


def test_the_last_exit_answers_as_the_network_did(model: torch.nn.Module, attached: Checkpoint, digits: Splits) -> None:
    """To the last bits that another order of sums leaves; and the checkpoint opens without the network's code."""
    image = torch.from_numpy(digits.test.images.transpose(0, 3, 1, 2).astype(np.float32) / 255)
    with torch.inference_mode():
        expected = model(image).numpy()
    found = of_checkpoint(Checkpoint.open(attached.path), "cpu").predict(digits.test, "test")
    np.testing.assert_allclose(found.at(3), expected, rtol=1e-3, atol=1e-4)
    stages = attached.card.architecture.stages
    assert [stage.name for stage in stages] == ["layer1.0", "layer2.0", ""]
    assert attached.card.architecture.name == "resnet"
    assert attached.card.record == digits.record


def test_exits_learn_on_what_stays_as_it_is(attached: Checkpoint, digits: Splits) -> None:
    """Each is far better than chance, and deeper ones are no worse; what the log says is what the card does."""
    right = attached.card.validation_accuracy
    assert right[1] > 0.7
    assert right[2] > 0.85
    assert right[3] > 0.85
    assert sorted(path.name for path in attached.path.iterdir() if path.is_file()) == [
        BACKBONE, "log.jsonl", "model.json", "model.safetensors",
    ]  # fmt: skip


def test_the_bundle_says_what_the_checkpoint_does(attached: Checkpoint, of_attached: Bundle, digits: Splits) -> None:
    """At every exit; with the user's words for its boundaries."""
    manifest = Bundle.open(of_attached.path).manifest
    assert [stage.name for stage in manifest.stages] == ["layer1.0", "layer2.0", ""]
    assert manifest.macs(3) == sum(stage.macs for stage in manifest.stages)
    assert all(set(cut.codecs) == {"fp32", "fp16", "uint8"} for cut in manifest.cuts)
    by_torch, by_graph = (
        one.predict(digits.test, "test") for one in (of_checkpoint(attached, "cpu"), of_bundle(of_attached))
    )
    for exit_ in (1, 2, 3):
        np.testing.assert_allclose(by_graph.at(exit_), by_torch.at(exit_), rtol=0, atol=1e-4)


@pytest.mark.parametrize("codec", ["fp32", "uint8"])
def test_edge_and_cloud_answer_as_the_evaluation_says(of_attached: Bundle, digits: Splits, codec: str) -> None:
    """Each sample by whom the plan says, with the prediction that was measured offline."""
    plan = Plan.of(1, 0.3, codec=codec)
    offline = offramp_of_plan(of_attached, plan, digits)
    edge = Edge(of_attached, plan, LocalCloud(of_attached, Engine(threads=1)), threads=1)
    answers = edge.infer(of_attached.read(digits.test.images))
    gone = answers.tier == Tier.CLOUD
    assert 0 < gone.sum() < len(digits.test)
    expected = np.where(gone, offline[3], offline[1])
    assert np.array_equal(answers.probabilities.argmax(1), expected)


def offramp_of_plan(bundle: Bundle, plan: Plan, digits: Splits) -> dict[int, np.ndarray]:
    """Classes by exit, by the plan's own spans."""
    from offramp.measure.predict import of_plan

    found = of_plan(bundle, plan).predict(digits.test, "test")
    return {exit_: found.at(exit_).argmax(1) for exit_ in (1, 3)}


def test_an_int8_graph_is_made_too(attached: Checkpoint, digits: Splits, tmp_path: Path) -> None:
    """Heads and all; accuracy within two points, or the export would have refused."""
    effect = export(attached, tmp_path / "bundle", digits.calibration, int8=True).manifest.int8
    assert effect is not None
    assert set(effect.int8_accuracy) == {1, 2, 3}


def test_the_verb_does_it_all_and_says_what_each_exit_is_worth(
    file: Path, attached: Checkpoint, tmp_path: Path, offramp: Offramp
) -> None:
    """And the next one takes what it wrote."""
    out = tmp_path / "run"
    done = offramp(
        "attach", str(file), "--data", "digits", "--exits", "layer1.0,layer2.0", "--epochs", "8", "--batch-size", "64",
        "--learning-rate", "0.01", "--threads", "1", "--out", str(out),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    warned = [line for line in done.stderr.splitlines() if "warning" in line]
    assert warned == [line for line in warned if line.startswith("offramp: warning: exit 2 (layer2.0): a sample that ")]
    assert len(warned) == 1
    assert "layer1.0" in done.stdout
    assert "(its own)" in done.stdout
    found = Checkpoint.open(out).card
    assert found.weights_sha256 == attached.card.weights_sha256
    assert offramp("export", str(out), "--out", str(tmp_path / "bundle")).returncode == 0
    shown = offramp("show", str(out))
    assert shown.returncode == 0, shown.stderr


@pytest.mark.parametrize("most", ["2GB", "0"])
def test_an_interrupted_one_ends_quietly_and_can_be_begun_anew(
    file: Path, tmp_path: Path, offramp: Offramp, most: str
) -> None:
    """By Ctrl-C while heads learn: no traceback, no features, nothing that the next one stumbles over."""
    out = tmp_path / "run"
    told = ("attach", str(file), "--data", "digits", "--threads", "1", "--cache-most", most, "--out", str(out))
    code, said = interrupted(*told, "--epochs", "100000", once=lambda _: (out / "log.jsonl").exists)
    assert code == 130
    assert "Traceback" not in said
    assert [path.name for path in out.iterdir()] == ["log.jsonl"]
    done = offramp(*told, "--epochs", "1")
    assert done.returncode == 0, done.stderr


def test_three_exits_are_chosen_and_the_heads_default_to_auto(prepared: Prepared) -> None:
    """By multiply-adds, over ends of blocks; by how many; by numbers."""
    auto = pick(prepared.found)
    assert len(auto) == 2
    assert pick(prepared.found, "3") == auto
    assert pick(prepared.found, f"{auto[0].number},{auto[1].number}") == auto
    assert len(pick(prepared.found, 2)) == 1


@pytest.mark.parametrize(
    ("exits", "message"),
    [
        ("layer1.O", "exit 'layer1.O': no such boundary. Near it are "),
        ("99,100", "exit 99: boundaries are numbered 1 to "),
        ("layer2.0,layer1.0", "exits: 'layer1.0' is before 'layer2.0' in the network. Name each once, in the order "),
        ("layer1.0,layer1.0", "exits: 'layer1.0' is named twice. Name each once, in the order "),
        ([], "exits: none is named. Name a boundary, or leave it to auto."),
    ],
)
def test_exits_that_cannot_be_are_refused(prepared: Prepared, exits: str, message: str) -> None:
    """With near names, or the order."""
    with pytest.raises(InputError) as caught:
        pick(prepared.found, exits)
    assert str(caught.value).startswith(message)


def test_data_are_brought_into_the_order_of_the_network_s_classes(prepared: Prepared, digits: Splits) -> None:
    """As they are said; data sort theirs by name."""
    backwards = digits.train.classes[::-1]
    found = Job("digits", Path("run"), "net", backwards).splits(prepared)
    assert found.train.classes == found.test.classes == backwards
    assert np.array_equal(found.test.labels, 9 - digits.test.labels)


def test_a_network_of_other_classes_than_the_data_s_is_refused(
    prepared: Prepared, digits: Splits, tmp_path: Path
) -> None:
    """By their number, by their names, and by their order."""

    def refusal(splits: Splits, classes: tuple[str, ...] | None = None) -> str:
        with pytest.raises(DataError) as caught:
            attach_at(prepared, pick(prepared.found), Job(splits, tmp_path / "run", "net", classes), RECIPE)
        assert not (tmp_path / "run").exists()
        return str(caught.value)

    eleven = replace(digits, train=replace(digits.train, classes=(*digits.train.classes, "ten")))
    assert refusal(eleven) == (
        f"digits: its classes are 0, 1, 2, 3, 4… (11), and {prepared.source.origin} has 10 outputs. "
        "Give the data that it was trained on."
    )
    backwards = digits.train.classes[::-1]
    assert refusal(digits, backwards) == (
        "digits: its classes are 0, 1, 2, 3, 4… (10), and the network's 9, 8, 7, 6, 5… (10); in another order: load "
        "them in this one. Each output needs the samples of its own class."
    )


def test_a_folder_that_holds_a_run_stays_as_it_is(attached: Checkpoint, file: Path, digits: Splits) -> None:
    """Nothing is begun that would be thrown away."""
    with pytest.raises(TrainingError) as caught:
        attach(file, data=digits, out=attached.path, recipe=RECIPE)
    assert str(caught.value) == f"{attached.path}: holds a run already. Choose another folder."


def test_a_module_in_training_mode_is_refused(offramp: Offramp, tmp_path: Path) -> None:
    """Its exits would stand on statistics that still move."""
    done = offramp("attach", "tiny_resnet:training", "--data", "digits", "--out", str(tmp_path / "run"))
    assert done.returncode == 2
    assert "is in training mode. Call .eval() first" in done.stderr
    assert not (tmp_path / "run").exists()


def test_the_public_name_is_the_function() -> None:
    """As the first page shows it."""
    assert offramp.attach is attach
