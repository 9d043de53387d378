"""The bar of what takes long: on a terminal, and only once it has taken two seconds."""

import io

import pytest
from rich.console import Console

from offramp.progress import Bar, waiting
from terminal import Terminal


class Clock:
    """Moved by hand."""

    time = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.time


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")


def drawn(file: io.StringIO, seconds: float) -> Bar:
    """A bar that is told of something before and after so many seconds."""
    clock = Clock()
    with waiting(console=Console(file=file), now=clock) as bar:
        bar.at("reading train images", 0, 400)
        clock.time = seconds
        bar.at("reading train images", 100, 400)
        print("a result")
    return bar


def test_nothing_is_drawn_of_what_is_soon_over() -> None:
    """Under two seconds."""
    file = Terminal()
    drawn(file, 1.9)
    assert file.getvalue() == ""


def test_what_takes_longer_is_drawn_and_gone_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    """On one line, which is cleared: what is printed next stands where it stood."""
    file = Terminal()
    drawn(file, 2.1)
    assert capsys.readouterr().out == "a result\n"
    assert "a result" not in file.shown()
    assert "reading train images" in file.shown()
    assert "100/400" in file.shown()
    assert file.getvalue().rstrip().endswith("\x1b[2K")


def test_nothing_goes_into_a_file() -> None:
    """Of a pipe's reader it would be noise."""
    file = io.StringIO()
    drawn(file, 60.0)
    assert file.getvalue() == ""
