"""Real nodes whose cloud is killed, frozen, cut off and brought back under load: every request has one answer."""

import json
import re
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest

import offramp
from command_line import Node, running
from load import CLIENTS, WAIT, ClosedLoop
from offramp.artifacts.bundle import Bundle
from offramp.children import Child
from offramp.data.image_set import Splits
from offramp.exits.answers import Answers, Tier, merge
from offramp.link.shaper_process import COMMAND
from ports import HERE, held_port
from processes import stop
from until import until

ENGINE = ("--runtime", "onnxruntime", "--precision", "fp32", "--threads", "1", "--no-http")


class Load(ClosedLoop):
    """Clients, whole and in parts, that check what they get: a row an image, each once."""

    def __init__(self, edge: str, images: np.ndarray, cloud: str | None = None) -> None:
        super().__init__()
        self.edge, self.images, self.cloud = edge, images, cloud
        self.seen, self.changing = Counter[str](), threading.Lock()

    @contextmanager
    def client(self, number: int) -> Iterator[Callable[[], object]]:
        """One of ours: every other one asks for parts."""
        with offramp.Client(self.edge, self.cloud, timeout=WAIT) as client:
            yield lambda: self._look(client.infer(self.images) if number % 2 else self._in_parts(client))

    def _in_parts(self, client: offramp.Client) -> Answers:
        parts = [(part.rows, part.answers) for part in client.stream(self.images)]
        assert sorted(np.concatenate([rows for rows, _ in parts]).tolist()) == list(range(len(self.images)))
        return merge(parts, len(self.images))

    def _look(self, answers: Answers) -> None:
        assert len(answers) == len(self.images)
        assert not (answers.degraded & (answers.tier == Tier.CLOUD)).any()
        with self.changing:
            self.seen["cloud"] += int((answers.tier == Tier.CLOUD).sum())
            self.seen["degraded"] += int(answers.degraded.sum())
            self.seen["requests"] += 1

    def goes_on(self, *kinds: str) -> None:
        """Wait until each client has been answered again, and answers of these kinds were among them."""
        with self.changing:
            before = Counter(self.seen)

        def gone_on() -> bool:
            enough = self.seen["requests"] >= before["requests"] + 2 * CLIENTS
            return bool(self.errors) or (enough and all(self.seen[kind] > before[kind] for kind in kinds))

        until(gone_on)
        assert self.errors == []


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
        with edge_of(bundle, where) as edge, ExitStack() as again, Load(edge.address(), images, where) as load:
            load.goes_on("cloud")
            cloud.process.kill()
            cloud.process.wait(WAIT)
            load.goes_on("degraded")
            # It ends after the clients: a cloud that stops waits for those that hold a stream to it.
            again.enter_context(cloud_at(bundle, port))
            load.goes_on("cloud")
