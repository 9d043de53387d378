"""What is served by bundle, now and for one reload longer."""

import pytest

from offramp.artifacts.bundle import Bundle
from offramp.nodes.generations import Generations


@pytest.fixture(scope="module")
def bundles(bundle: Bundle) -> list[Bundle]:
    """Three of different ids."""
    names = ("a", "b", "c")
    return [Bundle(bundle.path, bundle.manifest.model_copy(update={"model": name}), bundle.graph) for name in names]


def test_what_is_gone_is_kept_for_one_generation(bundles: list[Bundle]) -> None:
    """What is here already is not made again; what comes back neither."""
    made: list[str] = []

    def make(bundle: Bundle) -> str:
        made.append(bundle.manifest.model)
        return bundle.manifest.model

    a, b, c = bundles
    first = Generations[str]({}).turned([a, b], make)
    assert (first.now, first.before) == ({a.id: "a", b.id: "b"}, {})
    second = first.turned([c, b], make)
    assert (list(second.now), second.before) == ([c.id, b.id], {a.id: "a"})
    assert list(second.all) == [c.id, b.id, a.id]
    back = second.turned([a], make)
    assert (back.now, back.before) == ({a.id: "a"}, {c.id: "c", b.id: "b"})
    assert back.turned([a], make).all == {a.id: "a"}
    assert made == ["a", "b", "c"]


def test_what_is_different_is_said(bundles: list[Bundle]) -> None:
    """What was opened, what stays for now, and what went."""
    a, b, c = bundles
    one, two, three = Generations({a.id: 1}), Generations({b.id: 2}, {a.id: 1}), Generations({c.id: 3}, {b.id: 2})
    assert two.said(one) == f"opened bundle {b.id}; until the next reload bundle {a.id}"
    assert three.said(two) == f"opened bundle {c.id}; until the next reload bundle {b.id}; let go bundle {a.id}"
    assert one.said(one) == "the bundles are the same"
