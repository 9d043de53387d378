"""Evaluations in words: the cells of their table, in a terminal and on the page alike. Draws nothing."""

from collections.abc import Sequence
from pathlib import Path

from offramp.artifacts.outcome import LAST_TIER, OVERALL, Over
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.exits.classes import ByClass
from offramp.exits.evaluation import Evaluated, accuracy_at
from offramp.exits.sampling import wilson

NONE = "–"
OVER: tuple[Over, ...] = ("edge", "cloud", "overall")
COLUMNS = ("exit", "T", "exited", "forwarded", "dropped", *(f"{over} %" for over in OVER), "forwarded, by exit %")
SAYS = (
    "in brackets the 95 % interval of an accuracy (Wilson); by exit: of the samples that are left to the cloud, how "
    "many each exit has right, and so what the edge's own answers are worth where the cloud is lost"
)


def accuracy(share: float | None, of: int) -> str:
    """An accuracy in percent with its interval, kept together; a dash where there are no samples."""
    if share is None or not of:
        return NONE
    low, high = wilson(share, of)
    return f"{100 * share:.2f} [{100 * low:.1f},\u00a0{100 * high:.1f}]"


def cells(found: Evaluated) -> tuple[str, ...]:
    """A plan's row under COLUMNS."""
    tiers, outcome, last = found.plan.tiers, found.outcome, max(found.forwarded, default=0)
    exits = [one.exit for part in tiers.values() for one in part.active]
    shown = {k: share for k, share in found.forwarded.items() if k in (*exits, last)}
    local = [tier for tier in tiers if tier != LAST_TIER]
    rights = {tier: accuracy(outcome.right(tier), outcome.count(tier)) for tier in local}
    answered = [f"{tier} {outcome.count(tier)}" for tier in local] if len(local) > 1 else [str(outcome.local)]
    return (
        _by_tier([", ".join(str(one.exit) for one in part.active) for part in tiers.values()]),
        _by_tier([", ".join(f"{one.threshold:g}" for one in part.active) for part in tiers.values()]),
        ", ".join(answered),
        *map(str, (outcome.count(LAST_TIER), outcome.dropped)),
        ", ".join(f"{tier} {right}" for tier, right in rights.items()) if len(local) > 1 else rights.get("edge", NONE),
        *(accuracy(outcome.right(over), outcome.count(over)) for over in OVER[1:]),
        " ".join(f"{k}:{100 * share:.1f}" for k, share in shown.items()) or NONE,
    )


def _by_tier(said: list[str]) -> str:
    """What each tier of a chain has, in its order."""
    return " | ".join(one or NONE for one in said)


def intervals(found: Evaluated) -> dict[str, tuple[float, float]]:
    """The 95 % interval of every accuracy of an outcome, in [0, 1], by tier and `overall`."""
    outcome = found.outcome
    shares = {over: outcome.right(over) for over in (*outcome.answered, OVERALL)}
    return {over: wilson(share, outcome.count(over)) for over, share in shares.items() if share is not None}


def everyone(predictions: Predictions) -> dict[int, str]:
    """The accuracy of each exit over all samples."""
    return {k: accuracy(accuracy_at(predictions, k), len(predictions)) for k in predictions.header.exits}


def evaluation_conditions(predictions: Predictions) -> dict[str, str]:
    """What was measured, on what."""
    header = predictions.header
    return {
        "Samples": f"{len(predictions):,} of {Path(header.data).name} ({header.split})",
        "Network": f"{header.model}, {header.source[:24]}",
        "Route": header.route,
        "Computed by": f"{header.release or header.runtime} {header.precision}",
        "Hardware": header.hardware or "a processor that is not known",
    }


def plan_name(plan: Plan) -> str:
    """A plan by its exits and thresholds."""
    active = ", ".join(f"exit {one.exit} at T = {one.threshold:g}" for one in plan.active)
    return active or f"no local exit, cut at {plan.cut}"


def evaluation_finding(predictions: Predictions, found: Sequence[Evaluated]) -> str:
    """Say what one plan comes to, or of several how right the network's end is."""
    (plan, _, outcome, forwarded), n, last = found[0], len(predictions), predictions.last
    if not n:
        return "There are no samples."
    if len(found) > 1:
        return f"{len(found)} plans. Every sample at exit {last}: {everyone(predictions)[last]} % right."
    sentence = (
        f"{plan_name(plan)}: {accuracy(outcome.overall, n)} % right, {100 * outcome.local / n:.1f} % at the edge."
    )
    if plan.active and plan.exit in forwarded:
        share = 100 * forwarded[plan.exit]
        sentence += f" Of what is left to the cloud, exit {plan.exit} alone would have {share:.1f} % right."
    return sentence[0].upper() + sentence[1:]


def class_cells(counted: ByClass, names: Sequence[str], row: int, *, local: bool) -> list[str]:
    """A class's row: how many samples, how right; `local`: how many left before the cloud; and the worst mistake."""
    n, right, left, left_right = (
        int(counts[row]) for counts in (counted.n, counted.right, counted.local, counted.local_right)
    )
    others = counted.confusion[row].copy()
    others[row] = 0
    taken = int(others.argmax())
    at_edge = [f"{left:,}", f"{100 * left / n:.1f}" if n else NONE, accuracy(left_right / left if left else None, left)]
    return [
        names[row],
        f"{n:,}",
        accuracy(right / n if n else None, n),
        *(at_edge if local else []),
        f"{names[taken]} ({others[taken]:,})" if others[taken] else NONE,
    ]
