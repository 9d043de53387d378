"""An edge that follows the link to a real cloud: up when it is there, down when nothing comes back, and up again."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from command_line import running
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.choices import Choices, Priced
from offramp.artifacts.plan import Plan
from offramp.data.image_set import Splits
from offramp.errors import InputError
from offramp.exits.answers import Answers
from offramp.nodes.edge import Edge
from offramp.nodes.edge_networks import EdgeNetworks
from offramp.nodes.edge_settings import Audited, EdgeSettings, Follow
from offramp.nodes.sight import seen
from offramp.protocol.metrics import AUDIT_ALARM, SWITCHES
from processes import stop
from until import until

ALONE = Plan.of(2, 0.3, cut=9)
THERE = Plan.checked(active=(), cut=0, codec="uint8")
OTHER = Plan.of(3, 0.4, cut=9)
ENGINE = ("--runtime", "onnxruntime", "--precision", "fp32", "--threads", "1", "--no-http")


def written(path: Path, bundle: str, **changed: object) -> str:
    """Choices of which the one that needs the cloud is faster on any link that passes anything."""
    choices = Choices(
        bundle=bundle,
        least_accuracy=0.5,
        plans=(
            Priced(plan=THERE, accuracy=0.9, edge_ms=0.1, onward=1, bytes_up=400, bytes_down=200, cloud_ms=1),
            Priced(plan=ALONE, accuracy=0.9, edge_ms=1e6, onward=0),
        ),
    )
    choices.model_copy(update=changed).write(path)
    return str(path)


def test_it_goes_up_down_with_the_link_and_up_again(
    bundle: Bundle, digits: Splits, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What waits when nothing comes back is answered here; a plan that is asked for holds until a reload."""
    caplog.set_level(logging.INFO, "offramp")
    file = tmp_path / "choices.json"
    images = bundle.manifest.preprocessing.from_uint8(digits.test.images[:2])
    with running("cloud", str(bundle.path), "--port", "0", *ENGINE) as cloud, ExitStack() as held:
        settings = EdgeSettings(
            bundles=(str(bundle.path),), plan=ALONE, follow=Follow(choices=written(file, bundle.id)),
            cloud=cloud.address(), cloud_timeout=10_000.0, runtime="onnxruntime", precision="fp32", threads=1,
            max_batch=4,
        )  # fmt: skip
        networks = EdgeNetworks(settings, held)
        (edge,) = networks.edges
        until(lambda: edge.plan == THERE)
        assert edge.infer(images).tier.tolist() == [2, 2]

        stop(cloud.process.pid)
        found: list[Answers] = []
        asked = threading.Thread(target=lambda: found.append(edge.infer(images)), daemon=True)
        asked.start()
        until(lambda: bool(found))  # and not after ten thousand seconds
        assert found[0].degraded.all()
        until(lambda: edge.plan == ALONE)
        assert not edge.infer(images).degraded.any()
        cloud.process.send_signal(signal.SIGCONT)
        until(lambda: edge.plan == THERE)
        (switches,) = [value for family, _, value in seen(networks) if family is SWITCHES]
        assert switches == sum("course: " in message and " → " in message for message in caplog.messages) == 3
        assert "course: exit 2 at 0.3, cut 9 fp32 → no exit, cut 0 uint8: up " in caplog.text
        assert "→ exit 2 at 0.3, cut 9 fp32: nothing has come back for " in caplog.text

        (network,) = networks.generations.now.values()
        networks.change(network, OTHER, "ops")
        assert "the link is not followed until the next reload" in caplog.text
        assert (edge.plan, edge.follower, networks.steering.follower) == (OTHER, None, None)
        written(file, "ff")
        with pytest.raises(InputError, match=f"its plans are of bundle ff, and this edge holds {bundle.id}"):
            networks.reload(lambda models: None)
        assert edge.plan == OTHER
        written(file, bundle.id)
        networks.reload(lambda models: None)
        until(lambda: edge.plan == THERE)


def test_a_deadline_takes_the_plan_that_meets_it(bundle: Bundle, tmp_path: Path) -> None:
    """For that call alone; with time for the one in force, or for none of them, it is that one."""
    file, images = tmp_path / "choices.json", np.zeros((1, 1, 16, 16), np.float32)
    with running("cloud", str(bundle.path), "--port", "0", *ENGINE) as cloud, ExitStack() as held:
        settings = EdgeSettings(
            bundles=(str(bundle.path),), plan=ALONE, follow=Follow(choices=written(file, bundle.id), within=1e7),
            cloud=cloud.address(), runtime="onnxruntime", precision="fp32", threads=1,
        )  # fmt: skip
        networks = EdgeNetworks(settings, held)
        (edge,), follower = networks.edges, networks.steering.follower
        assert follower is not None
        follower.close()  # so that it stands still
        edge.follower, here, there = follower, *follower.ready.courses
        follower.longest = [5.0, 2.0]
        assert [edge.within(timeout) for timeout in (None, 9.0, 5.0, 1.0)] == [None, None, there, None]
        assert edge.infer(images, timeout=9.0).tier.tolist() == [1]
        assert edge.infer(images, timeout=4.9).tier.tolist() == [2]
        assert edge.course is here


def test_a_plan_that_does_not_hold_its_promise_is_left(
    bundle: Bundle, digits: Splits, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """For one that is more accurate where there is one, and else for the last exit alone, until a reload."""
    images = bundle.manifest.preprocessing.from_uint8(digits.test.images)
    rough = Plan.of(1, 1.0, cut=9)
    choices = Choices(
        bundle=bundle.id,
        least_accuracy=0.5,
        plans=tuple(
            Priced(plan=plan, accuracy=accuracy, edge_ms=ms, onward=0)
            for plan, accuracy, ms in ((rough, 0.8, 1.0), (ALONE, 0.9, 2.0))
        ),
    )
    choices.write(tmp_path / "choices.json")
    follow, audit = Follow(choices=str(tmp_path / "choices.json")), Audited(share=1.0, most=0.01)
    with running("cloud", str(bundle.path), "--port", "0", *ENGINE) as cloud, ExitStack() as held:
        for following, after in ((follow, ALONE), (None, Plan.checked(active=(), cut=9))):
            settings = EdgeSettings(
                bundles=(str(bundle.path),), plan=rough, follow=following, audit=audit, cloud=cloud.address(),
                runtime="onnxruntime", precision="fp32", threads=1,
            )  # fmt: skip
            networks = EdgeNetworks(settings, held)
            (edge,), starts = networks.edges, iter(range(0, len(images), 8))
            assert edge.plan == rough

            def left(edge: Edge = edge, starts: Iterator[int] = starts, after: Plan = after) -> bool:
                start = next(starts, 0)
                edge.infer(images[start : start + 8])
                return edge.plan == after

            until(left)
            said = "answered otherwise than by the last exit, and at most 1 % were promised"
            until(lambda said=said: said in caplog.text)  # type: ignore[misc]  # by another thread than the one that switches
            alarms = [value for family, _, value in seen(networks) if family is AUDIT_ALARM]
            assert alarms == [1.0]


def test_what_cannot_be_followed_is_refused(bundle: Bundle, tmp_path: Path, refusal: Callable[..., str]) -> None:
    """With what there is to do about it."""
    file = written(tmp_path / "choices.json", bundle.id)
    edge = ("serve", "edge", str(bundle.path), "--follow", file)
    assert refusal(*edge).startswith(f"follow {file}: this edge has no cloud, and no link to follow. Name one")
    both = refusal(*edge, "--cloud", "localhost:1", "--exit", "3", "--threshold", "0.3")
    assert both == (
        f"follow {file}: the file has the plans to choose among, and --exit, --threshold says one. Leave out the one "
        "or the other."
    )
    alone = refusal("serve", "edge", str(bundle.path), "--follow-within", "20")
    assert alone == "follow within 20: nothing is followed. Name choices (--follow FILE)."
    written(tmp_path / "choices.json", bundle.id, least_accuracy=None)
    assert "Say how long an answer may take in the mean (--follow-within MS)" in refusal(
        *edge, "--cloud", "localhost:1"
    )
    written(tmp_path / "choices.json", bundle.id, least_accuracy=0.95)
    assert "no plan has the least accuracy 0.95; the best has 0.9" in refusal(*edge, "--cloud", "localhost:1")
