"""What every JSON document of offramp has in common: a format, a version, and honest reading and writing.

Takes and gives pydantic models and paths. Knows nothing of what the documents mean.
"""

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from offramp.errors import ArtifactDamagedError, ArtifactError, ArtifactMissingError, ArtifactVersionError

PAGE = 4096  # bytes: the least that a file system gives to a file


class Frozen(BaseModel):
    """A value of a document: cannot be changed, and takes no field that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class Document(Frozen):
    """A JSON document. Its class states `FORMAT` and `VERSION`; both are written and checked on reading.

    A class that reads an older version as well says so in `READS`, and how in `upgrade`.
    """

    FORMAT: ClassVar[str]
    VERSION: ClassVar[int]
    READS: ClassVar[tuple[int, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _take_header_off(cls, values: Any) -> Any:
        """A document inside another has its header too; `parse` has seen to the outer one's."""
        if not isinstance(values, dict) or not {"format", "version"} & values.keys():
            return values
        version = values.get("version")
        if values.get("format") != cls.FORMAT or version not in (cls.VERSION, *cls.READS):
            raise ValueError(
                f"expected {cls.FORMAT} version {cls.VERSION}, found {values.get('format')!r} version {version!r}"
            )
        fields = {key: value for key, value in values.items() if key not in ("format", "version")}
        try:
            return fields if version == cls.VERSION else cls.upgrade(fields)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a whole document of version {version} ({error!r})") from error

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Give the fields of an older version as those of this one: the same, where a class says nothing else."""
        return fields

    @model_serializer(mode="wrap")
    def _with_header(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        return {"format": self.FORMAT, "version": self.VERSION, **handler(self)}

    @classmethod
    def parse(cls, text: str | bytes, origin: str, context: object = None) -> Self:
        """Read the document from JSON text; `origin` is what messages call it, most often a path.

        `context` is what a class's own validators are given.
        """
        try:
            raw = json.loads(text, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:  # a thousand opening brackets are no ValueError
            raise ArtifactDamagedError(
                f"{origin}: not a JSON document ({error}). It was cut short or is another kind of file: write it again."
            ) from error
        if not isinstance(raw, dict) or raw.get("format") != cls.FORMAT:
            found = raw.get("format") if isinstance(raw, dict) else type(raw).__name__
            raise ArtifactDamagedError(f"{origin}: expected a document of format {cls.FORMAT!r}, found {found!r}.")
        if raw.get("version") not in (readable := (cls.VERSION, *cls.READS)):
            *newer, oldest = sorted(readable, reverse=True)
            known = f"{', '.join(map(str, newer))} and {oldest}" if newer else f"{oldest}"
            raise ArtifactVersionError(
                f"{origin}: {cls.FORMAT} version {raw.get('version')!r}, and this program reads version {known}. Write "
                "it again with this program, or read it with the one that wrote it."
            )
        try:
            return cls.model_validate(raw, context=context)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "document"
            raise ArtifactDamagedError(f"{origin}: {where}: {why(error)} ({cls.FORMAT}).") from error

    @classmethod
    def read(cls, path: Path, context: object = None) -> Self:
        """Read the document from a file."""
        return cls.parse(read_bytes(path), str(path), context)

    def to_json(self) -> str:
        """Give the document as indented JSON text with a closing newline."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def write(self, path: Path) -> None:
        """Write the document whole or not at all."""
        write_bytes(path, self.to_json().encode())


def why(error: ValidationError) -> str:
    """What is wrong first with some values, without a full stop: of a validator of ours, its own words alone."""
    return error.errors()[0]["msg"].removeprefix("Value error, ").rstrip(".")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; ValueError where it has a name twice, of which a reader would take the last in silence."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in found if names.count(name) > 1)!r} is there twice")
    return found


def read_bytes(path: Path) -> bytes:
    """Read a file, with the two usual reasons why not as errors of ours."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ArtifactMissingError(f"{path}: no such file. Check the path, or run the step that writes it.") from error
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}).") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: into a neighbour first, then renamed over the path.

    What is there and is no file, such as /dev/stdout, is written to. Raises ArtifactError where it cannot be written.
    """
    with writing(path):
        if _is_device(path):
            path.write_bytes(content)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, content)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the system says while a path is written, a full disk for one, is an ArtifactError that names the path."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = "Make room there, or choose another place" if full else "Choose a place that can be written to"
        raise ArtifactError(f"{path}: cannot be written ({error.strerror or error}). {remedy}.") from error


def check_output(path: Path | None, *, folder: bool = False) -> None:
    """Raise ArtifactError where `path`, a file or a `folder` of files, could not be written later; None is no path.

    Called before the work whose result goes there. Tries it in the nearest folder that exists, and leaves nothing.
    """
    if path is None:
        return
    with writing(path):
        if _is_device(path):  # there is nothing to try
            if folder:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            return
        if path.is_dir() and not folder:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        at = path if folder else path.parent
        while not at.exists():
            at = at.parent
        with tempfile.TemporaryFile(dir=at) as tried:
            tried.write(bytes(PAGE))  # a disk that is full takes an empty file
            tried.flush()


def _is_device(path: Path) -> bool:
    """A device, a pipe, a socket: what a rename must not put a file in place of."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _replace(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
