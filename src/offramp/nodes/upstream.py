"""The next tier as an edge sees it: something that finishes what the edge began."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from offramp.artifacts.bundle import LOGITS, Bundle, features_name, logits_name
from offramp.artifacts.codec import Codec
from offramp.artifacts.plan import Plan
from offramp.errors import BundleMismatchError, InputError, LinkError, UnknownModelError
from offramp.nodes.cloud import Tail
from offramp.nodes.contract import REPLY_AS, REPLY_TO, ROW, tail_name
from offramp.protocol.peer import Peer
from offramp.protocol.served import Reply
from offramp.protocol.tensors import write_request
from offramp.runtime.choice import DEFAULT, Choice

Features = npt.NDArray[Any]


@dataclass(frozen=True)
class Finished:
    """What the next tier gave back."""

    logits: npt.NDArray[np.float32] | None  # (N, classes) of the last exit; None where the caller got them directly
    bytes_sent: int  # size of the message that carried the features; 0 where nothing was sent
    exit: int | None = None  # whose logits they are, where not the last exit of the edge's own network


@dataclass(frozen=True)
class Direct:
    """Which client gets the logits, and which rows of its batch they belong to."""

    reply: Reply
    rows: npt.NDArray[np.intp]


class Upstream(Protocol):
    """Finishes features."""

    def check(self, plan: Plan, timeout: float) -> None:
        """Raise UnreachableError or BundleMismatchError unless it can finish what this plan hands on."""

    def finish(
        self,
        cut: int,
        codec: Codec,
        features: Features,
        timeout: float,
        to: "Direct | None" = None,
        version: str | None = None,
    ) -> Finished:
        """Run the rest of the network from the features of a boundary `(N, C, H, W)`, encoded by the codec.

        With `to`, the logits go straight to the client that it names. With `version`, the network of that bundle runs
        in place of the edge's own, on images (cut 0).
        """


class RemoteCloud:
    """A cloud node at `HOST:PORT`. Each request names the bundle, so another one is refused whenever it appears.

    A server of another maker, that must number its models' versions as it likes, is told apart by `version` instead;
    an empty one names none. `via` is where a link to it begins.
    """

    def __init__(self, bundle: Bundle, address: str, version: str | None = None, via: str | None = None) -> None:
        self.bundle, self.client = bundle, Peer(address, via)
        self.version = bundle.id if version is None else version

    def check(self, plan: Plan, timeout: float) -> None:
        """Wait for the cloud, and hold what it serves against the bundle."""
        self.client.wait_ready(timeout)
        name, address = tail_name(plan.cut, plan.codec), self.client.address
        try:
            versions = self.client.metadata(name, timeout).versions
        except UnknownModelError as error:
            raise BundleMismatchError(
                f"cloud {address} does not serve {name} ({error}). Serve the edge's bundle there: {self.bundle.path}"
            ) from error
        if self.version and not versions:  # not every server lists them
            try:
                self.client.metadata(name, timeout, self.version)
            except UnknownModelError as error:
                raise BundleMismatchError(
                    f"cloud {address} does not serve {name} in version {self.version} ({error}). A server of another "
                    "maker has versions of its own: name its with --cloud-version."
                ) from error
        elif self.version and self.version not in versions:
            if self.version != self.bundle.id:
                raise BundleMismatchError(
                    f"cloud {address} serves {name} in version {', '.join(versions)}, and this edge asks for version "
                    f"{self.version}. Name the right one with --cloud-version."
                )
            raise BundleMismatchError(
                f"cloud {address} serves bundle {', '.join(versions)}, and this edge holds "
                f"{self.version} ({self.bundle.path}). Give both nodes the same bundle."
            )
        self.client.prepare(name, timeout, self.version)

    def finish(
        self,
        cut: int,
        codec: Codec,
        features: Features,
        timeout: float,
        to: Direct | None = None,
        version: str | None = None,
    ) -> Finished:
        """Send the features in one message and wait for the logits, or for word that the client has them."""
        inputs, parameters = {features_name(cut): features}, {}
        if to is not None:
            inputs[ROW] = to.rows.astype(np.int64)
            parameters = {REPLY_TO: to.reply.token, REPLY_AS: to.reply.request}
        name = tail_name(cut, codec)
        request = write_request(name, self.version if version is None else version, inputs, parameters)
        try:
            result = self.client.send(request, timeout)
        except UnknownModelError as error:
            if version is not None:
                raise InputError(f"cloud_version {version!r}: the cloud does not serve it ({error}).") from error
            raise BundleMismatchError(f"cloud {self.client.address} changed its bundle: {error}") from error
        if to is not None:
            return Finished(None, request.ByteSize())
        exit_ = self.bundle.manifest.last if version is None else self._last_exit(result.outputs)
        name = logits_name(exit_)
        expected = (len(features), len(self.bundle.manifest.classes))
        logits = result.outputs.get(name)
        if logits is None or logits.shape != expected:
            found = "nothing" if logits is None else f"shape {logits.shape}"
            raise LinkError(f"cloud {self.client.address}: expected {name} of shape {expected}, got {found}.")
        return Finished(logits, request.ByteSize(), exit_)

    def _last_exit(self, outputs: Iterable[str]) -> int:
        """Which exit another network's answer is of: that of its one output."""
        numbers = [name.removeprefix(LOGITS) for name in outputs if name.startswith(LOGITS)]
        if len(numbers) != 1 or not numbers[0].isdecimal():
            raise LinkError(
                f"cloud {self.client.address}: expected the logits of one exit, got {', '.join(outputs) or 'nothing'}."
            )
        return int(numbers[0])

    def close(self) -> None:
        """Close the connection."""
        self.client.close()


class LocalCloud:
    """The rest of the network in this process: for a machine that is edge and cloud in one, and for tests."""

    def __init__(self, bundle: Bundle, threads: int = 0, choice: Choice = DEFAULT) -> None:
        self.bundle, self.threads, self.choice = bundle, threads, choice
        self.tails: dict[tuple[int, Codec], Tail] = {}

    def check(self, plan: Plan, timeout: float) -> None:
        """Make the tail ready."""
        self._tail(plan.cut, plan.codec).open()

    def finish(
        self,
        cut: int,
        codec: Codec,
        features: Features,
        timeout: float,
        to: Direct | None = None,
        version: str | None = None,
    ) -> Finished:
        """Run the tail here; a direct reply, or another network, needs a cloud of its own."""
        if to is not None:
            raise InputError(
                "reply_to: this edge's cloud is in the same process. Leave it out: the answer is as direct."
            )
        if version not in (None, self.bundle.id):
            raise InputError(f"cloud_version {version!r}: this edge's cloud is in the same process. Leave it out.")
        return Finished(self._tail(cut, codec).finish(features), 0)

    def _tail(self, cut: int, codec: Codec) -> Tail:
        return self.tails.setdefault((cut, codec), Tail(self.bundle, cut, codec, self.threads, choice=self.choice))
