"""Exits on classifiers of text and of values: from the file and a table of samples to nodes that answer."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from classifiers import LONG, made, reader
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.attaching import attach
from offramp.data.image_set import Splits
from offramp.data.load import load
from offramp.exits.evaluation import route
from offramp.export.write import export
from offramp.graphs.spec import InputSpec
from offramp.measure.predict import of_bundle, of_checkpoint
from offramp.models.checkpoint import Checkpoint
from offramp.nodes.edge import Edge
from offramp.nodes.local_cloud import LocalCloud
from offramp.train.heads import HeadRecipe
from wordlist import WORDS, tokenizer

RECIPE = HeadRecipe(epochs=2, batch_size=64)
CLASSES = ("good", "bad", "neither")


def texts(path: Path) -> InputSpec:
    """Sentences of the words that the tokenizer knows, and their class; what makes ids of them."""
    drawn = np.random.default_rng(0)
    rows = [" ".join(drawn.choice(WORDS[2:], drawn.integers(1, 8))) for _ in range(240)]
    said = [(row, CLASSES[0] if "good" in row else CLASSES[1] if "bad" in row else CLASSES[2]) for row in rows]
    path.write_text("text\tlabel\n" + "".join(f"{row}\t{label}\n" for row, label in said))
    return InputSpec(kind="text", pad=0, tokenizer=tokenizer())


def layers() -> bytes:
    """Three layers on eight readings."""
    nodes = [
        helper.make_node("MatMul", ["readings", "one"], ["m1"]),
        helper.make_node("Tanh", ["m1"], ["t1"]),
        helper.make_node("MatMul", ["t1", "two"], ["m2"]),
        helper.make_node("Tanh", ["m2"], ["t2"]),
        helper.make_node("MatMul", ["t2", "three"], ["answer"]),
    ]
    sizes = {"one": (8, 12), "two": (12, 10), "three": (10, 3)}
    weights = {key: np.random.default_rng(1).normal(size=size).astype(np.float32) for key, size in sizes.items()}
    return made(nodes, {"readings": (TensorProto.FLOAT, (8,))}, weights)


@pytest.fixture(scope="module", params=["text", "values"])
def attached(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, Splits]:
    """A network with exits, and its data."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "text":
        pytest.importorskip("tokenizers")
        model, data, exits = reader(), folder / "texts.tsv", ["r1", "r2"]  # before the mask, and behind it
        spec = texts(data)
    else:
        model, data, spec, exits = layers(), folder / "x.npz", InputSpec(kind="values"), ["t1", "t2"]
        x = np.random.default_rng(2).normal(size=(240, 8))
        np.savez(data, x=x, y=x[:, :3].argmax(axis=1))
    checkpoint = attach(
        model, exits=exits, data=str(data), out=folder / "run", input=spec, recipe=RECIPE, threads=1, name=request.param
    )
    return checkpoint, load(str(data), checkpoint.card.takes)


@pytest.fixture(scope="module")
def bundle(attached: tuple[Checkpoint, Splits]) -> Bundle:
    """As nodes run it."""
    checkpoint, splits = attached
    export(checkpoint, checkpoint.path.parent / "bundle", splits.calibration)
    return Bundle.open(checkpoint.path.parent / "bundle")


def test_checkpoint_and_bundle_say_the_same(attached: tuple[Checkpoint, Splits], bundle: Bundle) -> None:
    """At every exit, of the samples as they lie in their file."""
    checkpoint, splits = attached
    mine, theirs = (of.predict(splits.test, "test") for of in (of_checkpoint(checkpoint, "cpu", 1), of_bundle(bundle)))
    assert mine.header.image == theirs.header.image == ("BYTES" if bundle.tokenizer else "FP32")
    for exit_ in bundle.manifest.exits:
        np.testing.assert_allclose(mine.at(exit_), theirs.at(exit_), atol=1e-4)


@pytest.mark.parametrize("codec", ["fp32", "uint8"])
def test_nodes_answer_as_predicted(attached: tuple[Checkpoint, Splits], bundle: Bundle, codec: str) -> None:
    """Cut behind the first exit, in either codec: ids that a mask is made of cross as they are."""
    _, splits = attached
    predictions = of_bundle(bundle, 1, codec).predict(splits.test, "test")  # type: ignore[arg-type]
    plan = Plan.checked(active=[{"exit": 1, "threshold": 0.6}], cut=1, codec=codec)
    expected = route(predictions, plan)
    answers = Edge(bundle, plan, LocalCloud(bundle), threads=1).infer(splits.test.images)
    assert answers.label.tolist() == expected.label.tolist()
    assert answers.exit.tolist() == expected.exit.tolist()
    np.testing.assert_allclose(answers.score, expected.score, atol=1e-5)


def test_ids_of_a_text_travel_where_they_are_needed(bundle: Bundle) -> None:
    """Beside the features, as fp32 in every codec."""
    if bundle.tokenizer is None:
        assert all(len(bundle.manifest.tensors(cut.boundary)) == 1 for cut in bundle.manifest.cuts)
        return
    first = bundle.manifest.cut(1)
    carried = [name for name, shape in bundle.manifest.tensors(1).items() if shape == (LONG,)]
    assert list(first.plain) == carried
    assert len(carried) == 1
