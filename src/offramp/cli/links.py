"""The verb link: the link between two nodes."""

from typing import Annotated

import typer

from offramp.cli import completion
from offramp.cli.frame import app
from offramp.cli.options import Host
from offramp.errors import InputError


@app.command()
def link(
    shape: Annotated[
        str,
        typer.Argument(
            help="lan, wifi, lte, 3g, satellite, or like 10mbit,20ms: rate, delay …", autocompletion=completion.links
        ),
    ],
    to: Annotated[str | None, typer.Option(help="HOST:PORT that is reached over the link.")] = None,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port where it begins; 0 chooses a free one.")] = 0,
    interface: Annotated[
        str | None, typer.Option(help="Instead of --to: shape what leaves by this interface, in the kernel (tc).")
    ] = None,
    direction: Annotated[
        str,
        typer.Option(
            help="With --interface: up where the edge sends, down where the cloud.",
            autocompletion=completion.one_of("up", "down"),
        ),
    ] = "up",
) -> None:
    """Be a link: forward what comes to a port, with the link's rate, delay, jitter and loss."""
    from offramp.link.kernel import run_shaped
    from offramp.link.shape import LinkShape
    from offramp.link.shaper_process import run_link

    if (to is None) == (interface is None):
        raise InputError("link: say where it leads, --to HOST:PORT, or which interface it is, --interface NAME.")
    if to is not None:
        run_link(LinkShape.parse(shape), to, host, port)
    elif interface is not None:
        run_shaped(LinkShape.parse(shape), interface, direction)
