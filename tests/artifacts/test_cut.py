"""What a manifest says of how features cross: written where it is there, read as it was, refused where it cannot be."""

import json
import re
from typing import Any

import pytest

from offramp.artifacts.manifest import Manifest
from offramp.errors import ArtifactDamagedError


def with_cut(manifest: Manifest, *, shape: Any = (2, 4, 4), **fields: Any) -> Manifest:
    """The manifest with another cut 1 and the features there of another shape, read from its document."""
    made = json.loads(manifest.to_json()) | {"version": 3}
    made["stages"][0]["shape"] = shape
    made["cuts"][1] |= fields
    return Manifest.parse(json.dumps(made), "text")


@pytest.mark.parametrize(
    ("fields", "version"),
    [
        ({}, 1),
        ({"shape": (2,)}, 1),
        ({"scale": [0.1], "shape": (5, 7)}, 1),
        ({"shape": {"a": (2, 4, 4)}, "scale": {"a": [0.1, 0.2]}}, 2),
        ({"zero": [0, 128]}, 3),
        ({"shape": (5, 2)}, 3),
        ({"shape": (4, 4, 2), "axes": {"features_1": 2}}, 3),
        ({"shape": {"a": (2, 4, 4), "mask": (4,)}, "scale": {"a": [0.1, 0.2]}, "plain": ["mask"]}, 3),
    ],
)
def test_a_document_is_of_the_oldest_version_that_can_hold_it(
    manifest: Manifest, fields: dict[str, Any], version: int
) -> None:
    """So that a bundle's id stays, and a program of before refuses by the version what it cannot run."""
    found = with_cut(manifest, **fields)
    written = json.loads(found.to_json())
    assert written["version"] == version
    absent = {"zero", "plain", "axes"} - fields.keys()
    assert not absent & written["cuts"][1].keys()
    assert Manifest.parse(found.to_json(), "text") == found


def test_a_boundary_s_own_name_is_written_where_there_is_one(manifest: Manifest) -> None:
    """And is no part of a bundle that has none."""
    first, second = manifest.stages
    named = manifest.model_copy(update={"stages": (first.model_copy(update={"name": "layer1.0"}), second)})
    written = json.loads(named.to_json())
    assert (written["version"], [stage.get("name") for stage in written["stages"]]) == (3, ["layer1.0", None])
    assert Manifest.parse(named.to_json(), "text") == named
    assert named.id != manifest.id


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"zero": [1]}, "features_1 has 2 channels, and 2 scales and 1 zero points"),
        ({"scale": [0.1, 0.2, 0.3]}, "features_1 has 2 channels, and 3 scales and 3 zero points"),
        ({"scale": []}, "features_1 has 2 channels, and 0 scales and 0 zero points"),
        ({"scale": [0.1, 0.0]}, "features_1 needs scales above 0, and zero points within 0 to 255"),
        ({"zero": [0, 256]}, "features_1 needs scales above 0, and zero points within 0 to 255"),
        ({"zero": [-1, 3]}, "features_1 needs scales above 0, and zero points within 0 to 255"),
        ({"axes": {"features_1": 3}}, "a sample of features_1 has 3 axes, and axis 3 is none of them"),
        ({"axes": {"features_1": 1}}, "features_1 has 4 channels, and 2 scales and 2 zero points"),
        ({"axes": {"skip": 1}}, "skip is none of features_1"),
        ({"plain": ["skip"]}, "skip is none of features_1"),
        ({"shape": {"a": (2,), "b": (2,)}, "plain": ["b"]}, "a scale for each of a, b is needed, got ['features_1']"),
    ],
)
def test_what_does_not_fit_the_features_is_refused(manifest: Manifest, fields: dict[str, Any], message: str) -> None:
    """Before a graph is cut by it."""
    with pytest.raises(ArtifactDamagedError, match=re.escape(f"cut 1: {message} (offramp.bundle).")):
        with_cut(manifest, **fields)


@pytest.mark.parametrize(
    ("fields", "codec"), [({}, "uint8"), ({"plain": ["features_1"], "scale": []}, "fp32"), ({"scale": [0.1]}, "uint8")]
)
def test_a_plain_tensor_is_fp32_in_every_codec(manifest: Manifest, fields: dict[str, Any], codec: str) -> None:
    """And no other."""
    found = with_cut(manifest, **fields)
    assert [found.codec_of(1, "features_1", of) for of in ("fp32", "uint8")] == ["fp32", codec]


def test_features_of_several_channels_lie_on_the_axis_that_their_rank_or_the_cut_names(manifest: Manifest) -> None:
    """Maps on the first, tokens and vectors on the last."""
    cut, told = manifest.cuts[1], manifest.cuts[1].model_copy(update={"axes": {"a": 2}})
    assert [cut.axis_of("a", shape) for shape in ((2, 4, 4), (5, 2), (2,), (3, 2, 4, 4))] == [0, 1, 0, 0]
    assert [told.axis_of(name, (4, 4, 2)) for name in "ab"] == [2, 0]
