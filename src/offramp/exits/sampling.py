"""How far the choice of test samples alone may move what is measured on them."""

from math import sqrt

Z_95 = 1.959964  # of the normal distribution: 95 % lie between -z and z


def difference_error(one: float, of_one: int, other: float, of_other: int) -> float:
    """Two standard errors of the difference of two shares in [0, 1], each over as many samples as stand beside it.

    Binomial, the two taken as independent: for shares of the same samples an upper bound.
    """
    return 2 * sqrt(one * (1 - one) / of_one + other * (1 - other) / of_other)


def wilson(share: float, of: int) -> tuple[float, float]:
    """The 95 % interval of a share in [0, 1] of `of` samples, one at least: Wilson's (JASA 22, 1927), within [0, 1].

    >>> [round(end, 4) for end in wilson(0.9, 100)]
    [0.8256, 0.9448]
    """
    square = Z_95 * Z_95 / of
    middle, half = share + square / 2, Z_95 * sqrt(share * (1 - share) / of + square / (4 * of))
    return max(0.0, (middle - half) / (1 + square)), min(1.0, (middle + half) / (1 + square))
