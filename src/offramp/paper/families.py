"""The paper's two kinds of models, and how it writes their names."""

import re
from enum import StrEnum


class Family(StrEnum):
    """SEM-k has one local exit, at k; MEM has all of them, and one is active at a time."""

    SEM = "SEM"
    MEM = "MEM"


def label(model: str) -> str:
    """A model's name as the paper writes it; other names as they are.

    >>> label("sem-3"), label("mem"), label("exits-2-5")
    ('SEM-3', 'MEM', 'exits-2-5')
    """
    return model.upper() if re.fullmatch(r"sem-\d+|mem", model) else model
