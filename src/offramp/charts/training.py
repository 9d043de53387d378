"""A training: its loss and its learning rate over epochs. Knows nothing of what was trained."""

from collections.abc import Mapping, Sequence

from offramp.charts import panels as draw
from offramp.charts.sheet import Figure, sheet


def loss_and_rate(
    conditions: Sequence[str], title: str, losses: Mapping[int, float], rates: Mapping[int, float]
) -> Figure:
    """Draw both by epoch, each from zero."""
    with sheet(conditions, title, 1, 2, (9.6, 3.6), legend_rows=0) as (figure, panels):
        named = {
            "(A) loss, mean over the epoch": (losses, "mem"),
            "(B) learning rate, at the epoch's end": (rates, "sem"),
        }
        for panel, (name, (values, color)) in zip(panels, named.items(), strict=True):
            panel.set_title(name)
            panel.set_xlabel("epoch")
            draw.over_epochs(panel, values, color=color, label=name, dotted=False)
            draw.from_zero(panel, [values])
    return figure
