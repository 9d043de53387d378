"""The cloud: every suffix of a bundle as a model `tail-k`, from the features at boundary k to the last exit's logits.

It boots from the bundle alone and holds no plan: where the network is cut is the edge's business, request by request.
"""

import os
import threading
import time
from collections.abc import Iterator

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import Codec, tail_name
from offramp.artifacts.outcome import LAST_TIER
from offramp.artifacts.stages import logits_name
from offramp.errors import InputError
from offramp.nodes.batching import Batcher
from offramp.nodes.contract import DIRECT, REPLY_AS, ROW, Reply, rows_said
from offramp.nodes.features import boundary_specs, check_features
from offramp.nodes.replies import Replies
from offramp.nodes.route import Step
from offramp.nodes.sameness import check_steps
from offramp.protocol.gone import Gone
from offramp.protocol.record import Kind, Record
from offramp.protocol.served import Array, Call, Result, TensorSpec
from offramp.runtime.choice import DEFAULT, Choice
from offramp.runtime.open import open_span, warm_up
from offramp.runtime.span import Span
from offramp.runtime.tier_spans import tail_span


class Tail:
    """One suffix of a bundle, as a model on a server. Gives logits, so that any server that runs ONNX can stand in.

    Its session is opened when it is first asked about: a MEM has 27 tails, and an edge uses one. With a batcher, which
    tails share, the batches of several callers are run together; without one, each on its caller's thread.
    """

    def __init__(
        self,
        bundle: Bundle,
        boundary: int,
        codec: Codec = "fp32",
        batcher: Batcher | None = None,
        choice: Choice = DEFAULT,
        replies: Replies | None = None,
    ) -> None:
        manifest = bundle.manifest
        self.bundle, self.opening = bundle, threading.Lock()
        self.batcher, self.choice = batcher, choice
        self.replies = replies  # the streams of clients, where the node offers direct replies
        self.version, self.name = bundle.id, tail_name(boundary, codec)
        self.inputs, self.target = boundary_specs(manifest, boundary, codec), logits_name(manifest.last)
        self.sources = tuple(spec.name for spec in self.inputs)
        self.outputs = (TensorSpec(self.target, "FP32", (-1, len(manifest.classes)), labels=manifest.classes),)
        self.config = {
            "bundle": bundle.id,
            "model": manifest.model,
            "boundary": str(boundary),
            "codec": codec,
            **choice.config,
            "process": str(os.getpid()),
        }
        self.kind = Kind(LAST_TIER, manifest.last)
        self.spec = tail_span(manifest.last, boundary, codec)
        self.span: Span | None = None

    def open(self) -> Span:
        """Make it ready to answer: once, and warm, since the first run allocates."""
        with self.opening:
            if self.span is None:
                span = open_span(self.bundle, self.spec, self.choice.engine)
                warm_up(span, self.bundle, self.spec)
                self.span = span
            return self.span

    def prepare(self) -> None:
        """Open the session."""
        self.open()

    def infer(self, call: Call) -> Result:
        """Finish a batch of features; where the call names a client's stream, the logits go there, and none back."""
        reply = Reply.of(call)
        if reply is None:
            tensors = call.tensors(*self.sources)
            logits = self.finish(*tensors, timeout=call.timeout, gone=call.cancelled, record=call.record)
            return Result({self.target: logits}, by={self.kind: len(logits)})
        features = call.tensors(*self.sources, beside=(ROW,))
        rows = rows_said(call, features[0])
        if self.replies is None:
            raise InputError("parameter 'reply_to': this node sends no direct replies. Leave it out.")
        logits = self.finish(*features, timeout=call.timeout, gone=call.cancelled, record=call.record)
        self.replies.send(reply.token, Result({self.target: logits, ROW: rows}, {REPLY_AS: reply.request}))
        return Result({}, {DIRECT: True}, by={self.kind._replace(outcome="direct"): len(logits)})

    def finish(
        self,
        *features: Array,
        timeout: float | None = None,
        gone: Gone | None = None,
        record: Record | None = None,
    ) -> Array:
        """Check a batch of features, the boundary's tensors in their order, and give the last exit's logits.

        With a batcher, raises OverloadedError where its queue is full, DeadlineError where `timeout` seconds pass, and
        GoneError where the caller has `gone` before its turn.
        """
        end = None if timeout is None else time.monotonic() + timeout
        check_features(self.inputs, features)
        self.open()  # here, not on a runner that others wait for
        if self.batcher is None:
            return self._run(*features)
        left = None if end is None else end - time.monotonic()
        logits: Array = self.batcher.run(self._run, *features, timeout=left, gone=gone, record=record)
        return logits

    def _run(self, *features: Array) -> Array:
        return self.open().run(*features)[self.target]

    def stream(self, call: Call) -> Iterator[Result]:
        """Finish a batch of features, in one part."""
        yield self.infer(call)


def tails(
    bundle: Bundle, batcher: Batcher | None = None, choice: Choice = DEFAULT, replies: Replies | None = None
) -> list[Tail]:
    """Every suffix of a bundle that starts where it can be cut, in every codec. The whole network is opened at once."""
    places = [(cut.boundary, codec) for cut in bundle.manifest.cuts for codec in cut.codecs]
    found = [Tail(bundle, boundary, codec, batcher, choice, replies) for boundary, codec in places]
    # A graph that this runtime cannot run, or runs wrong, is found before anybody asks.
    whole = Step.of(found[0].spec, bundle.manifest, lambda _: found[0].open())
    check_steps(bundle, [whole], choice.engine)
    return found
