"""What a shell offers for a value: the names that a verb knows. Nothing here imports torch: a user waits for it."""

from collections.abc import Callable, Iterable
from typing import get_args

# Those of train.recipe and train.regimes.settings, which import torch.
RECIPES = ("paper", "modern", "fast", "jpeg", "digits")
REGIMES = (
    "joint", "early", "late", "ramp", "mixed", "separate", "distill", "ensemble", "equilibrium", "project", "equalize",
    "fade", "equilibrium-distill", "mixed-distill", "early-distill", "early-ensemble",
)  # fmt: skip


def one_of(*names: str) -> Callable[[], list[str]]:
    """These names."""
    return lambda: list(names)


def list_of(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """One name more of a list like a,b: what is in it already stays, and is not offered again."""

    def more(incomplete: str) -> list[str]:
        before, comma, _ = incomplete.rpartition(",")
        return [f"{before}{comma}{name}" for name in names() if name not in before.split(",")]

    return more


def models() -> list[str]:
    """The paper's names of models of nine stages, as all presets have."""
    from offramp.artifacts.names import MEM, SEM, STANDARD

    return [STANDARD, *(f"{SEM}{k}" for k in range(1, 9)), MEM]


def presets() -> list[str]:
    """Sizes of networks."""
    from offramp.models.architecture import PRESETS

    return list(PRESETS)


def heads() -> list[str]:
    """Kinds of heads."""
    from offramp.models.architecture import Head

    return list(get_args(Head))


def codecs() -> list[str]:
    """How features cross."""
    from offramp.artifacts.codec import CODECS

    return list(CODECS)


def scores() -> list[str]:
    """How unsureness is measured."""
    from offramp.artifacts.plan import ScoreName

    return list(get_args(ScoreName))


def runtimes() -> list[str]:
    """What computes."""
    from offramp.artifacts.engine import RUNTIMES

    return ["auto", *RUNTIMES]


def precisions() -> list[str]:
    """In which numbers."""
    from offramp.artifacts.engine import PRECISIONS

    return ["auto", *PRECISIONS]


def splits() -> list[str]:
    """Parts of a data set."""
    from offramp.data.image_set import SPLITS

    return list(SPLITS)


def scenarios() -> list[str]:
    """When a load's next query goes."""
    from offramp.artifacts.scenario import ScenarioName

    return list(get_args(ScenarioName))


def links() -> list[str]:
    """Links that have a name."""
    from offramp.link.shape import PRESETS

    return list(PRESETS)


def sections() -> list[str]:
    """Parts of a reproduction."""
    from offramp.paper.setups import SECTIONS

    return list(SECTIONS)


def pretrained() -> list[str]:
    """Networks that come with the package."""
    from offramp.artifacts.pretrained import known

    return known()
