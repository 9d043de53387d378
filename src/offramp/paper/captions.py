"""What each figure shows and under what conditions, in words."""

from offramp.paper.conditions import training
from offramp.paper.families import Family, label
from offramp.paper.reproduced import links
from offramp.paper.view import View, as_in_the_paper, by_exit

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


def caption(name: str, view: View) -> str:
    """Give a figure's caption; `name` is a key of `offramp.paper.figures.FIGURES`."""
    n, at = f"{view.reproduction.test_samples:,}", f"at T = {view.main_threshold:g}"
    family = Family.SEM if name in ("figure-5", "figure-7") else Family.MEM
    recipe = f"R{training(view.reproduction)[1:]}."
    if name == "summary":
        return (
            f"SEM (solid) and MEM (dotted) {at}, by the exit that is active: the share of the test samples answered at "
            "the edge, how many of these answers are right, and the median latency over all samples, wherever they "
            f"were answered. {_shares(view, Family.SEM)}{_shares(view, Family.MEM)}{_run(view)}"
        )
    if name in ("figure-5", "figure-6"):
        return (
            f"{_who(view, family)} {at}. A: how many of the {n} test samples left at the local exit. B: accuracy over "
            "the samples answered at the edge, at the cloud, and over all. C: median latency of the same samples; "
            "where the broad band lies on the edge's line, more than half of the samples left there. "
            f"{_shares(view, family)}{_run(view)}"
        )
    if name in ("figure-7", "figure-8"):
        return (
            f"{_who(view, family)} at T = {', '.join(f'{step:g}' for step in view.thresholds)}: the share of the {n} "
            "test samples that left at the local exit, median latency over all samples, bytes sent to the cloud spread "
            "over all samples, and the accuracy of edge, cloud and all. The higher T, the more samples leave. "
            f"{_run(view)}"
        )
    if name == "figure-9":
        return (
            "Accuracy of every exit over all validation samples after each epoch, a panel an exit: SEM solid, MEM "
            f"dotted. The numbers are those after the last epoch. {recipe}"
        )
    return (
        f"Accuracy when all {n} test samples are answered at one exit, none of them leaving before. Bars: the local "
        "exit. Lines: the cloud exit of the same model. Computed from the exported models' logits, without nodes. "
        f"{recipe}"
    )


def _who(view: View, family: Family) -> str:
    if family is Family.MEM:
        return "MEM, one of its local exits active at a time,"
    names = [label(model.model) for _, model in sorted(view.models[family].items())]
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"


def _shares(view: View, family: Family) -> str:
    rows = by_exit(view, family, view.main_threshold)
    if len(rows) < 2:
        return ""
    first, last = (f"{100 * row.outcome.local / row.outcome.n:.0f} %" for row in (rows[min(rows)], rows[max(rows)]))
    return f"{family}: {first} leave at exit {min(rows)}, {last} at exit {max(rows)}. "


def _run(view: View) -> str:
    rows = as_in_the_paper(view.reproduction)
    batch = view.reproduction.conditions.batch_size
    return f"Batches of {batch}; link: {', '.join(sorted(links(rows)))}." if rows else ""
