"""Names as their user wrote them: what is printed is no markup."""

from rich.table import Table

from offramp.cli.console import Printer


def test_what_looks_like_markup_is_printed_as_it_is() -> None:
    """In a line, in a title and in a cell, parsed or not."""
    printer = Printer(width=60)
    table = Table("class", title="runs/odd[v2]")
    table.add_row("[/red] :car:")
    with printer.capture() as shown:
        printer.print("data/[bold]:smile:[/x].npz")
        printer.print(table)
    for name in ("data/[bold]:smile:[/x].npz", "runs/odd[v2]", "[/red] :car:"):
        assert name in shown.get()
