"""A figure with everything in it that a page rewrites or a script reads."""

from offramp.charts.panels import bars, from_zero, line, over_exits, percentages, write_values
from offramp.charts.sheet import Figure, legend, sheet

EXITED = {1: 12, 2: 160, 3: 301}
ACCURACY = {
    "edge": {1: None, 2: 91.25, 3: 93.5},
    "cloud": {1: 88.0, 2: 81.125, 3: 64.0},
    "overall": {1: 88.0, 2: 90.5, 3: 92.75},
}


def example_figure() -> Figure:
    """Bars; and a line a tier, one broken, one with a hollow mark, one behind; in two panels and with their legend."""
    exits = (1, 2, 3)
    with sheet(["by whom", "when"], "What exits, and how right it is", 1, 2, (8, 4), note="a note") as (drawn, panels):
        over_exits(panels[0], exits, "(A) exited")
        bars(panels[0], EXITED, color="edge", label="_exited")
        write_values(panels[0], EXITED, "{:,.0f}")
        from_zero(panels[0], [EXITED])
        over_exits(panels[1], exits, "(B) accuracy (%)")
        for tier, values in ACCURACY.items():
            few = {3} if tier == "cloud" else ()
            line(panels[1], exits, values, color=tier, label=tier, few=few, behind=tier == "overall")
        percentages(panels[1], list(ACCURACY.values()))
        legend(drawn, panels)
    return drawn
