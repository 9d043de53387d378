"""The edge as a library: what it refuses before it runs anything."""

import re
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Engine, Precision
from offramp.artifacts.plan import Plan
from offramp.artifacts.promise import Promise
from offramp.errors import InputError
from offramp.exits.answers import Tier
from offramp.nodes.edge import Edge
from offramp.nodes.edge_process import shown_elsewhere
from offramp.nodes.flight import Flight
from offramp.nodes.local_cloud import LocalCloud
from offramp.nodes.upstream import Finished, at_once
from offramp.runtime.choice import Choice

ONE_THREAD = Engine(threads=1)


def images(bundle: Bundle) -> Any:
    """Two of them."""
    return np.full((2, *bundle.manifest.preprocessing.shape), 0.5, np.float32)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (
            Plan.of(3, 0.3),
            "exit 3: what is not sure enough there goes to a cloud, and this edge has none. Name one (--cloud "
            "HOST:PORT), or answer everything here at exit 9.",
        ),
        (
            Plan.checked(active=(), cut=4),
            "cut 4: what comes there goes to a cloud, and this edge has none. Name one (--cloud HOST:PORT), or answer "
            "everything here at exit 9.",
        ),
    ],
)
def test_without_a_cloud_everything_is_answered_here(bundle: Bundle, plan: Plan, message: str) -> None:
    """At the start, and for one call."""
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        Edge(bundle, plan, threads=1)
    edge = Edge(bundle, Plan.of(9, 1.0), threads=1)
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        edge.infer(images(bundle), plan=plan)
    assert edge.infer(images(bundle)).exit.tolist() == [9, 9]


def promised(bundle: Bundle, source: str = "", precision: Precision = "fp32") -> Plan:
    """A plan of which something was shown, if not of this bundle."""
    promise = Promise(
        max_loss=0.01, confidence=0.95, samples=100, data="digits calibration", data_sha256="0" * 64,
        source=source or f"bundle:{bundle.id}", route="the whole graph in one piece", runtime="onnxruntime",
        precision=precision,
    )  # fmt: skip
    return Plan.of(9, 1.0).model_copy(update={"promise": promise})


def test_a_promise_is_of_the_bundle_that_it_was_shown_of(bundle: Bundle) -> None:
    """Of another one nothing is known; at the start, and for a plan that is followed later."""
    other = promised(bundle, f"bundle:{'1' * 32}")
    message = (
        f"plan: what it promises was shown of bundle {'1' * 32}, and this edge holds bundle {bundle.id} "
        f"({bundle.path}). Choose one for it (offramp plan), or take the promise out."
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        Edge(bundle, other, threads=1)
    edge = Edge(bundle, promised(bundle), threads=1)
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        edge.follow(other)
    assert edge.plan == promised(bundle)


def test_an_edge_that_computes_otherwise_says_that_nothing_is_promised(bundle: Bundle) -> None:
    """The same network in another precision gives other answers."""
    assert shown_elsewhere(Edge(bundle, promised(bundle), threads=1)) is None
    assert shown_elsewhere(Edge(bundle, Plan.of(9, 1.0), threads=1)) is None
    assert shown_elsewhere(Edge(bundle, promised(bundle, precision="int8"), threads=1)) == (
        f"{bundle.manifest.model}: the plan's promise was shown on onnxruntime int8, and this edge computes with "
        "onnxruntime fp32: nothing is promised of its answers. Choose a plan from predictions by that (offramp predict "
        "--runtime onnxruntime --precision fp32), or serve with --precision int8."
    )


@pytest.mark.parametrize(
    ("plan", "version", "message"),
    [
        (
            None,
            "another",
            "cloud_version 'another': another network takes images and no features, and this request is cut at 3. Set "
            "cut to 0.",
        ),
        (
            Plan.of(9, 1.0),
            "another",
            "cloud_version 'another': another network takes images and no features, and this request is cut at 9. Set "
            "cut to 0.",
        ),
        (
            Plan.of(3, 0.0, cut=0),
            "",
            "cloud_version '': expected the id of a bundle that the cloud serves.",
        ),
        (
            Plan.of(3, 0.0, cut=0),
            "another",
            "cloud_version 'another': this edge's cloud is in the same process. Leave it out.",
        ),
    ],
)
def test_a_cascade_that_cannot_be_is_refused(bundle: Bundle, plan: Plan | None, version: str, message: str) -> None:
    """Features are of one network, images of any."""
    edge = Edge(bundle, Plan.of(3, 0.3), LocalCloud(bundle, ONE_THREAD), threads=1)
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        edge.infer(images(bundle), plan=plan, cloud_version=version)


def test_a_cascade_to_the_edge_s_own_network_is_the_call_without(bundle: Bundle) -> None:
    """Named or not, it is the same network."""
    edge = Edge(bundle, Plan.of(3, 0.0, cut=0, codec="uint8"), LocalCloud(bundle, ONE_THREAD), threads=1)
    named, unnamed = edge.infer(images(bundle), cloud_version=bundle.id), edge.infer(images(bundle))
    assert np.array_equal(named.probabilities, unnamed.probabilities)
    assert named.exit.tolist() == [9, 9]


class Another(LocalCloud):
    """A cloud in which another network answers, of five stages; it writes down whose answer was asked for."""

    asked: str | None = None

    def finish(self, flight: Flight, *of: Any) -> Future[Finished]:
        """Give logits of its last exit."""
        *_, self.asked = of
        logits = np.zeros((len(flight.rows), 10), np.float32)
        return at_once(lambda: Finished.by_cloud(flight, logits, 5))


def test_the_answers_of_a_cascade_say_the_other_network_s_exit(bundle: Bundle) -> None:
    """Not the edge's own last one."""
    cloud = Another(bundle, ONE_THREAD)
    edge = Edge(bundle, Plan.of(3, 0.0, cut=0, codec="uint8"), cloud, threads=1)
    answers = edge.infer(images(bundle), cloud_version="another")
    assert (answers.exit.tolist(), answers.tier.tolist()) == ([5, 5], [Tier.CLOUD, Tier.CLOUD])
    assert cloud.asked == "another"


def test_a_choice_that_was_made_is_taken(bundle: Bundle) -> None:
    """Nothing is timed again."""
    choice = Choice(why="made before")
    assert Edge(bundle, Plan.of(9, 1.0), threads=1, runtime="auto", precision="auto", choice=choice).choice is choice


class Timed:
    """A cloud that writes down how long it may take."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def check(self, course: Any, timeout: float) -> None:
        """Be there."""

    def finish(self, flight: Flight, timeout: float, to: Any = None, version: str | None = None) -> Future[Finished]:
        """Answer at once."""
        self.waits.append(timeout)
        return at_once(lambda: Finished.by_cloud(flight, np.zeros((len(flight.rows), 10), np.float32), 9))


def test_the_wait_for_the_cloud_is_the_edge_s_where_a_call_names_none(bundle: Bundle) -> None:
    """Ten seconds unless said otherwise; a call's own time is shorter or longer as it likes, where it waits alone."""
    for options, wait in (({}, 10.0), ({"cloud_timeout": 7.5}, 7.5)):
        cloud = Timed()
        edge = Edge(bundle, Plan.of(3, 0.0), cloud, choice=Choice(ONE_THREAD), degraded=False, **options)
        edge.infer(images(bundle))
        edge.infer(images(bundle), timeout=100.0)
        assert cloud.waits[0] == wait
        assert wait < cloud.waits[1] <= 100.0


@pytest.mark.parametrize(
    ("plan", "alone"),
    [
        (Plan.of(3, 0.3), True),
        (Plan.of(3, 0.0), False),
        (Plan.of(3, 0.0, drop_threshold=0.9), True),
        (Plan.of(3, 0.0, drop_threshold=1.0), False),
        (Plan.checked(active=(), cut=4), False),
        (Plan.checked(active=(), cut=9), True),
        (Plan.of(9, 0.0), True),
    ],
)
def test_an_edge_knows_whether_it_answers_anything_alone(bundle: Bundle, plan: Plan, alone: bool) -> None:
    """Then it may start without its cloud; and with degraded answers it always may."""
    assert Edge(bundle, plan, Timed(), choice=Choice(ONE_THREAD), degraded=False).answers_alone() == alone
    assert Edge(bundle, plan, Timed(), choice=Choice(ONE_THREAD)).answers_alone()


@pytest.mark.parametrize(
    ("one", "got"),
    [
        (3, "int. Send pixels as one array of float32 or uint8."),
        ("a.png", "str. Read files first: pathlib.Path(name).read_bytes()."),
        (None, "NoneType. Leave it out."),
    ],
)
def test_what_is_no_encoded_image_is_named_by_its_place(bundle: Bundle, one: object, got: str) -> None:
    """Beside one that is."""
    message = f"image: sample 1: expected an encoded image (bytes), got {got}"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        Edge(bundle, Plan.of(9, 1.0), threads=1).infer(np.array([b"one", one], object))


def test_no_file_is_opened_for_who_asks(bundle: Bundle, tmp_path: Path) -> None:
    """Neither a path to one that is an image, nor its name."""
    there = tmp_path / "there.png"
    Image.new("RGB", (4, 4)).save(there)
    edge = Edge(bundle, Plan.of(9, 1.0), threads=1)
    for name in (there, str(there)):
        with pytest.raises(InputError, match=r"^image: sample 0: expected an encoded image \(bytes\), got "):
            edge.infer(np.array([name], object))


@pytest.mark.parametrize(("dtype", "shown"), [("S3", "|S3"), ("U3", "<U3")])
def test_an_array_that_would_cut_files_short_is_refused(bundle: Bundle, dtype: str, shown: str) -> None:
    """NumPy's arrays of strings end each at its last zero."""
    message = (
        f"image: expected numbers or objects (bytes), got an array of dtype {shown}, which cannot hold every file: "
        "NumPy drops the zeros at its end. Pass a list of bytes as it is. Read files first: "
        "pathlib.Path(name).read_bytes()."
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        Edge(bundle, Plan.of(9, 1.0), threads=1).infer(np.array([b"a\0\0"], dtype))
