"""What networks are called, and what may be typed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.artifacts.names import name_of, parse_exits, parse_models, single
from offramp.errors import InputError

NINE = st.sets(st.integers(1, 8)).map(lambda local: (*sorted(local), 9))


@pytest.mark.parametrize("k", range(1, 9))
def test_sem_k_has_exit_k_and_the_last(k: int) -> None:
    """The paper's single-exit models SEM-1 to SEM-8 have one local exit."""
    assert parse_exits(f"sem-{k}", 9) == (k, 9)
    assert name_of((k, 9)) == f"sem-{k}"


def test_mem_has_every_exit() -> None:
    """The paper's multi-exit model has a local exit after each block."""
    assert parse_exits("mem", 9) == (1, 2, 3, 4, 5, 6, 7, 8, 9)
    assert name_of(tuple(range(1, 10))) == "mem"


def test_standard_has_the_last_exit_only() -> None:
    """The standard CNN answers at its end."""
    assert parse_exits("standard", 9) == (9,)
    assert name_of((9,)) == "standard"


@pytest.mark.parametrize(
    ("text", "exits"),
    [("2,5", (2, 5, 9)), ("5,2", (2, 5, 9)), ("5, 2, 5", (2, 5, 9)), ("9", (9,)), ("3,9", (3, 9)), ("4", (4, 9))],
)
def test_a_list_of_exits_is_sorted_and_ends_at_the_last(text: str, exits: tuple[int, ...]) -> None:
    """Order, repetition and the last exit need not be minded when typing."""
    assert parse_exits(text, 9) == exits


@given(NINE)
def test_a_name_names_its_exits(exits: tuple[int, ...]) -> None:
    """No two sets of exits share a name: each is read back."""
    assert parse_exits(name_of(exits), 9) == exits


@pytest.mark.parametrize(
    "text", ["", "sem-0", "sem-9", "sem", "MEM", "0", "10", "2,,5", "2,ten", "-1", "2.5", "exits-", "exits-10"]
)
def test_an_unknown_model_is_refused_with_the_choices(text: str) -> None:
    """The message repeats what was typed and says what may be typed."""
    with pytest.raises(InputError) as caught:
        parse_exits(text, 9)
    assert str(caught.value) == (
        f"model {text!r}: unknown. Choose standard, sem-1 to sem-8, mem, or list exits between 1 and 9 like 2,5."
    )


def test_all_stands_for_the_papers_models() -> None:
    """The standard network, a SEM for each boundary, and MEM."""
    assert parse_models("all", 9) == ("standard", *(f"sem-{k}" for k in range(1, 9)), "mem")


def test_a_list_of_models_gives_each_its_name_once() -> None:
    """However its exits were typed; in the order in which they came."""
    assert parse_models("2+5, mem,exits-2-5,2,sem-2", 9) == ("exits-2-5", "mem", "sem-2")


def test_a_model_in_a_list_that_is_unknown_is_refused() -> None:
    """By itself, not with the whole list."""
    with pytest.raises(InputError, match=r"^model 'sem-9': unknown\. Choose standard, "):
        parse_models("mem,sem-9", 9)


@pytest.mark.parametrize(
    ("model", "expected"), [("standard", True), ("sem-8", True), ("mem", False), ("exits-2-5", False)]
)
def test_a_model_with_one_local_exit_or_none_is_single(model: str, *, expected: bool) -> None:
    """Told by its name, where no network is at hand."""
    assert single(model) is expected
