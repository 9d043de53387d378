"""What each figure shows and under what conditions, in words."""

from offramp.paper.experiment import Experiment
from offramp.paper.families import Family, label, main_threshold, measured, models, thresholds

STATED = "Stars: the numbers that the paper's text states"
OPEN_CAPTIONS = {
    "baselines": "Each mark is a deployment over the link that the column names: overall accuracy above, bytes over "
    "the link spread over all samples below, both against the median latency over all samples. Left and high is good, "
    "and in the lower row, left and low.",
    "drop": "What a drop threshold does, by exit. A sample whose score is above it is answered at the edge and marked "
    "dropped instead of being sent on; such answers count in the overall accuracy alone.",
    "cores": "Median latency by exit, the edge held to a share of the machine's cores. At the left end everything is "
    "sent to the cloud, at the right end the whole network runs at the edge. Whiskers: lowest to highest repeat.",
    "bandwidth": "Left: median latency over all samples by the rate of the link between edge and cloud, both axes "
    "logarithmic. Right: the fastest at each rate, and hollow those that the repeats' spread does not tell from it.",
    "reply": "The same exits with the cloud's answers sent straight to the client, and through the edge: median "
    "latency of what the cloud answers, and of all samples. Whiskers: lowest to highest repeat.",
}


def caption(name: str, experiment: Experiment) -> str:
    """Give a figure's caption; `name` is a key of `offramp.report.figures.FIGURES`."""
    texts = {
        "summary": _summary,
        "figure-5": lambda e: _tiers(e, Family.SEM),
        "figure-6": lambda e: _tiers(e, Family.MEM),
        "figure-7": lambda e: _thresholds(e, Family.SEM),
        "figure-8": lambda e: _thresholds(e, Family.MEM),
        "figure-9": _training,
        "figure-10": _all_samples,
    }
    return texts[name](experiment)


def _summary(experiment: Experiment) -> str:
    return (
        f"SEM (solid) and MEM (dotted) at T = {main_threshold(experiment):g}, by the exit that is active: the share of "
        "the test samples answered at the edge, how many of these answers are right, and the median latency over all "
        "samples, wherever they were answered. "
        f"{_shares(experiment, Family.SEM)}{_shares(experiment, Family.MEM)}{_run(experiment)}"
    )


def _tiers(experiment: Experiment, family: Family) -> str:
    return (
        f"{_who(experiment, family)} at T = {main_threshold(experiment):g}. A: how many of the "
        f"{experiment.test_samples:,} test samples left at the local exit. B: accuracy over the samples answered at "
        "the edge, at the cloud, and over all. C: median latency of the same samples; where the broad band lies on the "
        f"edge's line, more than half of the samples left there. {_shares(experiment, family)}{_run(experiment)}"
    )


def _thresholds(experiment: Experiment, family: Family) -> str:
    steps = ", ".join(f"{step:g}" for step in thresholds(experiment))
    return (
        f"{_who(experiment, family)} at T = {steps}: the share of the {experiment.test_samples:,} test samples that "
        "left at the local exit, median latency over all samples, bytes sent to the cloud spread over all samples, and "
        "the accuracy of edge, cloud and all. The higher T, the more samples leave. "
        f"{_run(experiment)}"
    )


def _training(experiment: Experiment) -> str:
    return (
        "Accuracy of every exit over all validation samples after each epoch, a panel an exit: SEM solid, MEM dotted. "
        f"The numbers are those after the last epoch. {_recipe(experiment)}"
    )


def _all_samples(experiment: Experiment) -> str:
    return (
        f"Accuracy when all {experiment.test_samples:,} test samples are answered at one exit, none of them leaving "
        "before. Bars: the local exit. Lines: the cloud exit of the same model. Computed from the exported models' "
        f"logits, without nodes. {_recipe(experiment)}"
    )


def _who(experiment: Experiment, family: Family) -> str:
    if family is Family.MEM:
        return "MEM, one of its local exits active at a time,"
    names = [label(model.model) for _, model in sorted(models(experiment, family).items())]
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"


def _shares(experiment: Experiment, family: Family) -> str:
    found = measured(experiment, family, main_threshold(experiment))
    if len(found) < 2:
        return ""
    first, last = (f"{100 * m.outcome.local / m.outcome.n:.0f} %" for m in (found[min(found)], found[max(found)]))
    return f"{family}: {first} leave at exit {min(found)}, {last} at exit {max(found)}. "


def _run(experiment: Experiment) -> str:
    of = [m.conditions for m in experiment.measurements]
    sizes, links = sorted({c.batch_size for c in of}), sorted({c.link for c in of})
    return f"Batches of {', '.join(map(str, sizes))}; link: {', '.join(links)}." if of else ""


def _recipe(experiment: Experiment) -> str:
    return f"Recipe {experiment.recipe}, {experiment.epochs} epochs, seed {experiment.seed}."
