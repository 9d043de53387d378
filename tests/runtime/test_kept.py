"""What was chosen for a bundle is kept."""

from pathlib import Path

import pytest

from offramp.artifacts.engine import Runtime
from offramp.runtime.kept import Choices, Chosen, Circumstances, cache_folder, keep, read
from offramp.runtime.timing import Timing

HERE = Circumstances(
    precision="fp32", threads=2, batches=(1, 8), hardware="a processor", onnxruntime="1.0", openvino="2.0"
)


def chosen(runtime: Runtime = "openvino", **changes: object) -> Chosen:
    """A choice in these circumstances but for what is changed."""
    return Chosen(runtime=runtime, made_in=HERE.model_copy(update=changes), timings=(Timing(1, 2.0, 1.0),))


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"OFFRAMP_CACHE": "/kept"}, Path("/kept/engines")),
        ({"OFFRAMP_CACHE": "/kept", "XDG_CACHE_HOME": "/xdg"}, Path("/kept/engines")),
        ({"XDG_CACHE_HOME": "/xdg"}, Path("/xdg/offramp/engines")),
        ({"XDG_CACHE_HOME": "relative"}, Path.home() / ".cache/offramp/engines"),
        ({}, Path.home() / ".cache/offramp/engines"),
        ({"OFFRAMP_CACHE": "none", "XDG_CACHE_HOME": "/xdg"}, None),
    ],
)
def test_where_choices_are_kept(environment: dict[str, str], expected: Path | None) -> None:
    """Where the user says, else where the system keeps caches, or nowhere."""
    assert cache_folder(environment) == expected


def test_a_choice_is_found_in_its_own_circumstances(tmp_path: Path) -> None:
    """Threads, batch sizes, processor and the runtimes' versions belong to it."""
    path = tmp_path / "deep" / "b.json"
    assert keep(path, "b", chosen()) == (chosen(), "")
    found = read(path, "b")
    assert found.in_(HERE) == chosen()
    for name, other in (("threads", 4), ("batches", (1,)), ("hardware", "another"), ("openvino", "2.1"),
                        ("onnxruntime", "1.1"), ("precision", "int8")):  # fmt: skip
        assert found.in_(HERE.model_copy(update={name: other})) is None
    assert read(path, "another bundle").choices == ()


def test_what_ran_before_is_where_the_next_choice_begins(tmp_path: Path) -> None:
    """The last of the same precision and processor; onnxruntime, which all have, without one."""
    known = Choices(bundle="b").with_(chosen("onnxruntime")).with_(chosen("openvino", openvino="2.1"))
    assert known.before(HERE.model_copy(update={"openvino": "2.2", "threads": 9})) == "openvino"
    assert known.before(HERE.model_copy(update={"precision": "int8"})) == "onnxruntime"
    assert known.before(HERE.model_copy(update={"hardware": "another"})) == "onnxruntime"


def test_of_two_that_start_at_once_the_first_chooses(tmp_path: Path) -> None:
    """Who comes second takes what the first wrote, so that both run the same."""
    path = tmp_path / "b.json"
    keep(path, "b", chosen("openvino"))
    assert keep(path, "b", chosen("onnxruntime")) == (chosen("openvino"), "")
    keep(path, "b", chosen("onnxruntime", threads=4))
    assert [one.runtime for one in read(path, "b").choices] == ["openvino", "onnxruntime"]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": "offramp.engine-choices", "version": 9}'])
def test_a_damaged_file_is_written_anew(tmp_path: Path, content: str) -> None:
    """A cache is no document: what cannot be read is not there."""
    path = tmp_path / "b.json"
    path.write_text(content)
    assert read(path, "b") == Choices(bundle="b")
    assert keep(path, "b", chosen()) == (chosen(), "")
    assert read(path, "b").choices == (chosen(),)


def test_what_cannot_be_kept_is_said(tmp_path: Path) -> None:
    """The choice holds all the same."""
    (tmp_path / "file").write_text("")
    assert keep(tmp_path / "file" / "b.json", "b", chosen()) == (chosen(), "File exists")
    assert read(tmp_path / "file" / "b.json", "b").choices == ()
