"""Real nodes whose cloud is killed, frozen, cut off and brought back under load: every request has one answer."""

import json
import re
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

import offramp
from command_line import Node, running
from offramp.artifacts.bundle import Bundle
from offramp.children import Child
from offramp.data.image_set import Splits
from offramp.exits.answers import Answers, Tier
from offramp.link.shaper_process import COMMAND
from ports import HERE, held_port
from processes import stop
from until import until

ENGINE = ("--runtime", "onnxruntime", "--precision", "fp32", "--threads", "1", "--no-http")
WAIT = 30.0  # seconds after which a test that hangs fails
CLIENTS = 3


class Load:
    """Clients in a closed loop, whole and in parts, that check what they get: a row an image, each once."""

    def __init__(self, edge: str, images: np.ndarray, cloud: str | None = None) -> None:
        self.edge, self.images, self.cloud = edge, images, cloud
        self.seen, self.errors = Counter[str](), list[str]()
        self.changing, self.over = threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> "Load":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(2 * WAIT)
        assert not any(thread.is_alive() for thread in self.threads)

    def _ask(self, number: int) -> None:
        with offramp.Client(self.edge, self.cloud, timeout=WAIT) as client:
            while not self.over.is_set():
                try:
                    if number % 2:
                        answers = client.infer(self.images)
                    else:
                        parts = list(client.stream(self.images))
                        rows = np.concatenate([part.rows for part in parts])
                        assert sorted(rows.tolist()) == list(range(len(self.images)))
                        answers = _joined([part.answers for part in parts])
                    assert len(answers) == len(self.images)
                except Exception as error:  # of whatever kind: none is expected
                    self.errors.append(repr(error))
                    return
                with self.changing:
                    self.seen["cloud"] += int((answers.tier == Tier.CLOUD).sum())
                    self.seen["degraded"] += int(answers.degraded.sum())
                    self.seen["requests"] += 1
                    assert not (answers.degraded & (answers.tier == Tier.CLOUD)).any()

    def goes_on(self, *kinds: str) -> None:
        """Wait until each client has been answered again, and answers of these kinds were among them."""
        with self.changing:
            before = Counter(self.seen)

        def gone_on() -> bool:
            enough = self.seen["requests"] >= before["requests"] + 2 * CLIENTS
            return bool(self.errors) or (enough and all(self.seen[kind] > before[kind] for kind in kinds))

        until(gone_on)
        assert self.errors == []


def _joined(parts: list[Answers]) -> Answers:
    return Answers(*(np.concatenate([getattr(part, name) for part in parts]) for name in Answers.__dataclass_fields__))


@pytest.fixture(scope="module")
def images(bundle: Bundle, digits: Splits) -> np.ndarray:
    """A small batch, so that many requests are under way."""
    return bundle.manifest.preprocessing.from_uint8(digits.test.images[:4])


def cloud_at(bundle: Bundle, port: int) -> Node:
    """A cloud there."""
    return running("cloud", str(bundle.path), "--port", str(port), *ENGINE)


@contextmanager
def edge_of(bundle: Bundle, cloud: str) -> Iterator[Node]:
    """An edge that leaves all to that cloud, and does not wait for it long."""
    plan = ("--exit", "3", "--threshold", "0", "--cloud", cloud, "--cloud-timeout", "0.5", "--port", "0")
    with running("edge", str(bundle.path), *plan, *ENGINE) as edge:
        yield edge


def said(edge: Node, words: str) -> int:
    """How often a node has said so."""
    return sum(words in line for line in list(edge.output))


def test_a_cloud_that_is_killed_frozen_and_cut_off_under_load_loses_nothing(
    bundle: Bundle, images: np.ndarray, offramp: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    """Degraded while it is away and whole when it is back, each by itself; what was, the edge says in a few lines.

    So does the table of a bench that found the cloud away.
    """
    with held_port() as port, cloud_at(bundle, port) as cloud:
        cloud.address()
        with (
            Child("link", COMMAND, json.dumps(["10gbit", f"{HERE}:{port}"]), kept=True) as link,
            edge_of(bundle, link.address()) as edge,
        ):
            with Load(edge.address(), images) as load:
                load.goes_on("cloud")

                cloud.process.kill()
                cloud.process.wait(WAIT)
                load.goes_on("degraded")
                until(lambda: said(edge, "cloud lost"))
                with cloud_at(bundle, port) as again:
                    until(lambda: said(edge, "cloud back"))
                    load.goes_on("cloud")

                    stop(again.process.pid)
                    load.goes_on("degraded")
                    again.process.send_signal(signal.SIGCONT)
                    load.goes_on("cloud")

                    # Nothing comes through and nobody says so: packets that a network drops.
                    stop(link.process.pid)
                    load.goes_on("degraded")
                    link.process.send_signal(signal.SIGCONT)
                    load.goes_on("cloud")
            measured = offramp("bench", "--edge", edge.address(), "--samples", "8")
            assert (measured.returncode, json.loads(measured.stdout)["outcome"]["degraded"]) == (0, 8)
            assert re.search(r"exited.*degraded", measured.stderr)
            assert re.search(r"8/8 .* 8 ", measured.stderr)
            assert edge.stop() == 0
    assert 1 <= said(edge, "cloud back") <= said(edge, "cloud lost") <= said(edge, "cloud back") + 1
    assert 0 < said(edge, "degraded: ") <= 4


def test_with_direct_replies_a_cloud_that_is_killed_loses_nothing(bundle: Bundle, images: np.ndarray) -> None:
    """What it has accepted and not sent is asked of the edge again; when it is back, it answers directly again."""
    with held_port() as port, cloud_at(bundle, port) as cloud:
        where = cloud.address()
        with edge_of(bundle, where) as edge, Load(edge.address(), images, where) as load:
            load.goes_on("cloud")
            cloud.process.kill()
            cloud.process.wait(WAIT)
            load.goes_on("degraded")
            with cloud_at(bundle, port):
                load.goes_on("cloud")
