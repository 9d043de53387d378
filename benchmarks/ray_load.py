"""Clients that ask a cloud's tail, each on a connection of its own, and hold every answer against the network run here.

Reads what to do as one line of JSON, and prints what came of it as another: requests sent, answered, answered wrong,
failed, and seconds of each. Stands alone, so that it can run in a namespace.
"""

import argparse
import json
import threading
import time
from concurrent.futures import Future
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Engine
from offramp.artifacts.stages import features_name, logits_name
from offramp.data.load import load
from offramp.errors import OfframpError
from offramp.protocol.credentials import Credentials, Shown
from offramp.protocol.peer import Peer
from offramp.protocol.served import Array, Result
from offramp.protocol.tensors import write_request
from offramp.runtime.open import open_span
from offramp.runtime.span import SpanSpec

WAIT = 30.0  # seconds that a request has


class Named(Credentials):
    """Who names the application that it means, as Ray's proxies want it where there are several."""

    def read(self, address: str) -> Shown:
        """Show it."""
        return Shown(metadata=(("application", self.token_file or ""),))


def expected(bundle: Bundle, boundary: int) -> tuple[Array, Array]:
    """The digits' test set at a boundary, and the last exit's logits of it: the offline evaluation."""
    last = bundle.manifest.last
    pixels = bundle.manifest.preprocessing.from_uint8(load("digits", (1, 16, 16)).test.images)
    engine = Engine(threads=1)
    features = open_span(bundle, SpanSpec(0, boundary, gives="fp32"), engine).run(pixels)[features_name(boundary)]
    logits = open_span(bundle, SpanSpec(boundary, last, (last,)), engine).run(features)[logits_name(last)]
    return features, logits


class Client:
    """One connection, which asks the next when it has the last one's answer."""

    def __init__(self, address: str, application: str | None = None) -> None:
        by = None if application is None else Named(token_file=application)
        self.peer = Peer(address, alone=True, credentials=by)
        self.seconds: list[float] = []
        self.wrong, self.failed = 0, list[str]()

    def ask(self, requests: "Any", logits: Array, name: str) -> None:
        """Ask all of these, each a request and the row that it is of."""
        for request, row in requests:
            start = time.perf_counter()
            answer: Future[Result] = self.peer.begin(request, WAIT)
            try:
                found = answer.result(WAIT + 10).outputs[name]
            except OfframpError as error:
                self.failed.append(f"{type(error).__name__}: {error}")
                continue
            self.seconds.append(time.perf_counter() - start)
            self.wrong += found.shape != (1, logits.shape[1]) or not np.allclose(found[0], logits[row], atol=1e-4)


class Load:
    """Clients of one address. `rush` has them ask so many requests between them."""

    def __init__(
        self, bundle: Bundle, boundary: int, address: str, clients: int, application: str | None = None
    ) -> None:
        self.features, self.logits = expected(bundle, boundary)
        self.name, model = logits_name(bundle.manifest.last), f"tail-{boundary}"
        name = features_name(boundary)
        self.requests = [write_request(model, bundle.id, {name: row[None]}) for row in self.features]
        self.clients = [Client(address, application) for _ in range(clients)]

    def rush(self, count: int) -> None:
        """Ask so many."""
        each = count // len(self.clients)
        threads = []
        for client in self.clients:
            rows = cycle(range(len(self.requests)))
            asked = [(self.requests[row], row) for row, _ in zip(rows, range(each), strict=False)]
            threads.append(threading.Thread(target=client.ask, args=(asked, self.logits, self.name)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def taken(self) -> list[float]:
        """Seconds of the answers since this was asked last; RuntimeError where one was wrong, or failed."""
        seconds = [one for client in self.clients for one in client.seconds]
        wrong, failed = sum(client.wrong for client in self.clients), [f for c in self.clients for f in c.failed]
        if wrong or failed:
            raise RuntimeError(f"{wrong} wrong answers, {len(failed)} failed: {failed[:3]}")
        for client in self.clients:
            client.seconds = []
        return seconds

    def told(self) -> dict[str, Any]:
        """What came of all, as counts, and what went wrong first."""
        failed = [f for client in self.clients for f in client.failed]
        return {
            "answered": sum(len(client.seconds) for client in self.clients),
            "wrong": int(sum(client.wrong for client in self.clients)),
            "failed": len(failed),
            "first_failures": failed[:3],
        }


def main() -> None:
    """Ask, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("address")
    parser.add_argument("--boundary", type=int, default=3)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--requests", type=int, default=1000)
    options = parser.parse_args()
    load_ = Load(Bundle.open(options.bundle), options.boundary, options.address, options.clients)
    load_.rush(options.requests)
    print(json.dumps(load_.told()))


if __name__ == "__main__":
    main()
