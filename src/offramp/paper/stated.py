"""The paper's own numbers, as far as its text states them (CIFAR-10, 2,000 epochs, one seed), each with its section.

The figures give more as drawings; what is only drawn there is not guessed at here. Accuracies and shares are in
percent, latencies in milliseconds.
"""

from typing import Literal, NamedTuple

from offramp.artifacts.outcome import Over

Quantity = Literal[
    "forwarded",  # share of the test samples that did not leave at the local exit
    "edge accuracy",
    "cloud accuracy",
    "overall accuracy",
    "overall latency",
    "all at the local exit",  # accuracy with every test sample answered there
    "all at the last exit",
]

THRESHOLDS = (0.1, 0.3, 0.5, 0.8)
THRESHOLD = 0.3  # of sections 4.2 and 4.3, and of Figures 5 and 6
TEST_SAMPLES = 10_000


class Stated(NamedTuple):
    """One number of the paper's text. SEM at an exit is the model with that exit alone; MEM has it active alone."""

    family: Literal["SEM", "MEM"]
    exit: int | None  # None: whichever is active
    quantity: Quantity
    value: float
    section: str


STATED = (
    Stated("SEM", 1, "edge accuracy", 87.20, "4.2"),
    Stated("SEM", 8, "edge accuracy", 95.24, "4.2"),
    Stated("SEM", 8, "forwarded", 100 * 861 / TEST_SAMPLES, "4.2"),
    Stated("SEM", 1, "cloud accuracy", 88.51, "4.2"),
    Stated("SEM", 2, "cloud accuracy", 86.13, "4.2"),
    Stated("SEM", 8, "cloud accuracy", 58.07, "4.2"),
    Stated("SEM", 3, "overall accuracy", 86.04, "4.2"),  # the worst of eight
    Stated("SEM", 8, "overall accuracy", 92.04, "4.2"),  # the best
    Stated("SEM", 5, "overall latency", 3.795, "4.2"),  # the shortest
    Stated("MEM", 2, "overall accuracy", 84.31, "4.3"),  # the worst
    Stated("MEM", 8, "overall accuracy", 86.10, "4.3"),  # the best
    Stated("MEM", 3, "overall latency", 4.82, "4.3"),  # the shortest
    Stated("MEM", 5, "overall latency", 4.886, "4.3"),
    Stated("SEM", 2, "all at the local exit", 72.65, "4.5"),
    Stated("MEM", 2, "all at the local exit", 64.59, "4.5"),
    Stated("SEM", 3, "all at the local exit", 77.76, "4.5"),
    Stated("MEM", 4, "all at the local exit", 76.06, "4.5"),
    Stated("SEM", 6, "all at the local exit", 88.92, "4.5"),
    Stated("SEM", 7, "all at the local exit", 90.98, "4.5"),
    Stated("SEM", 7, "all at the last exit", 92.10, "4.5"),
    Stated("MEM", None, "all at the last exit", 88.58, "4.5"),
)

# Table 1, by what a recipe calls it.
TRAINING: dict[str, float] = {
    "learning_rate": 0.1,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "batch_size": 32,
    "epochs": 2_000,
}
TRAINING_SAMPLES = 50_000

# Section 4.1.
TRAINED_ON = "Nvidia GeForce 1080Ti"

ACCURACY: dict[Over, Quantity] = {"edge": "edge accuracy", "cloud": "cloud accuracy", "overall": "overall accuracy"}


def stated(family: str, quantity: Quantity) -> dict[int, float]:
    """What is stated of a quantity of SEM or of MEM, by exit."""
    return {s.exit: s.value for s in STATED if (s.family, s.quantity) == (family, quantity) and s.exit is not None}


# Section 4.5, Figure 10: every test sample at every exit at the end of training, by exit.
SEM_EDGE = stated("SEM", "all at the local exit")
SEM_CLOUD = stated("SEM", "all at the last exit")
MEM_EDGE = stated("MEM", "all at the local exit")
MEM_CLOUD = next(s.value for s in STATED if s.family == "MEM" and s.quantity == "all at the last exit")

# Sections 4.2 and 4.3, by the exit that is active.
SEM_OVERALL = stated("SEM", "overall accuracy")
MEM_OVERALL = stated("MEM", "overall accuracy")

# Average multiply-adds a sample, in millions, and accuracy: L2W-DEN (arXiv 2209.08310) on MSDNet, budgeted, CIFAR-10.
BUDGETED = ((18.0, 94.0), (21.0, 94.5), (30.0, 94.75))
BUDGETED_NAME = "L2W-DEN on MSDNet (published)"
