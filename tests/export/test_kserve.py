"""The InferenceService: what KServe reads of it, and what it is refused for."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.artifacts.bundle import Bundle
from offramp.export.kserve import LONGEST, inference_service, service_name, to_yaml

yaml = pytest.importorskip("yaml")
STORAGE = "s3://models/mem"


def test_it_is_a_service_of_tritons_runtime_over_grpc(
    bundle: Bundle, tmp_path: Path, offramp: Callable[..., Any]
) -> None:
    """Read back by a YAML of its own: all that it says."""
    out = tmp_path / "service.yaml"
    options = ("--kserve", str(out), "--storage", STORAGE, "--replicas", "3")
    done = offramp("export", str(bundle.path), *options)
    assert done.stdout == f"{out}: an InferenceService of {STORAGE}, of bundle {bundle.id}\n", done.stderr
    assert yaml.safe_load(out.read_text()) == {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "mem", "annotations": {"offramp/bundle": bundle.id, "offramp/model": "mem"}},
        "spec": {
            "predictor": {
                "minReplicas": 3,
                "model": {
                    "modelFormat": {"name": "triton", "version": "2"},
                    "protocolVersion": "grpc-v2",
                    "storageUri": STORAGE,
                    "ports": [{"name": "h2c", "containerPort": 9000, "protocol": "TCP"}],
                },
            }
        },
    }


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(WORDS)
def test_what_is_written_is_what_yaml_reads(word: str) -> None:
    """Whatever a model is called."""
    document = {"a": {"b": word, "c": [{"d": word, "e": 1}, {"f": {"g": word}}]}}
    assert yaml.safe_load(to_yaml(document)) == document


@given(WORDS)
def test_any_model_has_a_name_that_kserve_takes(model: str) -> None:
    """By the pattern of its own validation."""
    name = service_name(model)
    assert re.fullmatch("[a-z]([-a-z0-9]*[a-z0-9])?", name), name
    assert len(name) <= LONGEST


def test_a_name_that_is_taken_as_it_is_stays() -> None:
    """Others become one: a number does not begin a name."""
    assert service_name("resnet-18") == "resnet-18"
    assert service_name("ResNet_18.a1") == "resnet-18-a1"
    assert service_name("2stage") == "offramp-2stage"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "--kserve: the service fetches a model repository. Write one with --triton DIR, lay it where the cluster "
             "can fetch it, and name the place with --storage URI."),
        (("--storage", "models/mem"), "storage 'models/mem': expected a URI from which the cluster fetches the model "
             "repository, like s3://BUCKET/FOLDER, gs://BUCKET/FOLDER or pvc://CLAIM/FOLDER."),
        (("--storage", STORAGE, "--replicas", "0"), "replicas 0: expected 1 or more. An edge finds no cloud where "
             "there is none."),
    ],
)  # fmt: skip
def test_a_service_that_could_not_run_is_not_written(
    bundle: Bundle, tmp_path: Path, refusal: Callable[..., str], options: tuple[str, ...], expected: str
) -> None:
    """Nor is the repository that was asked for beside it."""
    beside = ("--triton", str(tmp_path / "repository"))
    message = refusal("export", str(bundle.path), "--kserve", str(tmp_path / "service.yaml"), *beside, *options)
    assert message == expected
    assert not list(tmp_path.iterdir())


def test_nothing_is_said_of_the_machine(bundle: Bundle) -> None:
    """A cluster is no place for paths of where it was written."""
    assert str(bundle.path) not in to_yaml(inference_service(bundle, STORAGE))
