"""What figures and tables take numbers over, and how they give them: shares and accuracies in percent.

None stands where no sample was answered: absent, not zero.
"""

from offramp.artifacts.outcome import Over

TIERS: tuple[Over, ...] = ("edge", "cloud", "overall")
FEW = 30  # an accuracy over fewer samples than this may well be chance


def percent(share: float | None) -> float | None:
    """A share as a percentage; None stays None."""
    return None if share is None else 100 * share
