"""The one view that figures, tables and findings read."""

from collections.abc import Callable

from offramp.paper.families import Family
from offramp.paper.reproduction import Reproduction
from offramp.paper.view import Point, View, as_in_the_paper, by_exit

Build = Callable[..., Reproduction]


def test_the_papers_part_is_every_row_by_family_exit_and_threshold(reproduction: Reproduction) -> None:
    """The very rows of the document, once each."""
    view = View.of(reproduction)
    assert view.reproduction is reproduction
    assert set(view.rows) == {Point(f, k, t) for f in Family for k in range(1, 9) for t in (0.1, 0.3, 0.5, 0.8)}
    assert sorted(map(id, view.rows.values())) == sorted(map(id, as_in_the_paper(reproduction)))
    assert (view.thresholds, view.main_threshold) == ((0.1, 0.3, 0.5, 0.8), 0.3)
    assert (view.last, view.local_exits) == (9, (1, 2, 3, 4, 5, 6, 7, 8))
    assert {k: model.model for k, model in view.models[Family.SEM].items()} == {k: f"sem-{k}" for k in range(1, 9)}
    assert {model.model for model in view.models[Family.MEM].values()} == {"mem"}


def test_a_line_of_a_figure_is_a_family_at_a_threshold(reproduction: Reproduction) -> None:
    """By exit, rising, whatever the order of the document."""
    turned = View.of(reproduction.model_copy(update={"rows": reproduction.rows[::-1]}))
    for family in Family:
        rows = by_exit(turned, family, 0.3)
        assert list(rows) == [*range(1, 9)]
        assert all(row is turned.rows[Point(family, k, 0.3)] for k, row in rows.items())
    assert by_exit(turned, Family.SEM, 0.2) == {}


def test_other_deployments_are_not_the_papers(reproduce: Build) -> None:
    """Another codec, another cut, a drop threshold, or no repeat."""
    reproduction = reproduce(sections=("paper",), exits=(4,), mem=False, thresholds=(0.3,))
    (row,) = reproduction.rows
    plan = row.setup.plan
    setups = [
        row.setup.model_copy(update={"plan": plan.but(codec="uint8")}),
        row.setup.model_copy(update={"plan": plan.but(cut=0)}),
        row.setup.model_copy(update={"plan": plan.but(drop_threshold=0.5)}),
        row.setup.model_copy(update={"section": "cores"}),
    ]
    others = [row.model_copy(update={"setup": setup}) for setup in setups]
    others.append(row.model_copy(update={"repeats": ()}))
    changed = reproduction.model_copy(update={"rows": (*others, row)})
    assert as_in_the_paper(changed) == [row]
    assert View.of(changed).rows == {Point(Family.SEM, 4, 0.3): row}


def test_the_main_threshold_is_the_measured_one_nearest_to_the_papers(reproduce: Build) -> None:
    """Of 0.1 and 0.5 the first; of none, the paper's own."""
    assert View.of(reproduce(sections=("paper",), thresholds=(0.1, 0.5))).main_threshold == 0.1
    assert View.of(reproduce(sections=("paper",), thresholds=(0.5, 0.8))).main_threshold == 0.5
    assert View.of(reproduce(sections=())).main_threshold == 0.3


def test_models_are_told_apart_by_their_exits(reproduction: Reproduction) -> None:
    """SEM-k stands at its exit, MEM at all of its own, whatever they are called."""
    renamed = tuple(m.model_copy(update={"model": f"x{i}"}) for i, m in enumerate(reproduction.models))
    models = View.of(reproduction.model_copy(update={"models": renamed})).models
    assert {k: m.model for k, m in models[Family.SEM].items()} == {k: f"x{k - 1}" for k in range(1, 9)}
    assert {k: m.model for k, m in models[Family.MEM].items()} == dict.fromkeys(range(1, 9), "x8")


def test_the_standard_network_belongs_to_neither(reproduction: Reproduction) -> None:
    """A network without local exits has no place on an axis of exits."""
    standard = reproduction.models[0].model_copy(update={"model": "standard", "exits": (9,)})
    models = View.of(reproduction.model_copy(update={"models": (standard,)})).models
    assert not models[Family.SEM]
    assert not models[Family.MEM]


def test_the_axis_holds_exits_that_were_not_measured(reproduce: Build) -> None:
    """Of a nine-stage network every local exit has its place, so that a gap can be seen."""
    assert View.of(reproduce(exits=(3,), mem=False)).local_exits == tuple(range(1, 9))
