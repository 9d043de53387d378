"""Recipes: the paper's values, changes, weights and learning rates."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from offramp.errors import InputError
from offramp.train.recipe import RECIPES, WARM_UP, Recipe, learning_rate, recipe
from offramp.train.regimes.joint import Joint
from offramp.train.regimes.settings import REGIMES, RegimeSettings

PAPER = RECIPES["paper"]
PROGRESS = st.floats(0, 1, exclude_max=True)


def test_the_papers_recipe_holds_its_table_1() -> None:
    """Learning rate, momentum, weight decay, batch size and epochs are the paper's, for every parameter."""
    assert (PAPER.learning_rate, PAPER.momentum, PAPER.weight_decay) == (0.1, 0.9, 1e-4)
    assert (PAPER.batch_size, PAPER.epochs) == (32, 2000)
    assert PAPER.decay_everything


def test_the_papers_recipe_adds_nothing_that_the_paper_does_not_name() -> None:
    """No schedule, no Nesterov, no smoothing, no augmentation, no low precision, equal losses."""
    assert (PAPER.schedule, PAPER.nesterov, PAPER.label_smoothing) == ("constant", False, 0.0)
    assert (PAPER.flip, PAPER.crop, PAPER.precision) == (False, 0, "fp32")
    assert PAPER.weights((1, 2, 9)) == {1: 1.0, 2: 1.0, 9: 1.0}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_known_by_its_name(name: str) -> None:
    """The name under which it is looked up is the one that checkpoints carry."""
    assert recipe(name).name == name
    assert recipe(name) is RECIPES[name]


def test_an_unknown_recipe_is_refused_with_the_choices() -> None:
    """The message names the recipes that there are."""
    with pytest.raises(InputError) as caught:
        recipe("secret")
    assert (
        str(caught.value)
        == "recipe 'secret': unknown. Choose one of paper, modern, fast, jpeg, digits, or give a .json file."
    )


def test_but_changes_what_is_given_and_nothing_else() -> None:
    """None stands for an option that was not typed; the recipe itself stays as it is."""
    changed = PAPER.but(epochs=3, batch_size=None, loss_weights={1: 0.5, 9: 1.0})
    assert (changed.epochs, changed.batch_size, changed.loss_weights) == (3, 32, {1: 0.5, 9: 1.0})
    assert changed.model_dump(exclude={"epochs", "loss_weights"}) == PAPER.model_dump(
        exclude={"epochs", "loss_weights"}
    )
    assert PAPER.epochs == 2000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "recipe: epochs: Input should be greater than or equal to 1, got 0."),
        ({"batch_size": -1}, "recipe: batch_size: Input should be greater than or equal to 1, got -1."),
        ({"learning_rate": 0.0}, "recipe: learning_rate: Input should be greater than 0, got 0.0."),
        ({"learning_rate": float("nan")}, "recipe: learning_rate: Input should be a finite number, got nan."),
        ({"momentum": 1.0}, "recipe: momentum: Input should be less than 1, got 1.0."),
        ({"weight_decay": -0.1}, "recipe: weight_decay: Input should be greater than or equal to 0, got -0.1."),
        ({"label_smoothing": 1.0}, "recipe: label_smoothing: Input should be less than 1, got 1.0."),
        ({"crop": -2}, "recipe: crop: Input should be greater than or equal to 0, got -2."),
        ({"schedule": "steps"}, "recipe: schedule: Input should be 'constant', 'one-cycle' or 'cosine', got 'steps'."),
        ({"patience": 3}, "recipe: patience: Extra inputs are not permitted, got 3."),
        (
            {"loss_weights": {1: -1.0, 9: 1.0}},
            "recipe: loss_weights: loss weights must not be negative, and at least one must be above 0, "
            "got {1: -1.0, 9: 1.0}.",
        ),
        (
            {"loss_weights": {1: 0.0}},
            "recipe: loss_weights: loss weights must not be negative, and at least one must be above 0, got {1: 0.0}.",
        ),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(changes: dict[str, object], message: str) -> None:
    """The message says which value, its range, and what was given."""
    with pytest.raises(InputError) as caught:
        PAPER.but(**changes)
    assert str(caught.value) == message


def test_a_recipe_cannot_be_changed_in_place() -> None:
    """What a checkpoint says of its recipe stays true."""
    with pytest.raises(ValidationError):
        PAPER.epochs = 1  # type: ignore[misc]
    assert PAPER.epochs == 2000


@given(st.dictionaries(st.integers(1, 9), st.floats(0.1, 10), min_size=1))
def test_weights_by_exit_are_given_to_their_exits(weights: dict[int, float]) -> None:
    """Whatever the order in which they were named."""
    assert PAPER.but(loss_weights=weights).weights(tuple(sorted(weights))) == weights


@pytest.mark.parametrize("exits", [(1, 9), (1, 5), (1, 5, 8, 9), (1, 5, 8)])
def test_weights_of_other_exits_are_refused(exits: tuple[int, ...]) -> None:
    """A weight too many, too few or for another exit is not passed over."""
    with pytest.raises(InputError) as caught:
        PAPER.but(loss_weights={9: 1.0, 1: 1.0, 5: 0.5}).weights(exits)
    assert str(caught.value) == (
        f"loss weights: expected one for each of the exits {', '.join(map(str, exits))}, got 1, 5, 9."
    )


@given(PROGRESS)
def test_a_constant_learning_rate_never_changes(progress: float) -> None:
    """The paper's."""
    assert learning_rate(PAPER, progress) == 0.1


@pytest.mark.parametrize(("progress", "share"), [(0, 1), (1 / 3, 0.75), (0.5, 0.5), (2 / 3, 0.25), (1 - 1e-9, 0)])
def test_cosine_falls_from_the_full_rate_to_nothing(progress: float, share: float) -> None:
    """Half a cosine over the whole training."""
    cosine = PAPER.but(schedule="cosine", learning_rate=0.4)
    assert learning_rate(cosine, progress) == pytest.approx(0.4 * share, abs=1e-9)


@pytest.mark.parametrize(
    ("progress", "share"), [(0, 0.02), (0.001, 0.02), (0.1, 0.5), (0.2, 1), (0.4, 0.75), (0.6, 0.5), (0.999, 0.02)]
)
def test_one_cycle_rises_over_a_fifth_and_falls_over_the_rest(progress: float, share: float) -> None:
    """In straight lines, never below a fiftieth of its peak."""
    assert WARM_UP == 0.2
    one_cycle = PAPER.but(schedule="one-cycle", learning_rate=0.4)
    assert learning_rate(one_cycle, progress) == pytest.approx(0.4 * share)


@given(st.sampled_from(list(RECIPES.values())), PROGRESS, PROGRESS)
def test_after_the_warm_up_the_learning_rate_never_rises(chosen: Recipe, one: float, other: float) -> None:
    """And it is never above the recipe's, nor 0."""
    early, late = sorted((max(one, WARM_UP), max(other, WARM_UP)))
    assert chosen.learning_rate >= learning_rate(chosen, early) >= learning_rate(chosen, late) > 0
    assert 0 < learning_rate(chosen, one) <= chosen.learning_rate


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_its_document(name: str) -> None:
    """JSON and back gives the same recipe, loss weights by exit included."""
    changed = RECIPES[name].but(loss_weights={1: 0.25, 9: 1.0})
    assert Recipe.model_validate_json(changed.model_dump_json()) == changed


def test_a_recipe_can_be_a_document(tmp_path: Path) -> None:
    """A named one with changes; it is called as its file is."""
    path = tmp_path / "mine.json"
    path.write_text(
        '{"format": "offramp.recipe", "version": 1, "base": "digits",'
        ' "changes": {"epochs": 3, "regime": {"name": "own", "backbone_first": 0.25, "teacher": "ensemble"}}}'
    )
    own = RegimeSettings(name="own", backbone_first=0.25, teacher="ensemble")
    assert recipe(str(path)) == RECIPES["digits"].but(name="mine", epochs=3, regime=own)


def test_a_document_that_names_no_known_regime_is_refused(tmp_path: Path) -> None:
    """By the regimes' own message."""
    path = tmp_path / "mine.json"
    path.write_text('{"format": "offramp.recipe", "version": 1, "base": "digits", "changes": {"regime": "magic"}}')
    with pytest.raises(InputError, match=r"^regime 'magic': unknown\. Choose one of joint, "):
        recipe(str(path))


def test_a_regime_is_chosen_by_its_name() -> None:
    """And put together for the exits of a network, with their weights."""
    chosen = PAPER.but(regime="late", loss_weights={2: 0.5, 9: 1.0}, label_smoothing=0.1)
    assert chosen.regime == REGIMES["late"]
    assert chosen.regime_for((2, 9)) == Joint({2: 0.5, 9: 1.0}, "late", 0.1)
    assert PAPER.regime == REGIMES["joint"]


def test_a_recipe_is_written_as_before_there_were_its_options() -> None:
    """A run of before is known by what was written of its recipe: it must stay the same. What is on is written."""
    assert sorted(RECIPES["modern"].model_dump()) == [
        "batch_size", "channels_last", "compile", "crop", "decay_everything", "epochs", "flip", "label_smoothing",
        "learning_rate", "loss_weights", "momentum", "name", "nesterov", "precision", "regime", "schedule",
        "weight_decay",
    ]  # fmt: skip
    written = RECIPES["jpeg"].model_dump(mode="json")
    assert (written["jpeg"], written["jpeg_quality"]) == (0.92, [70, 80])
    assert Recipe.model_validate(written) == RECIPES["jpeg"]
    changed = RECIPES["modern"].but(optimizer="muon", lookahead=0.9, alternating=True, norm_scale=False)
    assert {"muon_learning_rate", "lookahead", "alternating", "norm_scale"} < set(changed.model_dump())
    assert Recipe.model_validate(changed.model_dump(mode="json")) == changed


@pytest.mark.parametrize("quality", [(90, 60), (0, 50), (50, 101)])
def test_qualities_that_jpeg_does_not_have_are_refused(quality: tuple[int, int]) -> None:
    """By the field's name, with what was given."""
    with pytest.raises(InputError, match=r"^recipe: jpeg_quality"):
        RECIPES["jpeg"].but(jpeg_quality=quality)
