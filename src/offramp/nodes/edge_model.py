"""The edge as a model on a server: `classifier`, an image in, answers out."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from pydantic import TypeAdapter

from offramp.artifacts.bundle import IMAGE
from offramp.artifacts.engine import Engine
from offramp.artifacts.plan import Plan
from offramp.errors import ArtifactError, InputError, LinkError
from offramp.exits.answers import Answers, Tier
from offramp.link.client import Client
from offramp.link.served import Array, Call, Result, TensorSpec
from offramp.nodes.cloud import ROW
from offramp.nodes.edge import Edge
from offramp.nodes.images import FORMS

NAME = "classifier"
CLOUD_VERSION = "cloud_version"
PLANS = 128  # of requests, remembered
PARAMETERS = frozenset({"exit", "threshold", "cut", "codec", "drop_threshold"})
TIERS = np.array([tier.name.lower().encode() for tier in Tier], np.object_)


class EdgeModel:
    """An edge behind the Open Inference Protocol. A request may carry what `PARAMETERS` names: parts of a plan."""

    def __init__(self, edge: Edge) -> None:
        manifest = edge.bundle.manifest
        self.edge, self.name, self.version = edge, NAME, edge.bundle.id
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
        sent = sum(int(part.parameters["bytes_to_cloud"]) for part in parts)
        return Result({name: array[order] for name, array in joined.items()}, {"bytes_to_cloud": sent})

    def stream(self, call: Call) -> Iterator[Result]:
        """Answer a batch in parts; `row` says which rows of the batch a part answers."""
        image, plan, version = call.input(IMAGE), self._plan(call), call.text(CLOUD_VERSION)
        for part in self.edge.parts(image, plan=plan, timeout=call.timeout, reply=call.reply, cloud_version=version):
            sent: dict[str, bool | int | float | str] = {"bytes_to_cloud": part.bytes_to_cloud}
            if part.answers is None:  # the cloud has answered these rows to the client itself
                yield Result({ROW: part.rows.astype(np.int64)}, sent | {"direct": True}, part.last)
            else:
                yield Result(_outputs(part.rows, part.answers), sent, part.last)

    def _plan(self, call: Call) -> Plan | None:
        """The plan of this one call; None: the edge's own."""
        if PARAMETERS.isdisjoint(call.parameters):
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


def read_answers(outputs: dict[str, Array]) -> Answers:
    """Make answers of a response's tensors."""
    tiers = {name: tier for tier, name in enumerate(TIERS)}
    return Answers(
        outputs["probabilities"],
        outputs["label"],
        outputs["exit"],
        outputs["score"],
        np.array([tiers[name] for name in outputs["tier"]], np.int8),
        outputs["degraded"],
        outputs["dropped"],
    )


@dataclass(frozen=True)
class ServedEdge:
    """What a running edge says of itself."""

    model: str
    bundle: str
    plan: Plan
    shape: tuple[int, int, int]  # of one image (C, H, W)
    runtime: str  # and its version
    engine: Engine


def describe_edge(client: Client, timeout: float = 10.0, version: str = "") -> ServedEdge:
    """Ask an edge what it serves and by which plan; waits up to `timeout` seconds for it.

    Of an edge of several networks, `version` (a bundle's id) names one; without it, the first is described.
    """
    client.wait_ready(timeout)
    metadata = client.metadata(NAME, timeout, version)
    config = client.config(NAME, timeout, version)
    try:
        _, channels, height, width = metadata.inputs[IMAGE][1]
        return ServedEdge(
            config["model"],
            config["bundle"],
            Plan.parse(config["plan"], client.address),
            (channels, height, width),
            config["runtime"],
            TypeAdapter(Engine).validate_python(
                {"runtime": config["runtime"].split()[0], "precision": config["precision"]}
            ),
        )
    except (KeyError, ValueError, ArtifactError) as error:
        raise LinkError(f"{client.address}: answers, but not as an edge of offramp does ({error!r}).") from error


def describe_edges(client: Client, timeout: float = 10.0) -> tuple[ServedEdge, ...]:
    """Ask an edge about every network that it serves; each of the questions waits up to `timeout` seconds."""
    client.wait_ready(timeout)
    versions = client.metadata(NAME, timeout).versions
    return tuple(describe_edge(client, timeout, version) for version in versions)


def find_edge(client: Client, name: str, timeout: float = 10.0) -> ServedEdge:
    """Ask an edge about the one of its networks that is called so (or whose bundle's id this is)."""
    served = describe_edges(client, timeout)
    found = [one for one in served if name in (one.model, one.bundle)]
    if len(found) == 1:
        return found[0]
    so = f"{len(found)} networks of {client.address} are" if found else f"no network of {client.address} is"
    names = ", ".join(f"{one.model} ({one.bundle})" for one in served)
    raise InputError(
        f"model {name!r}: {so} called so. It serves {names}. Name one, by its bundle's id where names are the same."
    )
