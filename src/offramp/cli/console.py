"""Where verbs print their tables: a terminal of its width, or a file. What they print is text, and no markup."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table


class Printer(Console):
    """rich's, but that `[v2]` and `:car:` stay what a user called a file or a class, and a closed pipe an error."""

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, markup=False, emoji=False)

    def on_broken_pipe(self) -> None:
        """Called while the error is handled, with the lines that did not go out still kept."""
        self._buffer.clear()
        raise  # noqa: PLE0704


console = Printer()
if not console.is_terminal:  # in a file or a pipe there is no width to keep to, and a cut number is no number
    console = Printer(width=140)


def print_choice(table: Table, rows: Sequence[tuple[str, ...]], sentences: Iterable[str]) -> None:
    """What was looked at in a table, the last row apart, which is the choice, and what is said of it."""
    for row in rows[:-1]:
        table.add_row(*row)
    table.add_section()
    table.add_row(*rows[-1])
    console.print(table)
    for sentence in sentences:
        console.print(sentence, highlight=False)
