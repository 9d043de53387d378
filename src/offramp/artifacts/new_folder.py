"""A folder of files that is written whole or not at all, into a place that holds nothing yet."""

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from offramp.artifacts.document import check_output, write_bytes, writing
from offramp.errors import ArtifactError


def check_new_folder(path: Path, noun: str) -> None:
    """Raise ArtifactError unless a folder, `noun` in words, can be written at `path`: none is there, or an empty one.

    Called before the work whose result goes there; leaves nothing.
    """
    if path.exists() and not path.is_dir():
        raise ArtifactError(f"{path}: is a file, and {noun} is a folder. Choose an empty or a new one.")
    check_output(path, folder=True)
    if path.is_dir() and (found := sorted(path.iterdir())):
        raise ArtifactError(
            f"{path}: holds {found[0].name}, and {noun} is written whole. Choose an empty or a new folder."
        )


def write_folder(path: Path, files: Iterable[tuple[str, bytes]], noun: str) -> None:
    """Write files by their paths in the folder; where any cannot be written or made, none stays there.

    They are written beside the folder and renamed: into one that is there, since it may be a mount, from within.
    Raises ArtifactError, or whatever making the files does.
    """
    check_new_folder(path, noun)
    there = path.is_dir()
    with writing(path):
        beside = path if there else path.parent
        beside.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=beside, prefix=f".{path.name}."))
    try:
        for name, content in files:
            write_bytes(unfinished / name, content)
        with writing(path):
            unfinished.chmod(0o755)  # a server reads it as another user
            if not there:
                unfinished.rename(path)
                return
            for made in sorted(unfinished.iterdir()):
                made.rename(path / made.name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
