"""What must not be chosen on, and what does not belong together."""

import numpy as np
import pytest

from offramp.artifacts.manifest import Manifest
from offramp.artifacts.predictions import Predictions
from offramp.errors import InputError
from offramp.plan.inputs import sort_out
from offramp.plan.table import Crossing
from on_paper import drawn


def lossy(samples: Predictions, **header: object) -> Predictions:
    changed = samples.header.model_copy(update={"cut": 3, "codec": "uint8"} | header)
    return Predictions(changed, samples.index, samples.labels, samples.logits)


def test_files_are_told_apart_by_split_and_route(paper: Manifest, samples: Predictions) -> None:
    """In whatever order they come."""
    other = drawn(paper, 1, 10, "calibration")
    found = sort_out({"a": lossy(samples), "b": other, "c": samples}, paper)
    assert sorted(found) == ["calibration", "validation"]
    assert found["validation"].by(Crossing(3, "uint8")) is not None
    assert found["calibration"].others == ()


def test_nothing_is_chosen_on_test(paper: Manifest) -> None:
    """It may be reported on."""
    test = drawn(paper, 2, 10, "test")
    with pytest.raises(InputError, match=r"^t: of the split test, and what is chosen on it is not measured by it\."):
        sort_out({"t": test}, paper)
    assert sort_out({"t": test}, paper, reporting=True)["test"].plain is test


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ({"source": "bundle:" + 32 * "0"}, "predictions of paper, bundle:0000"),
        ({"split": "train"}, "and the network learnt from it"),
        ({"precision": "int8"}, "Measure both alike"),
    ],
)
def test_what_is_of_something_else_is_refused(
    paper: Manifest, samples: Predictions, header: dict[str, str], says: str
) -> None:
    """Another bundle's, another split's, another precision's."""
    with pytest.raises(InputError, match=says):
        sort_out({"a": samples, "b": lossy(samples, **header)}, paper)


def test_other_samples_and_broken_logits_are_refused(paper: Manifest, samples: Predictions) -> None:
    """And a crossing without the rest of the network."""
    with pytest.raises(InputError, match="its samples are not those of the other validation predictions"):
        sort_out({"a": samples, "b": lossy(samples.rows(slice(10, 20)))}, paper)
    with pytest.raises(InputError, match="there are no predictions of validation by the graph in one piece"):
        sort_out({"b": lossy(samples)}, paper)
    broken = {**samples.logits, 2: np.full_like(samples.logits[2], np.nan)}
    with pytest.raises(InputError, match="logits at exit 2 are not all finite"):
        sort_out({"a": Predictions(samples.header, samples.index, samples.labels, broken)}, paper)


def test_halves_share_no_sample(paper: Manifest, samples: Predictions) -> None:
    """And are all of them."""
    first, second = sort_out({"a": samples, "b": lossy(samples)}, paper)["validation"].halves()
    assert not set(first.plain.index) & set(second.plain.index)
    assert len(first.plain) + len(second.plain) == len(samples)
    assert len(first.others[0]) == len(first.plain)
