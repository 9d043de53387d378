"""A chain of nodes as processes: device, edge and more, up to the cloud, each of which answers what it is sure of."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from command_line import Node, running
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.client.client import Client
from offramp.data.image_set import Splits
from offramp.exits.answers import Answers, tier_name
from offramp.exits.evaluation import route
from offramp.protocol.served import Array


def part(cut: int, *active: tuple[int, float], codec: str = "fp32") -> dict[str, object]:
    """What one tier does."""
    return {"active": [{"exit": k, "threshold": t} for k, t in active], "cut": cut, "codec": codec}


def chain(**tiers: dict[str, object]) -> Plan:
    """A plan."""
    return Plan.model_validate({"tiers": tiers})


PORTABLE = ("--runtime", "onnxruntime", "--precision", "fp32", "--threads", "1", "--port", "0", "--no-http")
TWO = chain(device=part(3, (2, 0.2), (3, 0.3)))
THREE = chain(device=part(3, (2, 0.2)), edge=part(6, (4, 0.2), (5, 0.3)))
FOUR = chain(device=part(2, (1, 0.2)), edge=part(4, (3, 0.2)), region=part(7, (5, 0.2), (6, 0.3)))
ALONG = chain(device=part(0), edge=part(3, (2, 0.2), (3, 0.3)))


@contextmanager
def served(bundle: Bundle, plan: Plan, folder: Path) -> Iterator[dict[str, Node]]:
    """The nodes of a plan, by tier, each in front of the next."""
    path = folder / "chain.json"
    plan.write(path)
    with ExitStack() as held:
        nodes = {"cloud": held.enter_context(running("cloud", str(bundle.path), *PORTABLE))}
        onto = nodes["cloud"].address()
        for tier in reversed(plan.tiers):
            told = (str(bundle.path), "--plan", str(path), "--tier", tier, "--next", onto, *PORTABLE)
            nodes[tier] = held.enter_context(running("edge", *told))
            onto = nodes[tier].address()
        yield nodes


@pytest.fixture(scope="module")
def image(bundle: Bundle, digits: Splits) -> Array:
    """Samples of the test set."""
    return bundle.manifest.preprocessing.from_uint8(digits.test.images[:200])


def same(found: Answers, expected: Answers) -> None:
    """To the last bit, in the caller's order."""
    for field in fields(Answers):
        assert np.array_equal(getattr(found, field.name), getattr(expected, field.name)), field.name


@pytest.mark.parametrize("plan", [TWO, THREE, FOUR, ALONG], ids=["two", "three", "four", "along"])
def test_every_answer_is_the_evaluation_s(
    bundle: Bundle, predictions: Predictions, image: Array, plan: Plan, tmp_path: Path
) -> None:
    """Label, exit, tier, score and probabilities, of batches and of samples alone, by several tiers."""
    expected = route(predictions, plan).rows(slice(0, len(image)))
    assert len(np.unique(expected.tier)) == len([p for p in plan.tiers.values() if p.active]) + 1
    with served(bundle, plan, tmp_path) as nodes, Client(nodes["device"].address()) as client:
        same(client.infer(image), expected)
        for row in range(20):
            same(client.infer(image[row : row + 1]), expected.rows(slice(row, row + 1)))
        print({tier_name(int(t)): int((expected.tier == t).sum()) for t in np.unique(expected.tier)})
