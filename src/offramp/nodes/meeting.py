"""Is what stands at an address the next tier: its place in the plan, the same bundle, the same network?

Takes a connection and a course, and asks. Knows nothing of requests.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import Codec
from offramp.artifacts.engine import PRECISIONS, Place
from offramp.artifacts.stages import logits_name
from offramp.errors import (
    BehindError,
    BundleMismatchError,
    InputError,
    LinkError,
    OfframpError,
    OverloadedError,
    RefusedError,
    TooLargeError,
    UnknownModelError,
)
from offramp.nodes.chain import check_next, follows, model_asked
from offramp.nodes.contract import CLASSIFIER, FOLLOWS, READY, TIER, most_of, place_of
from offramp.nodes.pieces import shares
from offramp.nodes.replied import check_logits
from offramp.nodes.route import Course
from offramp.nodes.sameness import Probes
from offramp.protocol.peer import Peer
from offramp.protocol.served import Array, Parameters
from offramp.runtime.sameness import difference


@contextmanager
def let_in(called: str) -> Iterator[None]:
    """That a cloud does not let its edge in is no fault of who asks the edge."""
    try:
        yield
    except RefusedError as error:
        raise RefusedError(
            f"{called} does not let this edge in ({error}). Give it a token with the rights infer and read "
            "there (--cloud-token-file FILE)."
        ) from error


@contextmanager
def blamed(called: str, version: str | None = None, *, own: bool = False) -> Iterator[None]:
    """Whose fault an error of the next tier is: a caller's alone where it has named `version`, or said its own."""
    try:
        with let_in(called):
            yield
    except UnknownModelError as error:
        if version is not None:
            raise InputError(f"cloud_version {version!r}: the cloud does not serve it ({error}).") from error
        raise BundleMismatchError(f"{called} changed its bundle: {error}") from error
    except TooLargeError as error:  # this node took it: another like the next may, or the next in pieces
        raise OverloadedError(f"{called} takes less at once than this edge sends it: {error}") from error
    except InputError as error:
        # What the caller sent has been checked; of what goes along for it, only these two are the caller's own.
        if type(error) is not InputError or version is not None or own:
            raise
        raise LinkError(f"{called} does not take what this edge sends it: {error}") from error


@dataclass(frozen=True, eq=False)
class Meeting:
    """Asks who is there. `version` is by what a server of another maker tells this bundle; an empty one names none."""

    bundle: Bundle
    client: Peer
    version: str
    probes: Probes

    def check(self, course: Course, timeout: float, shown: set[tuple[int, Codec]]) -> tuple[Place | None, int | None]:
        """Hold what it serves against the bundle, its place in the plan against that, and what it computes.

        Gives where it computes, and how many samples it takes in one request; None where it does not say. The tails
        that have been `shown` to compute the bundle's network are not asked again, and a new one is added. Raises
        BundleMismatchError, RefusedError, or what the connection does.
        """
        name, peer = model_asked(course), f"{course.next} {self.client.address}"
        try:
            versions = self.client.metadata(name, timeout).versions
        except UnknownModelError as error:
            check_next(course, self._tier(timeout), peer)
            raise BundleMismatchError(
                f"{peer} does not serve {name} ({error}). Serve the edge's bundle there: {self.bundle.path}"
            ) from error
        if self.version and not versions:  # not every server lists them
            try:
                self.client.metadata(name, timeout, self.version)
            except UnknownModelError as error:
                raise BundleMismatchError(
                    f"{peer} does not serve {name} in version {self.version} ({error}). A server of another "
                    "maker has versions of its own: name its with --cloud-version."
                ) from error
        elif self.version and self.version not in versions:
            if self.version != self.bundle.id:
                raise BundleMismatchError(
                    f"{peer} serves {name} in version {', '.join(versions)}, and this edge asks for version "
                    f"{self.version}. Name the right one with --cloud-version."
                )
            raise BundleMismatchError(
                f"{peer} serves bundle {', '.join(versions)}, and this edge holds "
                f"{self.version} ({self.bundle.path}). Give both nodes the same bundle."
            )
        self.client.prepare(name, timeout, self.version)
        config = self._config(name, timeout)
        place, most = place_of(config), most_of(config)
        if course.onward:
            check_next(course, config.get(TIER), peer)
            plan: Parameters = {FOLLOWS: follows(course.plan, known=False), READY: True}
            try:
                with blamed(peer):  # it makes ready what the plan wants of it, and asks those behind it for the same
                    self.client.infer(name, {}, timeout=timeout, version=self.version, parameters=plan)
            except BehindError as error:
                raise BundleMismatchError(f"{peer} cannot follow this plan: {error}") from error
        else:
            self._check_logits(course, place, most, timeout, shown)
        return place, most

    def _config(self, name: str, timeout: float) -> dict[str, str]:
        try:
            return self.client.config(name, timeout, self.version)
        except RefusedError:
            raise
        except OfframpError:  # a server of another maker need not have one
            return {}

    def _tier(self, timeout: float) -> str | None:
        """Which tier the node is, by a model that it has, and not the one that is asked for; None: it does not say."""
        with suppress(OfframpError):  # of a server of another maker, that need not tell
            for name, version in self.client.statistics(timeout=timeout):
                if name.startswith(CLASSIFIER):
                    return self.client.config(name, timeout, version).get(TIER)
        return None

    def _check_logits(
        self, course: Course, place: Place | None, most: int | None, timeout: float, shown: set[tuple[int, Codec]]
    ) -> None:
        """Raise BundleMismatchError where it makes something else of a few images than the bundle does."""
        part, manifest = course.part, self.bundle.manifest
        if (part.cut, part.codec) in shown:
            return
        precision = place.precision if place is not None and place.precision in PRECISIONS else None
        probe, target = self.probes.get(part.cut, part.codec, precision), logits_name(manifest.last)
        peer, found = f"{course.next} {self.client.address}", list[Array]()
        for some in shares(len(probe.logits), most):
            sent = {name: tensor[some] for name, tensor in probe.features.items()}
            with blamed(peer):
                result = self.client.infer(model_asked(course), sent, timeout=timeout, version=self.version)
            found.append(check_logits(peer, target, result.outputs.get(target), *probe.logits[some].shape))
        logits = np.concatenate(found)
        noun = manifest.preprocessing.noun
        if wrong := difference(logits, probe.logits, manifest.classes, precision, target, noun=noun):
            raise BundleMismatchError(
                f"{peer} computes another network: {wrong}. Serve the edge's bundle there: {self.bundle.path}"
            )
        shown.add((part.cut, part.codec))
