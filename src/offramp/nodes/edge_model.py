"""The edge as a model on a server: `classifier`, images in, or text, or values; answers out."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from time import perf_counter
from weakref import WeakKeyDictionary

import numpy as np

from offramp.artifacts.legs import reached
from offramp.artifacts.plan import Plan
from offramp.artifacts.stages import IMAGE
from offramp.errors import InputError
from offramp.exits.answers import Answers, merge, tier_name
from offramp.nodes.contract import (
    ALONG,
    BACK,
    BEHIND,
    BYTES_TO,
    CLASS_NAME,
    CLASSIFIER,
    CLOUD,
    CLOUD_VERSION,
    DEGRADED,
    DIRECT,
    PLAN,
    ROW,
    TIER,
    Reply,
    hops,
    said_of,
    tiers_said,
)
from offramp.nodes.edge import Edge, deadline
from offramp.nodes.flight import Answered, Flight, parts
from offramp.nodes.route import Course
from offramp.nodes.sent import Sent
from offramp.nodes.streamed import sent_in_parts
from offramp.protocol.record import Decided, Judgement, Kind, Record
from offramp.protocol.served import Array, Call, Pending, Result, TensorSpec
from offramp.protocol.tensors import objects

ALIKE = (2, 3, 5, 8, 16)  # sizes of batches that are held against samples alone
Join = Callable[..., Result]  # of parts that are there, and of one that is pending, if any
ANSWERED_DIRECTLY = Kind("cloud", outcome="direct")


class EdgeModel:
    """An edge behind the Open Inference Protocol. A request may carry what `contract.PLAN` names: parts of a plan."""

    def __init__(self, edge: Edge) -> None:
        manifest = edge.bundle.manifest
        self.takes = takes = manifest.preprocessing
        self.edge, self.name, self.version = edge, CLASSIFIER, edge.bundle.id
        forms = tuple(form for form in takes.forms if form != "FP32")
        self.inputs = (TensorSpec(takes.name, "FP32", (-1, *takes.shape), forms),)
        self.outputs = (*answer_specs(manifest.classes), TensorSpec(CLASS_NAME, "BYTES", (-1,)))
        self.alike = WeakKeyDictionary[Course, bool]()
        self.class_names = objects([name.encode() for name in manifest.classes])

    @property
    def config(self) -> dict[str, str]:
        """What the edge is, and the plan that it follows now."""
        manifest, course = self.edge.bundle.manifest, self.edge.course
        return {
            "bundle": self.version,
            "model": manifest.model,
            "plan": course.plan.to_json(),
            TIER: tier_name(self.edge.tier),
            BEHIND: ",".join(tier for tier in course.behind if tier in reached(course.plan, self.edge.last)),
            "classes": json.dumps(manifest.classes),
            "trained_on": manifest.origin.told,
            "takes": self.takes.model_dump_json(),
            f"{self.takes.name}_forms": json.dumps(self.takes.forms),
            **self.edge.choice.config,
            "process": str(os.getpid()),
            **said_of(self.edge.beyond, CLOUD),
        }

    def prepare(self) -> None:
        """The edge was made ready when it was made."""

    def infer(self, call: Call) -> Result | Pending:
        """Answer a batch whole, in the caller's order."""
        if Reply.of(call) is not None:
            raise InputError(
                "parameter 'reply_to': a whole answer leaves no rows out. Use the streaming call (ModelStreamInfer)."
            )
        return gathered(self._parts(call))

    def at_once(self, calls: Sequence[Call]) -> list[Result] | None:
        """Answer batches as one where the plan in force answers everything here and no call asks for anything else."""
        course, name = self.edge.course, self.takes.name
        if course.part.hands_on(self.edge.last) or not all(map(self._is_usual, calls)):
            return None
        if len(calls) > 1 and not self._alike(course):
            return None
        start = perf_counter()
        batches = [call.inputs[name] for call in calls]
        batch = batches[0] if len(batches) == 1 else np.concatenate(batches)
        answers, first = self.edge.infer(batch, plan=course), 0
        end, results = perf_counter(), []
        for call in calls:
            size = len(call.inputs[name])
            own = answers if len(calls) == 1 else answers.rows(slice(first, first + size))
            first += size
            call.record.stage("local", start, end)
            call.record.judged += _judgements(own)
            names = self.class_names if CLASS_NAME in call.asked else None
            results.append(result_of(Answered(np.arange(size), own, last=True), names, course.next))
        return results

    def _alike(self, course: Course) -> bool:
        """Whether a sample's answer is the same in a batch of any size as alone, to the last bit: tried once a plan.

        onnxruntime in fp32 gives that for the networks that were measured; nobody promises it of a runtime.
        """
        if course not in self.alike:
            batch = self.takes.noise(np.random.default_rng(0), max(ALIKE))
            alone = [_here(course, batch[row : row + 1]) for row in range(len(batch))]
            self.alike[course] = all(_same(_here(course, batch[:size]), alone[:size]) for size in ALIKE)
        return self.alike[course]

    def _is_usual(self, call: Call) -> bool:
        """Whether a call asks for nothing but answers, of a batch in the network's own form."""
        if call.parameters or call.timeout is not None or len(call.inputs) != 1:
            return False
        batch = call.inputs.get(self.takes.name)
        return batch is not None and batch.dtype == np.float32 and batch.shape[1:] == self.takes.shape

    def stream(self, call: Call) -> Iterator[Result | Pending]:
        """Answer a batch in parts; `row` says which rows of the batch a part answers."""
        return self._parts(call, streamed=Reply.of(call) is None)

    def _parts(self, call: Call, *, streamed: bool = False) -> Iterator[Result | Pending]:
        (batch,), version = call.tensors(self.takes.name), call.text(CLOUD_VERSION)
        end, names = deadline(call.timeout), self.class_names if CLASS_NAME in call.asked else None
        degraded = self.edge.degrading(call.flag(DEGRADED))
        record, to = call.record, self.edge.course.next
        plan = self._plan(call) or (None if version else self.edge.within(call.timeout))
        for part in timed(self.edge.parts(batch, plan=plan, cloud_version=version), record):
            if isinstance(part, Flight):
                start = perf_counter()
                flight = onward(part, call)
                if streamed and flight.course.onward:
                    since = record.stage("encode", start)
                    for came in sent_in_parts(self.edge, flight, end, degraded, call.cancelled):
                        yield noted(came, names, to, record)
                    record.stage("upstream", since)
                    return
                sent = self.edge.send(flight, end, Reply.of(call), version, degraded)
                yield Pending(sent.answer, partial(landed, sent, names, to, record, record.stage("encode", start)))
            else:
                yield result_of(part, names, to)

    def _plan(self, call: Call) -> Plan | None:
        """The plan of this one call; None: the edge's own."""
        if PLAN.isdisjoint(call.parameters):
            return None
        return self.edge.course.but(
            exit_=call.number("exit", int),
            threshold=call.number("threshold", float),
            cut=call.number("cut", int),
            codec=call.text("codec"),
            drop_threshold=call.number("drop_threshold", float),
        )


def answer_specs(classes: tuple[str, ...]) -> tuple[TensorSpec, ...]:
    """What a node's answers are as tensors."""
    return (
        TensorSpec("probabilities", "FP32", (-1, len(classes)), labels=classes),
        TensorSpec("label", "INT64", (-1,)),
        TensorSpec("exit", "INT64", (-1,)),
        TensorSpec("score", "FP32", (-1,)),
        TensorSpec("tier", "BYTES", (-1,)),
        TensorSpec("degraded", "BOOL", (-1,)),
        TensorSpec("dropped", "BOOL", (-1,)),
        TensorSpec(ROW, "INT64", (-1,)),
    )


def timed(parts: Iterator[Answered | Flight], record: Record) -> Iterator[Answered | Flight]:
    """The same parts; what each took here is noted, and what the exits said."""
    start = perf_counter()
    for part in parts:
        record.stage("local", start)
        if isinstance(part, Answered):
            answers = part.answers
            assert answers is not None  # nobody else was asked
            decision: Decided = "drop" if answers.dropped[0] else "exit"
            record.judged.append(Judgement(answers.exit.item(0), decision, answers.score))
        elif part.judged is not None:
            assert part.exit is not None  # who judged
            record.judged.append(Judgement(part.exit, "forward", part.judged.scores))
        yield part
        start = perf_counter()


def _here(course: Course, batch: Array) -> Answers:
    """What a course that answers everything here gives for a batch."""
    found = [(part.rows, part.answers) for part in parts(course, {IMAGE: batch}) if isinstance(part, Answered)]
    return merge([(rows, answers) for rows, answers in found if answers is not None], len(batch))


def _same(whole: Answers, alone: list[Answers]) -> bool:
    """Whether a batch's answers are those of its samples."""
    return all(
        np.array_equal(array, np.concatenate([getattr(one, name) for one in alone]))
        for name, array in vars(whole).items()
    )


def _judgements(answers: Answers) -> list[Judgement]:
    """What the exits said of a batch that was answered here."""
    if len(answers) == 1:
        return [Judgement(answers.exit.item(), "drop" if answers.dropped.item() else "exit", answers.score)]
    judged: list[Judgement] = []
    for exit_ in np.unique(answers.exit):
        for dropped in (False, True):
            rows = (answers.exit == exit_) & (answers.dropped == dropped)
            if rows.any():
                judged.append(Judgement(int(exit_), "drop" if dropped else "exit", answers.score[rows]))
    return judged


def onward(flight: Flight, call: Call) -> Flight:
    """A flight with what goes along with it: the context of the request's trace, and what that says of its samples."""
    along = {} if ALONG.isdisjoint(call.parameters) else {k: v for k, v in call.parameters.items() if k in ALONG}
    if not call.record.trace and not along:
        return flight
    return replace(flight, trace=call.record.onward() if call.record.trace else "", along=along)


def landed(sent: Sent, names: Array | None, to: str, record: Record, since: float) -> Result:
    """What became of a flight, once its answer is there: of one that went on `to` a tier."""
    came = record.stage("upstream", since)
    part = sent()
    if part.answers is not None and part.answers.degraded.any():
        record.stage("fallback", came)
    return noted(part, names, to, record)


def noted(part: Answered, names: Array | None, to: str, record: Record) -> Result:
    """A part as tensors; what was sent for it is noted."""
    record.to_cloud += part.bytes_to_cloud
    record.from_cloud += part.bytes_from_cloud
    return result_of(part, names, to)


def result_of(part: Answered, names: Array | None, to: str) -> Result:
    """A part as tensors, with the bytes that went `to` the next tier; with its classes' names where all are given."""
    rows = {ROW: part.rows.astype(np.int64, copy=False)}
    sent: dict[str, bool | int | float | str] = {f"{BYTES_TO}{to}": part.bytes_to_cloud}
    if part.hops:
        sent |= {f"{BYTES_TO}{tier}": count for tier, count in part.hops.items()}
    if part.said:
        sent |= part.said
    if part.answers is None:  # the cloud has answered these rows to the client itself
        return Result(rows, sent | {DIRECT: True}, part.last, {ANSWERED_DIRECTLY: len(part.rows)})
    named = {} if names is None else {CLASS_NAME: names[part.answers.label]}
    outputs = vars(part.answers) | {"tier": tiers_said(part.answers.tier)} | rows | named
    return Result(outputs, sent, part.last, _by(part.answers))


def _by(answers: Answers) -> dict[Kind, int]:
    """How many rows each exit of each tier answered; those apart that were dropped, or that should have gone on."""
    columns = (answers.tier, answers.exit, answers.degraded, answers.dropped)
    if len(answers) == 1:  # the usual request: a Counter takes longer than all else here
        return {_kind(*[column.item() for column in columns]): 1}
    kinds = Counter(zip(*(column.tolist() for column in columns), strict=True))
    return {_kind(*kind): count for kind, count in kinds.items()}


@lru_cache(maxsize=256)
def _kind(tier: int, exit_: int, degraded: bool, dropped: bool) -> Kind:
    return Kind(tier_name(tier), exit_, "dropped" if dropped else "degraded" if degraded else "ok")


def gathered(parts: Iterator[Result | Pending], join: Join | None = None) -> Result | Pending:
    """One answer of parts, of which the last may be pending: `whole`, or as `join` makes it."""
    join, found = join or whole, list[Result]()
    for part in parts:
        if isinstance(part, Pending):  # the last
            return Pending(part.answer, partial(join, found, part))
        found.append(part)
    return join(found)


def whole(parts: list[Result], rest: Pending | None = None) -> Result:
    """One answer of the parts of a batch, in the caller's order."""
    parts = parts if rest is None else [*parts, rest.finish()]
    if len(parts) == 1:
        return parts[0]
    joined = {name: np.concatenate([part.outputs[name] for part in parts]) for name in parts[0].outputs}
    order = np.argsort(joined[ROW])
    by = sum((Counter(part.by) for part in parts), Counter[Kind]())
    said = {name: value for part in parts for name, value in part.parameters.items() if name in BACK}
    return Result({name: array[order] for name, array in joined.items()}, {**sent_in(parts), **said}, by=by)


def sent_in(parts: list[Result]) -> dict[str, int]:
    """What was sent for the parts of a batch together, to each tier, as parameters."""
    sent: dict[str, int] = {}
    for part in parts:
        for tier, count in hops(part.parameters).items():
            sent[f"{BYTES_TO}{tier}"] = sent.get(f"{BYTES_TO}{tier}", 0) + count
    return sent
