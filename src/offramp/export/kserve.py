"""An InferenceService of KServe for a bundle's tails: YAML that a cluster is given with `kubectl apply`.

The service runs KServe's own Triton runtime on a repository of `export.triton` that lies where the cluster can fetch
it. By the schema `serving.kserve.io/v1beta1`. Knows nothing of the cluster.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.document import write_bytes
from offramp.errors import InputError

GRPC_PORT = 9000  # of KServe's Triton runtime
LONGEST = 40  # letters of the name: Kubernetes allows 63, and KServe appends its own
URI = re.compile(r"[a-z][a-z0-9+.-]*://\S+")


def check_storage(uri: str) -> str:
    """Give back where a cluster finds the repository; an InputError unless it is a URI."""
    if not URI.fullmatch(uri):
        raise InputError(
            f"storage {uri!r}: expected a URI from which the cluster fetches the model repository, like "
            "s3://BUCKET/FOLDER, gs://BUCKET/FOLDER or pvc://CLAIM/FOLDER."
        )
    return uri


def check_replicas(replicas: int) -> int:
    """Give back how many replicas a service has; an InputError unless that is one at least."""
    if replicas < 1:
        raise InputError(f"replicas {replicas}: expected 1 or more. An edge finds no cloud where there is none.")
    return replicas


def service_name(model: str) -> str:
    """A model's name as KServe takes one: `[a-z]([-a-z0-9]*[a-z0-9])?`."""
    name = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")
    name = name if name[:1].isalpha() else f"offramp-{name}"
    return name[:LONGEST].rstrip("-")


def inference_service(bundle: Bundle, storage: str, replicas: int = 1) -> dict[str, Any]:
    """The document. It asks for `replicas` at least, and for gRPC, which is what an edge speaks."""
    model = {
        "modelFormat": {"name": "triton", "version": "2"},
        "protocolVersion": "grpc-v2",
        "storageUri": check_storage(storage),
        "ports": [{"name": "h2c", "containerPort": GRPC_PORT, "protocol": "TCP"}],
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": service_name(bundle.manifest.model),
            "annotations": {"offramp/bundle": bundle.id, "offramp/model": bundle.manifest.model},
        },
        "spec": {"predictor": {"minReplicas": check_replicas(replicas), "model": model}},
    }


def write_service(path: Path, bundle: Bundle, storage: str, replicas: int = 1) -> None:
    """Write the document as YAML, whole or not at all."""
    write_bytes(path, to_yaml(inference_service(bundle, storage, replicas)).encode())


def to_yaml(document: Mapping[str, Any]) -> str:
    """Mappings, lists of mappings, strings and numbers as YAML."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    for key, value in document.items():
        if isinstance(value, Mapping):
            yield f"{key}:"
            yield from (f"  {line}" for line in _lines(value))
        elif isinstance(value, list):
            yield f"{key}:"
            for entry in value:
                first, *rest = _lines(entry)
                yield f"  - {first}"
                yield from (f"    {line}" for line in rest)
        else:
            yield f"{key}: {_quoted(value) if isinstance(value, str) else value}"


def _quoted(text: str) -> str:
    """A string in double quotes, all but plain ASCII escaped: JSON's escapes beyond 16 bits are not YAML's."""
    return '"' + "".join(c if " " <= c <= "~" and c not in '"\\' else f"\\U{ord(c):08x}" for c in text) + '"'
