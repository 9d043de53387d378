"""What an experiment was measured under, in words: in full for the page, in short for a figure."""

from collections.abc import Iterable

from offramp.artifacts.experiment import Experiment
from offramp.report.families import as_in_the_paper


def conditions(experiment: Experiment) -> dict[str, str]:
    """Name every condition; where measurements differ in one, all its values are named."""
    of = [m.conditions for m in experiment.measurements]
    dates = sorted({c.date for c in of})
    return {
        "Data": f"{experiment.data}, {experiment.test_samples:,} test samples",
        "Network": f"preset {experiment.preset}, {len(experiment.models)} models",
        "Training": f"recipe {experiment.recipe}, {experiment.epochs} epochs, seed {experiment.seed}",
        "Hardware": _all(c.hardware for c in of),
        "Cores": _all(str(c.cores) for c in of),
        "Batch size": _all(str(c.batch_size) for c in of),
        "Link": _all(c.link for c in of),
        "Runtime": _all(c.runtime for c in of),
        "Type": _all(c.dtype for c in of),
        "Cut": _all(
            "at the exit, fp32 features" if as_in_the_paper(m) else f"at boundary {m.cut}, {m.codec}"
            for m in experiment.measurements
        ),
        "Commit": _all(c.commit for c in of),
        "Measured": " to ".join(dict.fromkeys((dates[0], dates[-1]))) if dates else "nothing",
        "Duration": f"{experiment.seconds:,.0f} s for everything",
        "Agreement with offline evaluation": agreement(experiment),
    }


def agreement(experiment: Experiment) -> str:
    """Say how the running nodes' answers were held against the offline evaluation's."""
    held = experiment.agreement
    if not held.compared:
        return "not checked"
    differing = "none differs" if held.differing == 0 else f"{held.differing:,} DIFFER"
    return f"{held.compared:,} answers compared, {differing}; {held.ties:,} ties left out (score within 1e-5 of T)"


def in_short(experiment: Experiment) -> list[str]:
    """The conditions that a figure carries with it wherever it is copied."""
    named = conditions(experiment)
    if not experiment.measurements:
        return [named["Data"], named["Training"]]
    return [
        named["Data"],
        f"batch {named['Batch size']}",
        f"link: {named['Link']}",
        f"{named['Hardware']}, cores: {named['Cores']}",
        f"{named['Runtime']} {named['Type']}",
        f"seed {experiment.seed}",
        f"commit {named['Commit']}",
    ]


def _all(values: Iterable[str]) -> str:
    return ", ".join(sorted(set(values))) or "–"
