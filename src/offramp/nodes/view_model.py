"""What the aggregator serves: a model for each device's features, at each boundary and in each codec.

To each device it is the next tier of its chain: `classifier-k`, in the version of that device's bundle. A request that
names its `sample` waits for the other views of it; one that names none is answered by its own view alone.
"""

import json
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from time import perf_counter

from offramp.artifacts.codec import Codec
from offramp.errors import BehindError, InputError
from offramp.exits.answers import tier_name
from offramp.nodes.aggregator import Aggregator, Given, Once, answered
from offramp.nodes.chain import behind
from offramp.nodes.contract import DEGRADED, LATE, PLAN, READY, SAMPLE, TIER, VIEW, VIEWS, Reply, classifier_name
from offramp.nodes.edge import deadline
from offramp.nodes.edge_model import answer_specs
from offramp.nodes.features import boundary_specs, check_features
from offramp.nodes.gathering import Came
from offramp.nodes.upstream import again
from offramp.protocol.served import Call, Pending, Result


def view_models(aggregator: Aggregator) -> "list[ViewModel]":
    """A model for each place where a device may hand on, in each codec: up to where its view is joined."""
    return [
        ViewModel(aggregator, name, cut.boundary, codec)
        for name, bundle in aggregator.folder.devices.items()
        for cut in bundle.manifest.cuts
        if cut.boundary <= aggregator.folder.cut(name)
        for codec in cut.codecs
    ]


class ViewModel:
    """What the aggregator makes of one device's features at one boundary, in one codec."""

    def __init__(self, aggregator: Aggregator, view: str, boundary: int, codec: Codec) -> None:
        self.aggregator, self.view, self.boundary, self.codec = aggregator, view, boundary, codec
        bundle = aggregator.folder.devices[view]
        self.name, self.version = classifier_name(boundary, codec), bundle.id
        self.inputs = boundary_specs(bundle.manifest, boundary, codec)
        self.sources = tuple(spec.name for spec in self.inputs)
        self.outputs = answer_specs(bundle.manifest.classes)
        self.behind = aggregator.folder.behind(view)

    @property
    def config(self) -> dict[str, str]:
        """What the node is, whose features it takes, and what became of those that came."""
        aggregator, gathering = self.aggregator, self.aggregator.gathering
        return {
            "bundle": self.version,
            "model": self.view,
            "plan": aggregator.edge.plan.to_json(),
            TIER: tier_name(aggregator.edge.tier),
            "boundary": str(self.boundary),
            "codec": self.codec,
            VIEW: self.view,
            VIEWS: ",".join(aggregator.folder.views.names),
            "join": aggregator.folder.views.join,
            "quorum": str(gathering.quorum),
            "wait_ms": f"{1000 * gathering.wait:g}",
            "gathered": json.dumps(aggregator.told()),
            **aggregator.edge.choice.config,
        }

    def prepare(self) -> None:
        """Open what decodes these features."""
        self.aggregator.decoder(self.view, self.boundary, self.codec)

    def infer(self, call: Call) -> Result | Pending:
        """Answer a view with the others of its sample, or a batch of views each alone where no sample is named."""
        if call.flag(READY):  # the aggregator answers by its own plan, and is ready
            return Result({})
        self._check(call)
        sent = call.tensors(*self.sources)
        check_features(self.inputs, sent)
        sample, degraded = call.text(SAMPLE), self.aggregator.edge.degrading(call.flag(DEGRADED))
        if sample is not None and len(sent[0]) != 1:
            raise InputError(
                f"sample {sample!r}: a call has one view of one sample, got {len(sent[0])} rows. Send a call for each."
            )
        start = perf_counter()
        decoder = self.aggregator.decoder(self.view, self.boundary, self.codec)
        features = sent[0] if decoder is None else next(iter(decoder.run(*sent).values()))
        call.record.stage("decode", start)
        if sample is None:
            joined = self.aggregator.joined_alone(self.view, features)
            return self._alone(answered(self.aggregator.edge, joined, deadline(call.timeout), degraded, call.record))
        came = self.aggregator.add(sample, self.view, Given(features, degraded), call.timeout)
        return self._waits(came, degraded, call)

    def stream(self, call: Call) -> Iterator[Result | Pending]:
        """Answer in one part: of a sample that is waited for there is no earlier one."""
        yield self.infer(call)

    def _check(self, call: Call) -> None:
        if others := sorted(PLAN & set(call.parameters)):
            raise InputError(f"parameter {others[0]!r}: the aggregator answers by its own plan. Leave it out.")
        if Reply.of(call) is not None:
            raise InputError("parameter 'reply_to': an aggregator sends no direct replies. Leave it out.")
        said, names = call.text(VIEW), self.aggregator.folder.views.names
        if said is not None and said not in names:
            raise InputError(f"view {said!r}: unknown. The network was trained on {', '.join(names)}.")
        if said not in (None, self.view):
            raise InputError(f"view {said!r}: bundle {self.version} is of {self.view}. Send each view by its own part.")

    def _alone(self, found: Result | Pending) -> Result | Pending:
        if isinstance(found, Result):
            return self._own(found, (self.view,), late=False)
        return Pending(found.answer, partial(self._finished_alone, found))

    def _finished_alone(self, found: Pending) -> Result:
        with behind():
            return self._own(found.finish(), (self.view,), late=False)

    def _waits(self, came: "Came[Given]", degraded: bool, call: Call) -> Pending:
        """What its caller waits for: a future of its own, since it may go while others wait."""
        gather, mine, start = came.gather, Future[None](), perf_counter()

        def there(_: "Future[Once]") -> None:
            if mine.set_running_or_notify_cancel():
                mine.set_result(None)

        def finish() -> Result:
            call.record.stage("queue", start)
            with behind():
                if (error := gather.answer.exception()) is not None:
                    raise again(error)
                answer = gather.answer.result().get()
            if not degraded and answer.outputs["degraded"].any():
                raise BehindError(
                    f"sample {gather.sample!r}: it was answered without the {self.aggregator.edge.course.next}, which "
                    "does not answer, and this caller takes no degraded answer."
                )
            return self._own(answer, gather.had, came.late)

        gather.answer.add_done_callback(there)
        return Pending(mine, finish)

    def _own(self, result: Result, had: tuple[str, ...], late: bool) -> Result:
        """An answer in the words of this device's bundle: its exits, and which views it is made of."""
        outputs = {**result.outputs, "exit": result.outputs["exit"] + self.behind}
        by = {kind._replace(exit=int(kind.exit) + self.behind): count for kind, count in result.by.items()}
        said: dict[str, bool | int | float | str] = {**result.parameters, VIEWS: ",".join(had)}
        return replace(result, outputs=outputs, parameters=said | ({LATE: True} if late else {}), by=by)
