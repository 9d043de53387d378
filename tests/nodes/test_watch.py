"""What an edge knows of its cloud, and says of it: each change once."""

import logging
import threading
import time
from collections.abc import Iterator

import pytest

from offramp.artifacts.plan import Plan
from offramp.errors import BundleMismatchError, DeadlineError, LinkError, OfframpError, UnreachableError
from offramp.nodes.edge_settings import EdgeSettings
from offramp.nodes.watch import REST, CloudWatch
from offramp.nodes.ways import while_lost
from until import until

GONE = UnreachableError("c:1 does not answer.")
WRONG = BundleMismatchError("c:1 serves another bundle.")
LOST = "cloud lost: c:1 does not answer. Until it is back, wait."


class Cloud:
    """What is asked: it answers, or not."""

    def __init__(self) -> None:
        self.trouble: OfframpError | None = None
        self.asked = 0

    def __call__(self, timeout: float) -> None:
        """Be asked."""
        self.asked += 1
        if self.trouble is not None:
            raise self.trouble

    def asked_again(self) -> None:
        """Wait until it has been asked once more, and what came of it is known."""
        before = self.asked
        until(lambda: self.asked >= before + 2)


@pytest.fixture
def cloud() -> Cloud:
    """A cloud that answers."""
    return Cloud()


@pytest.fixture
def watch(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> Iterator[CloudWatch]:
    """One that is fast."""
    caplog.set_level(logging.INFO, "offramp")
    watch = CloudWatch("c:1", cloud, every=0.01, meanwhile="wait.")
    watch.start()
    yield watch
    watch.close()
    watch.thread.join(30)
    assert not watch.thread.is_alive()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The log's lines, without how long it was."""
    return [record.getMessage().partition(", after ")[0] for record in caplog.records]


def test_a_cloud_is_lost_once_and_back_once(watch: CloudWatch, cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    """However many requests fail meanwhile, and with no request at all when it comes back."""
    cloud.trouble = GONE
    for _ in range(5):
        watch.failed(UnreachableError("c:1 does not answer."))
    cloud.asked_again()
    assert said(caplog) == [LOST]
    assert watch.why_not() == str(GONE)
    cloud.trouble = None
    until(lambda: watch.refusal() is None and len(caplog.records) == 2)
    assert said(caplog) == [LOST, "cloud back: c:1"]
    assert watch.why_not() is None


def test_a_cloud_that_comes_back_with_another_bundle_is_refused(
    watch: CloudWatch, cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    """A change like any other, worse than to be lost."""
    cloud.trouble = GONE
    watch.failed(GONE)
    cloud.trouble = WRONG
    until(lambda: len(caplog.records) == 2)
    cloud.asked_again()
    assert said(caplog) == [LOST, "cloud refused: c:1 serves another bundle."]
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    cloud.trouble = None
    until(lambda: watch.refusal() is None and len(caplog.records) == 3)


def test_a_cloud_that_refuses_is_asked_less_often_than_one_that_is_lost() -> None:
    """It was sent features for it: the link has ten times as long for others as each asking took."""
    began, ended = list[float](), list[float]()

    def ask(timeout: float) -> None:
        began.append(time.monotonic())
        time.sleep(0.02)
        ended.append(time.monotonic())
        raise WRONG if len(ended) > 2 else GONE

    watch = CloudWatch("c:1", ask, always=True, every=0.01, meanwhile="wait.")
    watch.start()
    until(lambda: len(began) >= 5)
    watch.close()
    watch.thread.join(30)
    rests = [later - end for end, later in zip(ended, began[1:], strict=False)]
    assert all(rest >= REST * (end - start) for rest, start, end in list(zip(rests, began, ended, strict=False))[2:4])
    assert min(rests) >= 0.01


def test_a_deadline_that_passed_has_the_cloud_asked(
    watch: CloudWatch, cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    """It may have been a short one; or nobody is there."""
    watch.failed(DeadlineError("late."))
    until(lambda: cloud.asked == 1)
    assert caplog.records == []
    cloud.trouble = GONE
    watch.failed(DeadlineError("late."))
    until(lambda: said(caplog) == [LOST])


def test_other_failures_are_the_request_s_and_a_cloud_without_trouble_is_left_alone(
    watch: CloudWatch, cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    """What it answered was wrong, but it answered."""
    watch.failed(LinkError("c:1 answers nonsense."))
    threading.Event().wait(0.05)
    assert (cloud.asked, watch.refusal(), caplog.records) == (0, None, [])


def test_a_cloud_that_readiness_needs_is_asked_always(cloud: Cloud) -> None:
    """That it is lost is known before a request finds out; who asked to hear of changes does."""
    watch, heard = CloudWatch("c:1", cloud, always=True, every=0.01, meanwhile="wait."), list[str | None]()
    watch.changed = lambda: heard.append(watch.why_not())
    watch.start()
    cloud.asked_again()
    cloud.trouble = GONE
    until(lambda: heard == [str(GONE)])
    cloud.trouble = None
    until(lambda: heard == [str(GONE), None])
    watch.close()
    watch.thread.join(30)


@pytest.mark.parametrize(
    ("cloud", "degraded", "said"),
    [
        ("a:1", True, "what needs it is answered here, and marked degraded."),
        ("a:1", False, "what needs it fails, and the rest is answered."),
        (
            "a:1,b:1",
            True,
            "what needs it goes to another; where none is there, it is answered here, and marked degraded.",
        ),
        ("a:1,b:1", False, "what needs it goes to another; where none is there, it fails, and the rest is answered."),
    ],
)
def test_what_becomes_of_requests_is_said_for_the_case_that_every_cloud_is_lost(
    cloud: str, degraded: bool, said: str
) -> None:
    """The other cloud may be as lost as this one."""
    assert while_lost(EdgeSettings(bundles=("a",), plan=Plan.of(3, 0), cloud=cloud, degraded=degraded)) == said
