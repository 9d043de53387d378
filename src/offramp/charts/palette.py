"""The report's colours, by what they stand for, on light and on dark; and how matplotlib is set to use them.

Figures are drawn in the light colours. Inside the page each becomes a CSS variable, so that the reader's scheme
decides.
"""

from typing import Any, NamedTuple


class Shade(NamedTuple):
    """One colour on light and on dark ground."""

    light: str
    dark: str


# The light shades are all different: that is how a colour in a drawing is told to be this one.
PALETTE: dict[str, Shade] = {
    "ink": Shade("#1b2330", "#e8ecf2"),
    "muted": Shade("#5c6777", "#9ba7b6"),
    "rule": Shade("#dfe4ea", "#2b3441"),
    "paper": Shade("#fefefe", "#10151c"),
    "edge": Shade("#d9720b", "#f5a04f"),
    "cloud": Shade("#2b6cb8", "#6fabf2"),
    "overall": Shade("#707c8c", "#aab4c2"),
    "sem": Shade("#0a7c74", "#37c4b8"),
    "mem": Shade("#b8356f", "#f182b0"),
    "step1": Shade("#dd9c00", "#f2c54e"),
    "step2": Shade("#3a9a52", "#6dcc86"),
    "step3": Shade("#2481b3", "#5eb4e7"),
    "step4": Shade("#5d3b9f", "#b59bf3"),
    "exit1": Shade("#cf9a00", "#f0c34b"),
    "exit2": Shade("#93a012", "#c3d158"),
    "exit3": Shade("#4f9c41", "#84cf76"),
    "exit4": Shade("#16917f", "#48cbb5"),
    "exit5": Shade("#1c7ea6", "#58b9de"),
    "exit6": Shade("#3862b8", "#86a4f3"),
    "exit7": Shade("#5b46ab", "#ab92f5"),
    "exit8": Shade("#822c8a", "#d588de"),
}
STEPS = tuple(name for name in PALETTE if name.startswith("step"))  # of an ordered quantity, rising
EXITS = tuple(name for name in PALETTE if name.startswith("exit"))  # of the paper's eight


def exit_color(exit_: int) -> str:
    """The colour of an exit where each is a line of its own."""
    return EXITS[(exit_ - 1) % len(EXITS)]


def light(name: str) -> str:
    """The colour that figures are drawn in."""
    return PALETTE[name].light


def style() -> dict[str, Any]:
    """Give matplotlib's settings, for `matplotlib.rc_context`."""
    return {
        "font.family": ["DejaVu Sans"],  # comes with matplotlib: a picture is the same everywhere
        "font.size": 10,
        "text.color": light("ink"),
        "text.parse_math": False,  # a dollar sign in a name is a dollar sign
        "axes.titlesize": 10.5,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 9,
        "axes.titlecolor": light("ink"),
        "axes.labelcolor": light("muted"),
        "axes.labelsize": 9.5,
        "axes.edgecolor": light("rule"),
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "grid.color": light("rule"),
        "grid.linewidth": 0.8,
        "xtick.color": light("rule"),
        "ytick.color": light("rule"),
        "xtick.labelcolor": light("muted"),
        "ytick.labelcolor": light("muted"),
        "xtick.labelsize": 9.5,
        "ytick.labelsize": 9.5,
        "xtick.major.size": 0,
        "xtick.major.pad": 7,
        "ytick.major.size": 0,
        "lines.linewidth": 2,
        "lines.markersize": 5.5,
        "lines.solid_capstyle": "round",
        "legend.frameon": False,
        "legend.fontsize": 10,
        "legend.handlelength": 2.2,
        "figure.facecolor": light("paper"),
        "svg.fonttype": "none",  # text stays text: it can be searched, read aloud and copied
        "svg.hashsalt": "offramp",  # the same experiment gives the same bytes
    }
