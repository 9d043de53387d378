"""Servers of other makers, each run by the Python of an environment of its own, which knows nothing of offramp."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from offramp.errors import UnreachableError
from offramp.protocol.peer import Peer

SCRIPTS = Path(__file__).parents[1] / "system"
WAIT = 60.0  # seconds after which a test that hangs fails


def python_of(variable: str, package: str) -> str | None:
    """The Python that a variable of the environment names, else this one, if it has the package; None: there is none.

    The file itself and no link's target: by its own path a Python knows that it is a virtual environment's.
    """
    return os.environ.get(variable) or (sys.executable if find_spec(package) else None)


@contextmanager
def foreign_server(python: str, script: str, folder: Path, address: str, *arguments: str) -> Iterator[None]:
    """Run a script of `tests/system` in `folder` until it answers at `address`; stops it, and what it started."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [python, str(SCRIPTS / script), *arguments], stdout=log, stderr=log, cwd=folder, env=environment
        )
        try:
            with Peer(address) as client:
                try:
                    client.wait_ready(WAIT)
                except UnreachableError as error:
                    raise AssertionError((folder / "log").read_text()) from error
            yield
        finally:
            server.terminate()
            try:
                server.wait(WAIT)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(WAIT)
