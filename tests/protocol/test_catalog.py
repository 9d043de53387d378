"""Models by name and version, and what is told of them."""

from collections.abc import Callable
from typing import Any

import pytest

from offramp._version import __version__
from offramp.errors import UnknownModelError
from offramp.protocol.catalog import Catalog, config, server_metadata


@pytest.fixture
def models(make: Callable[[], Any]) -> list[Any]:
    """Two versions of one name and another model between them."""
    first, other, second = make(), make(), make()
    other.name, other.version, second.version = "other", "1", "8"
    return [first, other, second]


def test_a_model_is_found_by_name_and_version(models: list[Any]) -> None:
    """Each version is its own."""
    catalog = Catalog(models)
    assert catalog.find("double", "8") is models[2]
    assert catalog.find("other", "1") is models[1]


def test_the_first_version_answers_where_none_is_named(models: list[Any]) -> None:
    """As the protocol leaves it to the server."""
    assert Catalog(models).find("double") is models[0]


def test_a_name_that_there_is_not_is_said(models: list[Any]) -> None:
    """With those that there are."""
    with pytest.raises(UnknownModelError) as caught:
        Catalog(models).find("resnet")
    assert str(caught.value) == "model 'resnet': unknown here. This node serves double, other."


def test_a_version_that_there_is_not_is_said(models: list[Any]) -> None:
    """It is another bundle's."""
    with pytest.raises(UnknownModelError) as caught:
        Catalog(models).find("double", "9")
    assert str(caught.value) == (
        "model 'double' version '9': this node serves version 7 and 8. The two nodes hold different bundles: give both "
        "the same one."
    )


def test_all_models_are_listed(models: list[Any]) -> None:
    """Versions of one name together, in the order in which they came."""
    catalog = Catalog(models)
    assert list(catalog) == [models[0], models[2], models[1]]
    assert catalog.index() == [
        {"name": "double", "version": "7", "state": "READY", "reason": ""},
        {"name": "double", "version": "8", "state": "READY", "reason": ""},
        {"name": "other", "version": "1", "state": "READY", "reason": ""},
    ]


def test_models_match_by_name_and_by_version(models: list[Any]) -> None:
    """Of what is not named, all."""
    catalog = Catalog(models)
    assert catalog.matching() == list(catalog)
    assert catalog.matching("double") == [models[0], models[2]]
    assert catalog.matching("double", "8") == [models[2]]
    for name, version in (("resnet", ""), ("double", "9")):
        with pytest.raises(UnknownModelError):
            catalog.matching(name, version)


def test_metadata_lists_every_version_of_the_name(models: list[Any]) -> None:
    """With the tensors as they are declared."""
    assert Catalog(models).metadata(models[0]) == {
        "name": "double",
        "versions": ["7", "8"],
        "platform": "offramp",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
        "outputs": [
            {"name": "twice", "datatype": "FP32", "shape": [-1, 2]},
            {"name": "word", "datatype": "BYTES", "shape": [-1]},
        ],
    }


def test_a_configuration_is_triton_s(models: list[Any]) -> None:
    """Complete shapes, its names of the datatypes, and what the model says of itself as parameters."""
    assert config(models[0], 4) == {
        "name": "double",
        "platform": "offramp",
        "max_batch_size": 0,
        "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [-1, 2]}],
        "output": [
            {"name": "twice", "data_type": "TYPE_FP32", "dims": [-1, 2]},
            {"name": "word", "data_type": "TYPE_STRING", "dims": [-1]},
        ],
        "parameters": {"colour": {"string_value": "green"}, "max_batch": {"string_value": "4"}},
    }


def test_a_server_says_what_it_is() -> None:
    """Name, version, and the extensions that it has."""
    assert server_metadata() == {
        "name": "offramp",
        "version": __version__,
        "extensions": ["binary_tensor_data", "classification", "model_configuration", "parameters", "statistics"],
    }
