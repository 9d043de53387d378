"""An aggregator in this process: views of samples, in whatever order, against the offline evaluation."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from offramp.artifacts.plan import Plan
from offramp.artifacts.stages import logits_name
from offramp.artifacts.views import ViewsFolder
from offramp.data.view_set import ViewSet, ViewSplits
from offramp.errors import BehindError, InputError, UnknownModelError, UnreachableError
from offramp.exits.answers import Judged
from offramp.measure.views import Seen, joined, joint_span, seen
from offramp.nodes.aggregator import Aggregator
from offramp.nodes.edge import Edge
from offramp.nodes.gathering import Gathering
from offramp.nodes.local_cloud import LocalCloud
from offramp.nodes.view_model import ViewModel, view_models
from offramp.protocol.gone import Gone
from offramp.protocol.peer import Peer
from offramp.protocol.served import Array, Call, Pending, Result
from offramp.protocol.server import Server
from offramp.runtime.open import open_span
from offramp.runtime.span import SpanSpec
from standing_clock import Clock
from until import until

WAIT = 30.0  # seconds after which a test that hangs fails
LONG = 3600.0  # nothing of these tests is joined because this is over
CODEC = "1bit"
PLAN = Plan.of(1, 0.25)  # some samples are answered at the aggregator's exit, others by the cloud


@pytest.fixture(scope="module")
def test_set(seen_views: ViewSplits) -> ViewSet:
    return seen_views.test.rows(slice(24))


@pytest.fixture(scope="module")
def offline(views: ViewsFolder, test_set: ViewSet) -> Seen:
    """What the evaluation says of the same samples."""
    return seen(views, test_set, CODEC)


@pytest.fixture(scope="module")
def sent(views: ViewsFolder, test_set: ViewSet) -> dict[str, Array]:
    """What the devices send."""
    found = {}
    for name, bundle in views.devices.items():
        outputs = open_span(bundle, SpanSpec(0, 1, (1,), CODEC)).run(bundle.read(test_set.views[name].images))
        found[name] = outputs["features_1"]
    return found


def moved(model: ViewModel, clock: Clock, seconds: float) -> None:
    """So many seconds are over."""
    clock.now += seconds
    with model.aggregator.changing:
        model.aggregator.changing.notify_all()


@contextmanager
def aggregator(views: ViewsFolder, plan: Plan = PLAN, **settings: object) -> Iterator[dict[str, ViewModel]]:
    """One that waits for long, with a cloud in this process: its models of one codec, by view."""
    edge = Edge(views.joint, plan, LocalCloud(views.joint), threads=1)
    known = Gathering(views.views.names, **{"wait": LONG, **settings})  # type: ignore[arg-type, var-annotated]
    node = Aggregator(views, edge, known)
    node.start()
    try:
        yield {model.view: model for model in view_models(node) if model.name == f"classifier-1-{CODEC}"}
    finally:
        node.close()


def call(features: Array, timeout: float | None = None, **parameters: str) -> Call:
    return Call({"features_1": features}, parameters, timeout)


def told(model: ViewModel) -> dict[str, int]:
    found: dict[str, int] = json.loads(model.config["gathered"])
    return found


def result(found: Result | Pending) -> Result:
    if isinstance(found, Result):
        return found
    found.answer.result(WAIT)
    return found.finish()


def expected(views: ViewsFolder, of: Seen, names: tuple[str, ...], plan: Plan = PLAN) -> tuple[Array, Array, Array]:
    """Labels, exits (in the words of a device's bundle) and scores of the evaluation, where some devices speak."""
    exits = joined(views, joint_span(views), of, of.had(names))
    first, last = (Judged.of(exits[exit_], plan.score) for exit_ in (1, 2))
    here = first.scores < plan.threshold
    labels = np.where(here, first.probabilities.argmax(axis=1), last.probabilities.argmax(axis=1))
    return labels, np.where(here, 2, 3), np.where(here, first.scores, last.scores)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_every_device_is_answered_by_all_of_its_sample_s_views(
    views: ViewsFolder, offline: Seen, sent: dict[str, Array], order: tuple[int, ...]
) -> None:
    """As the evaluation says, at both exits; the answers say which views they are made of."""
    names = views.views.names
    labels, exits, scores = expected(views, offline, names)
    assert set(exits.tolist()) == {2, 3}
    with aggregator(views) as models:
        for row in range(len(labels)):
            pending = {}
            for number in order:
                name = names[number]
                pending[name] = models[name].infer(call(sent[name][[row]], sample=f"s{row}", view=name))
            for found in pending.values():
                answer = result(found)
                assert answer.outputs["label"].tolist() == [labels[row]]
                assert answer.outputs["exit"].tolist() == [exits[row]]
                assert answer.outputs["tier"].tolist() == [b"edge" if exits[row] == 2 else b"cloud"]
                assert answer.outputs["score"] == pytest.approx(scores[[row]], abs=1e-5)
                assert answer.parameters["views"] == "view-1,view-2,view-5"
                assert "late" not in answer.parameters
        assert told(models["view-1"]) == {"whole": len(labels), "quorum": 0, "short": 0, "late": 0, "repeated": 0}


def test_samples_that_come_at_once_are_kept_apart(views: ViewsFolder, offline: Seen, sent: dict[str, Array]) -> None:
    """All views of all samples in a mixed order, from three threads: each sample is answered by its own."""
    names = views.views.names
    labels, _, _ = expected(views, offline, names)
    with aggregator(views) as models:
        found: dict[tuple[str, int], Result | Pending] = {}

        def device(name: str, seed: int) -> None:
            for row in np.random.default_rng(seed).permutation(len(labels)):
                found[name, int(row)] = models[name].infer(call(sent[name][[row]], sample=str(row)))

        threads = [threading.Thread(target=device, args=(name, seed)) for seed, name in enumerate(names)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT)
        for (_, row), one in found.items():
            assert result(one).outputs["label"].tolist() == [labels[row]]
        assert told(models["view-1"])["whole"] == len(labels)


def test_a_silent_device_costs_accuracy_and_not_the_answer(
    views: ViewsFolder, offline: Seen, sent: dict[str, Array]
) -> None:
    """When the wait is over, the answer is that of the evaluation without it, and marked so; what is late finds it."""
    there = ("view-1", "view-5")
    labels, exits, _ = expected(views, offline, there)
    clock = Clock()
    with aggregator(views, clock=clock) as models:
        for row in range(6):
            pending = [models[name].infer(call(sent[name][[row]], sample=str(row))) for name in there]
            moved(models["view-1"], clock, LONG)
            for found in pending:
                answer = result(found)
                assert answer.outputs["label"].tolist() == [labels[row]]
                assert answer.outputs["exit"].tolist() == [exits[row]]
                assert answer.parameters["views"] == "view-1,view-5"
            late = result(models["view-2"].infer(call(sent["view-2"][[row]], sample=str(row))))
            assert late.outputs["label"].tolist() == [labels[row]]
            assert late.parameters["views"] == "view-1,view-5"
            assert late.parameters["late"] is True
        assert told(models["view-1"]) == {"whole": 0, "quorum": 0, "short": 6, "late": 6, "repeated": 0}


def test_an_answer_comes_inside_the_deadline_of_who_has_least_time(views: ViewsFolder, sent: dict[str, Array]) -> None:
    """Though the aggregator would wait for an hour."""
    with aggregator(views) as models:
        first = models["view-1"].infer(call(sent["view-1"][[0]], sample="s"))
        second = models["view-2"].infer(call(sent["view-2"][[0]], timeout=0.2, sample="s"))
        assert result(second).parameters["views"] == "view-1,view-2"
        assert result(first).parameters["views"] == "view-1,view-2"


def test_a_quorum_answers_at_once(views: ViewsFolder, offline: Seen, sent: dict[str, Array]) -> None:
    """By the views that were first."""
    labels, _, _ = expected(views, offline, ("view-2", "view-5"))
    with aggregator(views, quorum=2) as models:
        pending = [models[name].infer(call(sent[name][[0]], sample="s")) for name in ("view-5", "view-2")]
        assert [result(one).outputs["label"].tolist() for one in pending] == [[labels[0]]] * 2
        assert told(models["view-2"])["quorum"] == 1


def test_a_batch_without_a_sample_s_name_is_answered_view_by_view(
    views: ViewsFolder, test_set: ViewSet, sent: dict[str, Array]
) -> None:
    """As the device's own bundle answers: it is the network where that device alone sees the thing."""
    bundle = views.devices["view-2"]
    exits = open_span(bundle, SpanSpec(1, 3, (2, 3), takes=CODEC)).run(sent["view-2"])
    with aggregator(views, Plan.of(2, 0.0)) as models:  # all is answered at the last exit
        answer = result(models["view-2"].infer(call(sent["view-2"], view="view-2")))
    assert answer.outputs["label"].tolist() == exits[logits_name(3)].argmax(axis=1).tolist()
    assert answer.outputs["exit"].tolist() == [3] * len(test_set)
    assert answer.parameters["views"] == "view-2"


def test_who_goes_takes_nobody_with_it(views: ViewsFolder, sent: dict[str, Array]) -> None:
    """A caller whose own wait is cancelled leaves the others' answer as it is."""
    with aggregator(views) as models:
        gone = Gone()
        first = models["view-1"].infer(replace(call(sent["view-1"][[0]], sample="s"), cancelled=gone))
        assert isinstance(first, Pending)
        first.answer.cancel()
        second = models["view-2"].infer(call(sent["view-2"][[0]], sample="s"))
        third = models["view-5"].infer(call(sent["view-5"][[0]], sample="s"))
        assert result(second).parameters["views"] == result(third).parameters["views"] == "view-1,view-2,view-5"


class Lost(LocalCloud):
    """A cloud that is never there."""

    def finish(self, *_: object, **__: object) -> object:  # type: ignore[override]
        from offramp.nodes.upstream import failed

        return failed(UnreachableError("cloud nowhere: not there."))


@pytest.mark.parametrize("degraded", [True, False])
def test_a_lost_cloud_is_every_device_s_loss_alike(views: ViewsFolder, sent: dict[str, Array], degraded: bool) -> None:
    """Each gets the degraded answer, or an error of its own."""
    edge = Edge(views.joint, Plan.of(1, 0.0), Lost(views.joint), threads=1)
    edge.degrades = degraded
    node = Aggregator(views, edge, Gathering(views.views.names, wait=LONG))
    node.start()
    models = {model.view: model for model in view_models(node) if model.name == f"classifier-1-{CODEC}"}
    pending = [models[name].infer(call(sent[name][[0]], sample="s")) for name in views.views.names]
    if degraded:
        assert [result(one).outputs["degraded"].tolist() for one in pending] == [[True]] * 3
    else:
        raised = []
        for one in pending:
            with pytest.raises(BehindError, match=r"cloud nowhere: not there\. 1 of 1 samples") as caught:
                result(one)
            raised.append(caught.value)
        assert len(set(map(id, raised))) == 3
        edge.degrades = True  # the error is not kept: who asks again is answered
        again = models["view-1"].infer(call(sent["view-1"][[0]], 0.1, sample="s"))
        assert result(again).outputs["degraded"].tolist() == [True]
    node.close()


def test_each_caller_says_for_itself_whether_it_takes_a_degraded_answer(
    views: ViewsFolder, sent: dict[str, Array]
) -> None:
    """One that does not gets an error, in time or late, and takes nothing from the others."""
    edge = Edge(views.joint, Plan.of(1, 0.0), Lost(views.joint), threads=1)
    edge.degrades = True
    node = Aggregator(views, edge, Gathering(views.views.names, quorum=2, wait=LONG))
    node.start()
    first, second, third = (
        next(model for model in view_models(node) if (model.view, model.name) == (view, f"classifier-1-{CODEC}"))
        for view in views.views.names
    )
    strict = first.infer(Call({"features_1": sent[first.view][[0]]}, {"sample": "s", "degraded": False}))
    other = second.infer(call(sent[second.view][[0]], sample="s"))
    late = third.infer(Call({"features_1": sent[third.view][[0]]}, {"sample": "s", "degraded": False}))
    assert result(other).outputs["degraded"].tolist() == [True]
    for one in (strict, late):
        with pytest.raises(BehindError, match="takes no degraded answer"):
            result(one)
    node.close()


@pytest.mark.parametrize(
    ("view", "rows", "parameters", "said"),
    [
        (
            "view-1",
            2,
            {"sample": "s"},
            "sample 's': a call has one view of one sample, got 2 rows. Send a call for each.",
        ),
        ("view-1", 1, {"sample": ""}, "sample: an id of 1 to 256 characters is expected, got 0."),
        ("view-1", 1, {"sample": "s", "view": "view-9"}, "view 'view-9': unknown. The network was trained on view-1,"),
        ("view-1", 1, {"sample": "s", "view": "view-2"}, "view 'view-2': bundle .* is of view-1. Send each view by"),
        ("view-1", 1, {"sample": "s", "exit": "1"}, "parameter 'exit': the aggregator answers by its own plan."),
        ("view-1", 1, {"sample": "s", "reply_to": "t"}, "parameter 'reply_to': an aggregator sends no direct replies."),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_of_it_is_kept(
    views: ViewsFolder, sent: dict[str, Array], view: str, rows: int, parameters: dict[str, str], said: str
) -> None:
    """The next sample does not know of it."""
    with aggregator(views) as models:
        model = models[view]
        with pytest.raises(InputError, match=f"^{said if '.*' in said else re.escape(said)}"):
            model.infer(call(sent[view][:rows], **parameters))
        assert not model.aggregator.gathering.known


def test_features_that_are_not_of_the_cut_are_refused(views: ViewsFolder, sent: dict[str, Array]) -> None:
    """Of another shape or type, as everywhere."""
    with aggregator(views) as models:
        with pytest.raises(InputError, match=r"features_1: expected shape \(N, 9\)"):
            models["view-1"].infer(call(sent["view-1"][:1, :-1], sample="s"))
        with pytest.raises(InputError, match="features_1: expected UINT8"):
            models["view-1"].infer(call(sent["view-1"][:1].astype(np.float32), sample="s"))


def test_an_aggregator_of_another_bundle_s_edge_is_refused(views: ViewsFolder) -> None:
    """What is behind the join is the folder's own."""
    edge = Edge(views.devices["view-1"], Plan.of(3, 0.0), threads=1)
    with pytest.raises(InputError, match="aggregator: its edge holds bundle"):
        Aggregator(views, edge, Gathering(views.views.names))


def test_over_the_wire_devices_are_answered_while_they_wait(
    views: ViewsFolder, offline: Seen, sent: dict[str, Array]
) -> None:
    """No thread waits for what has not come; another bundle's features are refused, and the rest is answered."""
    labels, _, _ = expected(views, offline, ("view-1", "view-2"))
    edge = Edge(views.joint, PLAN, LocalCloud(views.joint), threads=1)
    node = Aggregator(views, edge, Gathering(views.views.names, quorum=2, wait=LONG))
    node.start()
    server = Server(view_models(node), "127.0.0.1", 0, max_batch=16, calls=2)
    server.start()
    name = f"classifier-1-{CODEC}"
    with Peer(server.address) as peer:
        other = "f" * 32
        with pytest.raises(UnknownModelError, match=other):
            peer.infer(
                name, {"features_1": sent["view-5"][[0]]}, version=other, timeout=WAIT, parameters={"sample": "0"}
            )
        found = {}

        def device(view: str, row: int) -> None:
            said: dict[str, str] = {"sample": str(row), "view": view}
            features = {"features_1": sent[view][[row]]}
            version = views.devices[view].id
            found[view, row] = peer.infer(name, features, version=version, parameters=said, timeout=WAIT)

        threads = [threading.Thread(target=device, args=(v, row)) for row in range(8) for v in ("view-1", "view-2")]
        for thread in threads:
            thread.start()
        until(lambda: len(found) == len(threads), within=WAIT)
        for (view, row), answer in found.items():
            assert answer.outputs["label"].tolist() == [labels[row]]
            assert answer.parameters["views"] == "view-1,view-2"
            assert answer.parameters["view"] == view
    server.stop(1.0)
    node.close()


def test_a_node_that_stops_answers_what_it_has(views: ViewsFolder, sent: dict[str, Array]) -> None:
    """And takes nothing more."""
    with aggregator(views) as models:
        pending = models["view-1"].infer(call(sent["view-1"][[0]], sample="s"))
    assert result(pending).parameters["views"] == "view-1"
    with pytest.raises(UnreachableError, match="this node is stopping"):
        models["view-1"].infer(call(sent["view-1"][[0]], sample="t"))


def test_a_view_alone_is_a_maximum_and_a_mean_of_itself(views: ViewsFolder) -> None:
    """Where the others are left out, and not zeros."""
    edge = Edge(views.joint, PLAN, LocalCloud(views.joint), threads=1)
    features = np.random.default_rng(0).normal(size=(2, *views.shape("view-2"))).astype(np.float32)
    for join in ("max", "mean"):
        folder = replace(views, views=views.views.model_copy(update={"join": join}))
        alone = Aggregator(folder, edge, Gathering(views.views.names)).joined_alone("view-2", features)
        assert np.array_equal(alone, features)
