"""How far the choice of test samples alone may move what is measured on them."""

from math import sqrt


def difference_error(one: float, of_one: int, other: float, of_other: int) -> float:
    """Two standard errors of the difference of two shares in [0, 1], each over as many samples as stand beside it.

    Binomial, the two taken as independent: for shares of the same samples an upper bound.
    """
    return 2 * sqrt(one * (1 - one) / of_one + other * (1 - other) / of_other)
