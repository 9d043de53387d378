"""Reads an InferenceService by the classes of KServe's own package: `kserve_schema.py FILE`.

Says each word that they do not know and each value that they lack or of another type; else how many words there were.
`OFFRAMP_KSERVE_CRD` may name the custom resource's definition (YAML), by which the same is asked once more.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kserve
import yaml
from kubernetes import client

PRIMITIVES = {"str": str, "int": int, "bool": bool, "float": float}
CRD_TYPES = {"string": str, "integer": int, "boolean": bool, "object": dict, "array": list}


def by_class(value: Any, kind: str, at: str) -> Iterator[str]:
    """Each word of a value, and what is wrong with it."""
    if kind[:4].lower() in ("dict", "list"):  # written in several ways
        kind = kind[:1].lower() + kind[1:].replace("(", "[").replace(")", "]")
    if kind.startswith("dict["):
        for key, inner in value.items():
            yield f"{at}.{key}"
            yield from by_class(inner, kind[:-1].split(", ", 1)[1], f"{at}.{key}")
    elif kind.startswith("list["):
        for number, inner in enumerate(value):
            yield from by_class(inner, kind[5:-1], f"{at}[{number}]")
    elif kind in PRIMITIVES:
        if not isinstance(value, PRIMITIVES[kind]):
            yield f"wrong: {at} is no {kind}"
    else:
        made = getattr(kserve, kind, None) or getattr(client, kind)
        names = {json: name for name, json in made.attribute_map.items()}
        for key, inner in value.items():
            if key not in names:
                yield f"wrong: {at} has no {key}"
                continue
            yield f"{at}.{key}"
            yield from by_class(inner, made.openapi_types[names[key]], f"{at}.{key}")


def by_definition(value: Any, schema: dict, at: str) -> Iterator[str]:
    """The same by a definition of the cluster's."""
    if not isinstance(value, CRD_TYPES[schema.get("type", "object")]):
        yield f"wrong: {at} is no {schema['type']}"
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from by_definition(inner, schema["items"], f"{at}[{number}]")
    elif isinstance(value, dict):
        yield from (f"wrong: {at} lacks {name}" for name in schema.get("required", ()) if name not in value)
        for key, inner in value.items():
            below = schema.get("properties", {}).get(key) or schema.get("additionalProperties")
            if below:
                yield from by_definition(inner, below, f"{at}.{key}")
            elif at != "service.metadata":  # the cluster's own, which no definition repeats
                yield f"wrong: {at} has no {key}"


def main(file: str) -> None:
    document = yaml.safe_load(Path(file).read_text())
    said = list(by_class(document, "V1beta1InferenceService", "service"))
    if crd := os.environ.get("OFFRAMP_KSERVE_CRD"):
        versions = {one["name"]: one for one in yaml.safe_load(Path(crd).read_text())["spec"]["versions"]}
        schema = versions[document["apiVersion"].partition("/")[2]]["schema"]["openAPIV3Schema"]
        said += [word for word in by_definition(document, schema, "service") if word.startswith("wrong")]
    if wrong := [word for word in said if word.startswith("wrong")]:
        sys.exit("\n".join(wrong))
    print(f"{len(said)} words known")


if __name__ == "__main__":
    main(*sys.argv[1:])
