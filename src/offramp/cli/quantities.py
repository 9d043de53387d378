"""Quantities as they are typed: times with their unit, shares in percent, amounts of bytes."""

import re

from offramp.errors import InputError


def milliseconds(what: str, text: str | None, unit: float = 1.0) -> float | None:
    """Read a time like 50ms or 2s, in milliseconds times `unit`."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(ms|s)", text)
    if found is None:
        raise InputError(f"{what} {text!r}: expected a time like 50ms or 2s.")
    return float(found[1]) * {"ms": 1.0, "s": 1000.0}[found[2]] * unit


def share(what: str, text: str | None) -> float | None:
    """Read a share like 1% or 0.01, in [0, 1].

    >>> share("max loss", "1%"), share("confidence", "0.95")
    (0.01, 0.95)
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(%?)", text)
    if found is None or (value := float(found[1]) / (100 if found[2] else 1)) > 1:
        raise InputError(f"{what} {text!r}: expected a share like 1% or 0.01.")
    return round(value, 12)


def amount(what: str, text: str) -> int:
    """Read an amount like 2GB or 500MB, in bytes.

    >>> amount("cache-most", "2GB"), amount("cache-most", "0")
    (2000000000, 0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMG]?)B?", text)
    if found is None:
        raise InputError(f"{what} {text!r}: expected an amount like 2GB or 500MB.")
    return int(float(found[1]) * {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}[found[2]])
