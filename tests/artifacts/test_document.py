"""What all documents have in common: header, reading, writing."""

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError, field_validator

import offramp
from offramp.artifacts.document import Document, Frozen, read_bytes, why, write_bytes
from offramp.errors import ArtifactDamagedError, ArtifactError, ArtifactMissingError, ArtifactVersionError


class Point(Frozen):
    x: float


class Drawing(Document):
    FORMAT: ClassVar[str] = "test.drawing"
    VERSION: ClassVar[int] = 3

    name: str
    points: tuple[Point, ...] = ()
    counts: dict[int, int] = Field(default_factory=dict)
    scale: float | None = None


FINITE = st.floats(allow_nan=False, allow_infinity=False)
DRAWINGS = st.builds(
    Drawing,
    name=st.text(st.characters(exclude_categories=["Cs"])),
    points=st.lists(st.builds(Point, x=FINITE)).map(tuple),
    counts=st.dictionaries(st.integers(), st.integers()),
    scale=st.none() | FINITE,
)


@settings(max_examples=50)
@given(drawing=DRAWINGS)
def test_a_document_survives_its_file(drawing: Drawing, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is read equals what was written: text of any script, floats to the last bit, numbers as keys."""
    path = tmp_path_factory.getbasetemp() / "document" / "drawing.json"
    drawing.write(path)
    assert Drawing.read(path) == drawing


def test_the_header_comes_first() -> None:
    """A document states its format and version before all else, so that a person sees them."""
    assert list(json.loads(Drawing(name="a").to_json()).items())[:2] == [("format", "test.drawing"), ("version", 3)]


def test_text_is_indented_readable_and_ends_with_a_newline() -> None:
    """Letters outside ASCII are written as themselves, an absent number as null."""
    assert Drawing(name="Škoda").to_json() == (
        '{\n  "format": "test.drawing",\n  "version": 3,\n  "name": "Škoda",\n  "points": [],\n  "counts": {},\n'
        '  "scale": null\n}\n'
    )


def test_a_document_cannot_be_changed() -> None:
    """Documents are values: assigning to a field is an error."""
    drawing = Drawing(name="a")
    with pytest.raises(ValidationError, match="frozen"):
        drawing.name = "b"  # type: ignore[misc]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_none_is_refused(value: str) -> None:
    """NaN and infinities, which are not JSON, do not pass as numbers."""
    text = f'{{"format": "test.drawing", "version": 3, "name": "a", "scale": {value}}}'
    message = "origin: scale: Input should be a finite number (test.drawing)."
    with pytest.raises(ArtifactDamagedError, match=f"^{re.escape(message)}$"):
        Drawing.parse(text, "origin")


def test_the_place_of_a_wrong_value_is_named() -> None:
    """A message leads to the value: field, position, field."""
    text = '{"format": "test.drawing", "version": 3, "name": "a", "points": [{"x": 1}, {"x": "one"}]}'
    message = "origin: points.1.x: Input should be a valid number, unable to parse string as a number (test.drawing)."
    with pytest.raises(ArtifactDamagedError, match=f"^{re.escape(message)}$"):
        Drawing.parse(text, "origin")


class Even(Frozen):
    """A number with a rule of ours."""

    value: int

    @field_validator("value")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError(f"expected an even number, got {value}.")
        return value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (3, "expected an even number, got 3"),
        ("x", "Input should be a valid integer, unable to parse string as an integer"),
    ],
)
def test_what_is_wrong_is_said_in_the_words_of_who_found_it(value: object, said: str) -> None:
    """Without what pydantic puts before ours, and without a full stop, as it says its own."""
    with pytest.raises(ValidationError) as caught:
        Even.model_validate({"value": value})
    assert why(caught.value) == said


def test_pydantic_s_words_are_read_in_one_place() -> None:
    """Whoever else takes them as they are shows a user its prefix."""
    sources = Path(offramp.__file__).parent
    reading = [path for path in sources.rglob("*.py") if re.search(r"""\[["']msg["']\]""", path.read_text())]
    assert reading == [sources / "artifacts" / "document.py"]


def test_a_missing_field_is_named() -> None:
    """A document without a field it needs is damaged."""
    with pytest.raises(ArtifactDamagedError, match=re.escape("origin: name: Field required (test.drawing).")):
        Drawing.parse('{"format": "test.drawing", "version": 3}', "origin")


@pytest.mark.parametrize("version", [2, 4, "3", None])
def test_an_unknown_version_is_refused(version: object) -> None:
    """The message gives the version found, the version read, and two ways out."""
    text = json.dumps({"format": "test.drawing", "version": version, "name": "a"})
    message = (
        f"origin: test.drawing version {version!r}, and this program reads version 3. Write it again with this "
        "program, or read it with the one that wrote it."
    )
    with pytest.raises(ArtifactVersionError, match=f"^{re.escape(message)}$"):
        Drawing.parse(text, "origin")


@pytest.mark.parametrize(
    ("text", "found"),
    [('{"format": "offramp.plan", "version": 3}', "'offramp.plan'"), ("{}", "None"), ("[1]", "'list'"), ("3", "'int'")],
)
def test_another_format_is_refused(text: str, found: str) -> None:
    """A document of another kind, or JSON that is no document, is named for what it is."""
    message = f"origin: expected a document of format 'test.drawing', found {found}."
    with pytest.raises(ArtifactDamagedError, match=f"^{re.escape(message)}$"):
        Drawing.parse(text, "origin")


def test_an_unknown_version_is_told_before_unknown_fields() -> None:
    """A later version's new fields do not hide that it is a later version."""
    with pytest.raises(ArtifactVersionError):
        Drawing.parse('{"format": "test.drawing", "version": 4, "new": 1}', "origin")


def test_text_that_is_not_json_is_refused() -> None:
    """The message says where the text breaks off, and what to do."""
    message = (
        "origin: not a JSON document (Expecting ',' delimiter: line 1 column 26 (char 25)). It was cut short or is "
        "another kind of file: write it again."
    )
    with pytest.raises(ArtifactDamagedError, match=f"^{re.escape(message)}$"):
        Drawing.parse('{"format": "test.drawing"', "origin")


@pytest.mark.parametrize("text", [b"\xff\xfe\x00\x01", b"", b"\x89PNG\r\n", b"[" * 100_000])
def test_bytes_of_any_kind_give_an_error_of_ours(text: bytes) -> None:
    """An image, an empty file or text nested beyond reason is damaged, not a defect."""
    with pytest.raises(ArtifactDamagedError, match="not a JSON document"):
        Drawing.parse(text, "origin")


@given(data=st.data())
def test_a_truncated_document_is_never_read(data: st.DataObject) -> None:
    """Cut anywhere before its closing brace, a document is an error of ours and never a shorter document."""
    text = data.draw(DRAWINGS).to_json().encode()
    with pytest.raises(ArtifactDamagedError):
        Drawing.parse(text[: data.draw(st.integers(0, len(text) - 3))], "origin")


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(fields=st.fixed_dictionaries({}, optional=dict.fromkeys(("name", "points", "counts", "scale", "x"), JSON)))
def test_any_json_with_the_right_header_is_read_or_refused(fields: dict[str, Any]) -> None:
    """Whatever the fields hold, the outcome is a document or an error of ours."""
    text = json.dumps({"format": "test.drawing", "version": 3, **fields})
    with suppress(ArtifactDamagedError):
        assert Drawing.parse(text, "origin").name == fields["name"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The message names the path and what would make it."""
    path = tmp_path / "none.json"
    message = f"{path}: no such file. Check the path, or run the step that writes it."
    with pytest.raises(ArtifactMissingError, match=f"^{re.escape(message)}$"):
        Drawing.read(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A folder where a file should be gives the system's reason."""
    with pytest.raises(ArtifactError, match=f"^{re.escape(f'{tmp_path}: cannot be read (Is a directory).')}$"):
        read_bytes(tmp_path)


def test_writing_makes_the_folders_above(tmp_path: Path) -> None:
    """A path into folders that do not exist is written all the same."""
    path = tmp_path / "a" / "b" / "c.bin"
    write_bytes(path, b"content")
    assert path.read_bytes() == b"content"


def test_writing_replaces_what_was_there_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    """After a write the folder holds the file alone, readable to others."""
    path = tmp_path / "c.bin"
    path.write_bytes(b"a longer old content")
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """Where the last step, the renaming, fails, the neighbour that was written is taken away."""
    path = tmp_path / "taken"
    path.mkdir()
    with pytest.raises(ArtifactError, match=r"cannot be written \(.*directory\)"):
        write_bytes(path, b"content")
    assert list(tmp_path.iterdir()) == [path]
    assert path.is_dir()
