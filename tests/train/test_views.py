"""A network of several views: trained as one, and taken apart."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from offramp.artifacts.preprocessing import Preprocessing
from offramp.artifacts.values import Values
from offramp.artifacts.views import JOINS, ViewsFolder
from offramp.data.image_set import ImageSet
from offramp.data.view_set import ViewSet, ViewSplits, split_views
from offramp.errors import ArtifactError, InputError, TrainingError
from offramp.export.views import export_views
from offramp.measure.views import accuracy, by_count, by_devices, joined, joint_span, of_each, seen
from offramp.models.views import ViewsNetwork
from offramp.models.views_net import ViewsNet, signs
from offramp.train.views import ViewsRecipe, left_out, takes_of, train_views

QUICK = ViewsRecipe(epochs=1, batch_size=64)


def vectors(count: int = 300) -> ViewSet:
    """Views of unlike lengths, each of which tells something of the class; of some samples some are missing."""
    drawn = np.random.default_rng(0)
    labels = drawn.integers(0, 3, count)
    views = {
        name: ImageSet(
            "made", (drawn.normal(size=(count, width)) + labels[:, None]).astype(np.float32), labels,
            ("a", "b", "c"), np.arange(count), mirrors=False,
        )
        for name, width in (("short", 2), ("long", 7))
    }  # fmt: skip
    there = drawn.random((count, 2)) < 0.8
    there[~there.any(axis=1), 0] = True
    return ViewSet("made", views, there)


@pytest.fixture(scope="module")
def unlike() -> ViewSplits:
    return split_views(vectors(), None, 0)


def document(splits: ViewSplits, **more: Any) -> ViewsNetwork:
    return ViewsNetwork(takes=takes_of(splits.train), classes=splits.train.classes, **{"front": (8, 8), **more})


def test_joined_they_know_more_than_each_alone(views: ViewsFolder, seen_views: ViewSplits) -> None:
    """Few epochs show it; and who is silent costs something, and not everything."""
    of = seen(views, seen_views.test, "1bit")
    alone, found = of_each(of), by_devices(views, of)
    everyone = found["view-1", "view-2", "view-5"][2]
    assert everyone > max(alone.values()) + 0.03
    counts = by_count(found, 2)
    assert counts[1] < counts[2] < counts[3] == everyone
    assert counts[1] > 0.25


def test_a_device_s_bundle_is_the_network_where_it_alone_sees_the_thing(
    views: ViewsFolder, seen_views: ViewSplits
) -> None:
    """What is behind the join makes of its features alone what its own bundle makes of them."""
    from offramp.artifacts.stages import logits_name
    from offramp.runtime.open import open_span
    from offramp.runtime.span import SpanSpec

    test = seen_views.test.rows(slice(20))
    of, bundle = seen(views, test, "fp32"), views.devices["view-2"]
    exits = joined(views, joint_span(views), of, of.had(("view-2",)))
    own = open_span(bundle, SpanSpec(0, 3, (2, 3))).run(bundle.read(test.views["view-2"].images))
    for exit_ in (1, 2):
        np.testing.assert_allclose(exits[exit_], own[logits_name(exit_ + 1)], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("join", JOINS)
@pytest.mark.parametrize("at", ["features", "logits"])
def test_views_of_unlike_shapes_are_trained_and_written(unlike: ViewSplits, tmp_path: Path, join: str, at: str) -> None:
    """Vectors of two lengths, some of them missing, by every join: the bundles compute what the network does."""
    trained = train_views(document(unlike, join=join, at=at), unlike, QUICK, 0, threads=1)
    folder = export_views(trained, tmp_path, unlike.calibration, "made")
    assert folder.shape("long") == ((3,) if at == "logits" else (8,))
    assert ("1bit" in folder.devices["long"].manifest.cut(1).codecs) == (at == "features")
    of = seen(folder, unlike.test)
    exits = joined(folder, joint_span(folder), of, of.there)
    with torch.inference_mode():
        there = torch.from_numpy(unlike.test.there)
        batch = [torch.from_numpy(view.images) for view in unlike.test.views.values()]
        _, expected = trained.net(batch, there, there)
    np.testing.assert_allclose(exits[2], expected[1].numpy(), rtol=1e-4, atol=1e-4)
    assert 0 <= accuracy(exits[2], of.labels) <= 1


def test_one_seed_gives_one_network(unlike: ViewSplits) -> None:
    """And another another."""
    weights = [
        torch.cat([p.flatten() for p in train_views(document(unlike), unlike, QUICK, seed, threads=1).net.parameters()])
        for seed in (0, 0, 1)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_views_are_left_out_at_random_and_one_stays() -> None:
    """Of those that are there: none that is not is put in."""
    drawn = torch.Generator().manual_seed(0)
    there = torch.rand((4000, 3), generator=drawn) < 0.7
    there[~there.any(dim=1), 1] = True
    had = left_out(there, 0.4, drawn)
    assert bool(had.any(dim=1).all())
    assert not bool((had & ~there).any())
    share = float(had[there.all(dim=1)].float().mean())
    assert 0.6 < share < 0.66  # 0.6, and what has to stay
    assert torch.equal(left_out(there, 0.0, drawn), there)


def test_signs_let_the_gradient_through() -> None:
    """-1 or 1, and 0 is not above 0."""
    features = torch.tensor([-0.3, 0.0, 0.8], requires_grad=True)
    found = signs(features)
    assert found.tolist() == [-1, -1, 1]
    found.sum().backward()
    assert features.grad is not None
    assert features.grad.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("takes", "more", "said"),
    [
        ({"a": (1, 12, 12), "b": (1, 16, 12)}, {"join": "max"}, "join max: a gives"),
        ({"a": (1, 12, 12), "b": (1, 16, 12)}, {"join": "concat"}, "join concat: a gives"),
        ({"a": (1, 12, 12), "b": (5,)}, {"join": "mean"}, "join mean: a gives"),
    ],
)
def test_joins_that_shapes_do_not_allow_are_refused(
    takes: dict[str, tuple[int, ...]], more: dict[str, Any], said: str
) -> None:
    """Before anything is trained; of logits all can be joined."""
    inputs = {
        name: Values(shape=shape) if len(shape) == 1 else Preprocessing(channels=1, height=shape[1], width=shape[2])
        for name, shape in takes.items()
    }
    network = ViewsNetwork(takes=inputs, classes=("x", "y"), front=(8, 8), **more)
    with pytest.raises(InputError, match=said):
        ViewsNet(network)
    of_logits = network.model_copy(update={"at": "logits"})
    batch = [torch.rand(2, *one.shape) for one in inputs.values()]
    all_there = torch.ones((2, 2), dtype=torch.bool)
    assert ViewsNet(of_logits).eval()(batch, all_there, all_there)[1][1].shape == (2, 2)


def test_bits_are_of_features(unlike: ViewSplits) -> None:
    """Of logits there are too few."""
    with pytest.raises(ValueError, match="bits: of features"):
        document(unlike, at="logits", bits=True)


def test_data_of_other_views_are_refused(unlike: ViewSplits) -> None:
    """By the names of both."""
    network = document(unlike)
    fewer = ViewSplits(*(unlike.part(name).only(("long",)) for name in ("train", "validation", "calibration", "test")))
    with pytest.raises(InputError, match="views: the network has short, long, the data long"):
        train_views(network, fewer, QUICK, 0)


def test_a_rate_that_diverges_is_said(unlike: ViewSplits) -> None:
    """As everywhere in training."""
    wild = QUICK.model_copy(update={"learning_rate": 1e30, "epochs": 5})
    with pytest.raises(TrainingError, match="the loss is not a number any more"):
        train_views(document(unlike), unlike, wild, 0, threads=1)


def test_a_folder_of_something_else_is_not_written_into(unlike: ViewSplits, tmp_path: Path) -> None:
    """Nor is a bundle."""
    (tmp_path / "note").write_text("mine")
    trained = train_views(document(unlike), unlike, QUICK, 0, threads=1)
    with pytest.raises(ArtifactError, match="holds something else than a folder of views"):
        export_views(trained, tmp_path, unlike.calibration, "made")
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


def test_a_view_that_is_missing_everywhere_in_a_batch_is_zeros() -> None:
    """And its front computes nothing."""

    class Counts(nn.Module):
        calls = 0

        def forward(self, view: torch.Tensor) -> torch.Tensor:
            self.calls += len(view)
            return view

    network = ViewsNetwork(takes={"a": Values(shape=(2,)), "b": Values(shape=(2,))}, classes=("x",), front=(2,))
    net = ViewsNet(network).eval()
    net.fronts[1] = Counts()
    there = torch.tensor([[True, False], [True, True]])
    found = net.features([torch.ones(2, 2), torch.ones(2, 2)], there)
    assert found[1].tolist() == [[0, 0], [1, 1]]
    assert replace(vectors(), name="x").names == ("short", "long")
