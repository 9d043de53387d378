"""Balances: how the losses' weights are spread over the exits, and how that changes while training.

The paper weights all losses equally (section 3.2) and leaves other weights to future work. Weights of `early` and
`late` have the mean 1, as equal weights have: the balance changes and not the size of the step.
"""

from typing import Literal

Balance = Literal["even", "early", "late", "ramp", "fade"]
# BranchyNet (Teerapittayanon, McDanel & Kung 2016) trains its two-branch networks with 1.0 at the branch and 0.3 at the
# end, and gains over equal weights. Here the line between the two.
HEAVY, LIGHT = 1.0, 0.3
RAMP = 0.5  # share of the training after which a ramp's weights are equal
FADED = 0.1  # what a fading balance ends at: at nothing, heads would be left behind by the stages under them


def factors(balance: Balance, exits: tuple[int, ...], progress: float) -> dict[int, float]:
    """Give each exit's factor after a share `progress` in [0, 1) of the training.

    With m exits, the i-th of them (from 0) gets: `even` 1; `early` proportional to 1.0 - 0.7 i / (m - 1); `late` the
    same from behind; `ramp` min(1, progress / 0.5) before the last exit and 1 at it, so that the backbone comes first
    and local exits join in; `fade` 1 - 0.9 progress before the last exit and 1 at it, so that local exits lead the
    stages at first (Lee et al., "Deeply-Supervised Nets", 2015, section 2.2) and leave the end to the last one.

    >>> factors("ramp", (2, 9), 0.25)
    {2: 0.5, 9: 1.0}
    """
    match balance:
        case "even":
            return dict.fromkeys(exits, 1.0)
        case "ramp":
            return dict.fromkeys(exits, min(1.0, progress / RAMP)) | {exits[-1]: 1.0}
        case "fade":
            return dict.fromkeys(exits, 1 - (1 - FADED) * progress) | {exits[-1]: 1.0}
        case "early" | "late":
            line = [HEAVY - (HEAVY - LIGHT) * i / max(1, len(exits) - 1) for i in range(len(exits))]
            mean = sum(line) / len(line)
            ordered = line if balance == "early" else line[::-1]
            return {exit_: weight / mean for exit_, weight in zip(exits, ordered, strict=True)}
