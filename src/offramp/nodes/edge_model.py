"""The edge as a model on a server: `classifier`, an image in, answers out."""

import json
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from offramp.artifacts.bundle import IMAGE
from offramp.artifacts.plan import Plan
from offramp.errors import InputError
from offramp.exits.answers import Answers
from offramp.nodes.contract import BYTES_TO_CLOUD, CLASSIFIER, CLOUD_VERSION, DIRECT, PLAN, ROW, TIERS
from offramp.nodes.edge import Edge
from offramp.nodes.images import FORMS
from offramp.protocol.served import Array, Call, Result, TensorSpec

PLANS = 128  # of requests, remembered


class EdgeModel:
    """An edge behind the Open Inference Protocol. A request may carry what `contract.PLAN` names: parts of a plan."""

    def __init__(self, edge: Edge) -> None:
        manifest = edge.bundle.manifest
        self.edge, self.name, self.version = edge, CLASSIFIER, edge.bundle.id
        self.changed = lru_cache(PLANS)(edge.plan.but)  # a caller names the same plan request after request
        self.inputs = (TensorSpec(IMAGE, "FP32", (-1, *manifest.preprocessing.shape), FORMS),)
        self.outputs = (
            TensorSpec("probabilities", "FP32", (-1, len(manifest.classes))),
            TensorSpec("label", "INT64", (-1,)),
            TensorSpec("exit", "INT64", (-1,)),
            TensorSpec("score", "FP32", (-1,)),
            TensorSpec("tier", "BYTES", (-1,)),
            TensorSpec("degraded", "BOOL", (-1,)),
            TensorSpec("dropped", "BOOL", (-1,)),
            TensorSpec(ROW, "INT64", (-1,)),
        )

        self.config = {
            "bundle": edge.bundle.id,
            "model": manifest.model,
            "plan": edge.plan.to_json(),
            "classes": json.dumps(manifest.classes),
            "image_forms": json.dumps({"FP32": "N,C,H,W in [0, 1]", "UINT8": "N,H,W,C", "BYTES": "N encoded images"}),
            **edge.choice.config,
        }

    def prepare(self) -> None:
        """The edge was made ready when it was made."""

    def infer(self, call: Call) -> Result:
        """Answer a batch whole, in the caller's order."""
        if call.reply is not None:
            raise InputError(
                "parameter 'reply_to': a whole answer leaves no rows out. Use the streaming call (ModelStreamInfer)."
            )
        parts = list(self.stream(call))
        if len(parts) == 1:
            return parts[0]
        joined = {name: np.concatenate([part.outputs[name] for part in parts]) for name in parts[0].outputs}
        order = np.argsort(joined[ROW])
        sent = sum(int(part.parameters[BYTES_TO_CLOUD]) for part in parts)
        return Result({name: array[order] for name, array in joined.items()}, {BYTES_TO_CLOUD: sent})

    def stream(self, call: Call) -> Iterator[Result]:
        """Answer a batch in parts; `row` says which rows of the batch a part answers."""
        image, plan, version = call.input(IMAGE), self._plan(call), call.text(CLOUD_VERSION)
        for part in self.edge.parts(image, plan=plan, timeout=call.timeout, reply=call.reply, cloud_version=version):
            sent: dict[str, bool | int | float | str] = {BYTES_TO_CLOUD: part.bytes_to_cloud}
            if part.answers is None:  # the cloud has answered these rows to the client itself
                yield Result({ROW: part.rows.astype(np.int64)}, sent | {DIRECT: True}, part.last)
            else:
                yield Result(_outputs(part.rows, part.answers), sent, part.last)

    def _plan(self, call: Call) -> Plan | None:
        """The plan of this one call; None: the edge's own."""
        if PLAN.isdisjoint(call.parameters):
            return None
        return self.changed(
            exit_=_whole(call, "exit"),
            threshold=call.number("threshold", float),
            cut=_whole(call, "cut"),
            codec=call.text("codec"),
            drop_threshold=call.number("drop_threshold", float),
        )


def _whole(call: Call, name: str) -> int | None:
    value = call.number(name, int)
    return None if value is None else int(value)


def _outputs(rows: Array, answers: Answers) -> dict[str, Array]:
    return {
        "probabilities": answers.probabilities,
        "label": answers.label,
        "exit": answers.exit,
        "score": answers.score,
        "tier": TIERS[answers.tier],
        "degraded": answers.degraded,
        "dropped": answers.dropped,
        ROW: rows.astype(np.int64),
    }
