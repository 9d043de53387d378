"""Softmax and scores against SciPy, against their definitions, and at their edges."""

import math
import re

import numpy as np
import numpy.typing as npt
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from offramp.errors import InputError
from offramp.exits.score import SCORES, margin, max_probability, normalized_entropy, score, softmax

Floats = npt.NDArray[np.float64]
NAMES = sorted(SCORES)
LOGITS = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 6), st.integers(1, 12)),
    elements=st.floats(-60, 60),
)
SEVERAL = LOGITS.filter(lambda logits: logits.shape[1] > 1)


@given(logits=hnp.arrays(np.float32, (3, 5), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_softmax_is_scipys(logits: npt.NDArray[np.float32]) -> None:
    """For every finite float32, the largest included, the probabilities are those of an independent softmax."""
    np.testing.assert_allclose(softmax(logits), scipy.special.softmax(logits.astype(np.float64), axis=1), atol=1e-15)


def test_softmax_is_float64() -> None:
    """Half-precision logits are judged in double precision."""
    assert softmax(np.zeros((1, 2), np.float16)).dtype == np.float64


def test_softmax_leaves_its_logits_alone() -> None:
    """Float64 logits, which need no conversion, are not overwritten."""
    logits = np.array([[1.0, 2.0]])
    softmax(logits)
    np.testing.assert_array_equal(logits, [[1.0, 2.0]])


def test_softmax_of_no_sample_is_no_row() -> None:
    """An empty batch keeps its number of classes."""
    assert softmax(np.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("shape", [(3,), (2, 0), (1, 2, 3), ()])
def test_logits_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    """Logits are a row a sample, with at least one class."""
    message = f"logits: expected shape (N, classes) with at least one class, got {shape}."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        softmax(np.zeros(shape))


@given(logits=SEVERAL)
def test_entropy_is_scipys_over_the_logarithm_of_the_classes(logits: Floats) -> None:
    """The paper's equation (1), computed independently."""
    probabilities = softmax(logits)
    expected = scipy.stats.entropy(probabilities, axis=1) / math.log(logits.shape[1])
    np.testing.assert_allclose(normalized_entropy(probabilities), expected, atol=1e-12)


@given(logits=SEVERAL)
def test_max_probability_is_the_missing_share(logits: Floats) -> None:
    """One minus the highest probability, over the most that can be missing: 1 - 1/n."""
    for row, found in zip(softmax(logits), max_probability(softmax(logits)), strict=True):
        assert found == pytest.approx((1 - max(row)) / (1 - 1 / len(row)), abs=1e-12)


@given(logits=SEVERAL)
def test_margin_is_the_gap_between_the_first_two(logits: Floats) -> None:
    """One minus the difference of the two highest probabilities, found by sorting."""
    for row, found in zip(softmax(logits), margin(softmax(logits)), strict=True):
        first, second = sorted(row, reverse=True)[:2]
        assert found == pytest.approx(1 - (first - second), abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
@given(logits=LOGITS)
def test_every_score_lies_between_0_and_1(name: str, logits: Floats) -> None:
    """Never below 0 nor above 1 by rounding, and never minus zero."""
    scores = score(softmax(logits), name)
    assert scores.shape == (len(logits),)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert not np.signbit(scores).any()


@pytest.mark.parametrize("name", NAMES)
@given(logits=LOGITS, data=st.data())
def test_no_score_depends_on_the_order_of_classes(name: str, logits: Floats, data: st.DataObject) -> None:
    """How unsure an answer is does not change when the classes are named in another order."""
    order = data.draw(st.permutations(range(logits.shape[1])))
    np.testing.assert_allclose(score(softmax(logits[:, order]), name), score(softmax(logits), name), atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@given(logits=LOGITS)
def test_a_samples_score_does_not_depend_on_its_batch(name: str, logits: Floats) -> None:
    """A row judged alone has the probabilities and the score, to the last bit, that it has among others."""
    together, alone = softmax(logits), [softmax(row[None]) for row in logits]
    np.testing.assert_array_equal(together, np.concatenate(alone))
    np.testing.assert_array_equal(score(together, name), [score(row, name)[0] for row in alone])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
def test_a_certain_answer_scores_exactly_0(name: str, classes: int) -> None:
    """All probability on one class leaves nothing to be unsure of."""
    assert score(np.eye(classes)[:2], name).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [2, 3, 7, 10, 1000])
def test_a_uniform_answer_scores_1(name: str, classes: int) -> None:
    """Knowing nothing is the top of every score's range."""
    assert score(softmax(np.zeros((1, classes))), name)[0] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_with_one_class_every_score_is_0(name: str) -> None:
    """A single class is always right, so the logarithm of 1 is never divided by."""
    assert score(softmax([[3.0], [-2.0]]), name).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [1, 3])
def test_no_sample_has_no_score(name: str, classes: int) -> None:
    """An empty batch gives an empty array."""
    assert score(np.zeros((0, classes)), name).shape == (0,)


@pytest.mark.parametrize("name", NAMES)
def test_a_surer_answer_scores_lower(name: str) -> None:
    """With two classes, every step towards one of them lowers the score."""
    p = np.linspace(0.5, 1, 20)
    assert (np.diff(score(np.stack([p, 1 - p], axis=1), name)) < 0).all()


@pytest.mark.parametrize(("name", "expected"), [("entropy", 0.8112781), ("max-probability", 0.5), ("margin", 0.5)])
def test_a_name_chooses_its_score(name: str, expected: float) -> None:
    """For probabilities 3/4 and 1/4: 2 - 3/4 log2 3, twice 1/4, and one minus 1/2."""
    assert score(np.array([[0.75, 0.25]]), name)[0] == pytest.approx(expected, abs=1e-7)


def test_entropy_is_the_default() -> None:
    """Without a name it is the paper's score."""
    assert score(np.array([[0.75, 0.25]])) == score(np.array([[0.75, 0.25]]), "entropy")


def test_an_unknown_score_is_refused() -> None:
    """The message names the choices."""
    message = "score 'luck': unknown. Choose one of entropy, max-probability, margin, patience."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        score(np.array([[0.5, 0.5]]), "luck")
