"""Where verbs print their tables: a terminal of its width, or a file."""

from rich.console import Console


class Printer(Console):
    """rich's, but that a pipe whose reader is gone stays an error."""

    def on_broken_pipe(self) -> None:
        """Called while the error is handled, with the lines that did not go out still kept."""
        self._buffer.clear()
        raise  # noqa: PLE0704


console = Printer()
if not console.is_terminal:  # in a file or a pipe there is no width to keep to, and a cut number is no number
    console = Printer(width=140)
