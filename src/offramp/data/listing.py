"""Every file below a folder, once, by its name within it; and what was passed over, with the reason."""

import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from offramp.errors import DataError

# What file systems, archives, browsers of folders and Spark put beside the files; and all that begins with a dot.
HOUSEKEEPING = frozenset(
    {"@eaDir", "__MACOSX", "__pycache__", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found",
     "_temporary", "_delta_log", "_spark_metadata", "_SUCCESS", "Thumbs.db", "desktop.ini"}
)  # fmt: skip


@dataclass(frozen=True)
class Listing:
    """Files in order; folders without any file in them; and what is not listed, by name, with the reason."""

    root: Path
    files: list[PurePosixPath] = field(default_factory=list)
    empty: list[PurePosixPath] = field(default_factory=list)
    passed: dict[str, str] = field(default_factory=dict)


def hidden(name: str) -> bool:
    """Is this no user's own file or folder?"""
    return name.startswith(".") or name in HOUSEKEEPING


def list_files(root: Path, without: tuple[Path, ...] = ()) -> Listing:
    """List a folder, but for the folders in `without`.

    Symbolic links are followed. A folder or file that is reached by two names is listed once, by that which is no link.
    """
    found = Listing(root)
    seen = {os.path.realpath(root), *map(os.path.realpath, without)}
    links: list[PurePosixPath] = []
    _walk(found, PurePosixPath(), seen, links)
    for link in links:  # after all folders that are none: then those keep their names
        real = os.path.realpath(root / link)
        if real in seen or any(
            str(Path(real)).startswith(f"{path}{os.sep}") for path in seen - {os.path.realpath(root)}
        ):
            found.passed[str(link)] = "a link to a folder that is read already"
        else:
            seen.add(real)
            _walk(found, link, seen, links)
    _drop_twice(found)
    found.files.sort()
    return found


def _walk(found: Listing, at: PurePosixPath, seen: set[str], links: list[PurePosixPath]) -> None:
    try:
        entries = sorted(os.scandir(found.root / at), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{found.root / at}: cannot be listed ({error.strerror}). Check its permissions.") from error
    if not entries:
        found.empty.append(at)
    for entry in entries:
        path = at / _utf8(entry.name, found.root / at)
        if hidden(entry.name):
            found.passed[str(path)] = "hidden, or no user's own file"
        elif entry.is_dir():
            real = os.path.realpath(entry.path)
            if entry.is_symlink():
                links.append(path)
            elif real not in seen:
                seen.add(real)
                _walk(found, path, seen, links)
        elif entry.is_file():
            found.files.append(path)
        else:
            found.passed[str(path)] = "a link that leads nowhere" if entry.is_symlink() else "neither file nor folder"


def _drop_twice(found: Listing) -> None:
    """Of a file under several names keep one, that which is no link if there is such a one."""
    links = [path for path in found.files if (found.root / path).is_symlink()]
    if not links:
        return
    kept = {os.path.realpath(found.root / path): path for path in set(found.files) - set(links)}
    for path in sorted(links):
        first = kept.setdefault(os.path.realpath(found.root / path), path)
        if first != path:
            found.files.remove(path)
            found.passed[str(path)] = f"a link to {first}, which is read already"


def _utf8(name: str, folder: Path) -> str:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        shown = os.fsencode(name).decode("utf-8", "backslashreplace")
        raise DataError(f"{folder}: the name {shown} is not UTF-8. Rename it.") from error
    return name
