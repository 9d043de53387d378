"""A suite in words: its conditions, its one-sentence finding, and the table of MEM minus SEM."""

from pathlib import Path
from typing import NamedTuple

from offramp.artifacts.names import STANDARD
from offramp.artifacts.suite import Suite
from offramp.exits.sampling import difference_error
from offramp.report import seeds
from offramp.report.published import NOTHING, Published
from offramp.report.seeds import Spread

NONE = "–"
JOINT = "joint"  # the regime that is the paper's


class Differences(NamedTuple):
    """MEM under a regime minus SEM under another, at every local exit."""

    regime: str
    against: str
    cells: tuple[str, ...]
    worst: str  # the lowest mean of the row


def suite_conditions(suite: Suite) -> dict[str, str]:
    """Name every condition of the trainings."""
    settings, recipe = suite.settings, suite.settings.recipe
    hours = sum(run.seconds for run in suite.runs) / 3600
    rates = [run.images_per_second for run in suite.runs]
    return {
        "Data": f"{Path(settings.data).name}, {suite.test_samples:,} test samples",
        "Network": f"preset {settings.preset}, {settings.head} heads"
        + "".join(f", {width} channels at boundary {at}" for at, width in settings.bottlenecks.items()),
        "Recipe": f"{recipe['name']}, {recipe['epochs']} epochs, batches of {recipe['batch_size']}, learning rate "
        f"{recipe['learning_rate']:g}, {recipe['schedule']}",
        "Seeds": ", ".join(map(str, sorted({run.key.seed for run in suite.runs}))) or NONE,
        "Regimes": ", ".join(settings.regimes) + f"; SEMs under {seeds.baseline(suite)} alone" * (not settings.cross),
        "Hardware": ", ".join(sorted({run.hardware for run in suite.runs})) or NONE,
        "Training": f"{hours:.2f} h, {min(rates):,.0f} to {max(rates):,.0f} images/s" if rates else NONE,
        "Commit": ", ".join(sorted({run.commit for run in suite.runs})) or NONE,
        "Finished": f"{len(suite.runs)} of {len(settings.planned())} runs",
    }


def suite_in_short(suite: Suite) -> list[str]:
    """The conditions that a figure carries with it."""
    named = suite_conditions(suite)
    parts = [named[name] for name in ("Data", "Network", "Recipe", "Hardware")]
    return [*parts, f"seeds {named['Seeds']}", f"commit {named['Commit']}"]


def difference_rows(suite: Suite) -> list[Differences]:
    """A row a regime of MEM; where SEMs were trained under that regime too, one more against those."""
    rows = []
    for regime in seeds.regimes(suite):
        for against in dict.fromkeys((seeds.baseline(suite), regime)):
            apart = seeds.differences(suite, regime, against)
            if apart:
                cells = tuple(signed(apart.get(exit_)) for exit_ in seeds.local_exits(suite))
                rows.append(
                    Differences(regime, against, cells, f"{min(spread.mean for spread in apart.values()):+.2f}")
                )
    return rows


def suite_finding(suite: Suite, beside: Published = NOTHING) -> str:
    """Say what many exits cost under the first regime, and which regime costs least, whichever way it turned out."""
    first = seeds.baseline(suite)
    apart = {regime: found for regime in seeds.regimes(suite) if (found := seeds.differences(suite, regime, first))}
    if first not in apart:
        return "Nothing was trained that could be compared."
    worst = {regime: min(spread.mean for spread in found.values()) for regime, found in apart.items()}
    best = next(regime for regime in seeds.ranked(suite) if regime in worst)
    exits, n = len(apart[first]), max(spread.n for spread in apart[first].values())
    scope = f"{exits} exit{'s' * (exits != 1)}, {f'{n} seeds, mean' if n > 1 else 'one seed'}"
    papers = beside.claims and beside.comparable  # of other data its claims are questions, and no headline
    trained = f"Trained as in the paper ({first})" if papers and first == JOINT else f"Under {first}"
    sentence = f"{trained}, many exits cost at worst {_cost(worst[first])} ({scope})"
    if best != first:
        sentence += f"; under {best}, the best of {len(worst)} regimes on the validation samples, at worst "
        sentence += _cost(worst[best])
    elif len(worst) > 1:
        sentence += "; no other regime does better on the validation samples"
    held = [claim for claim in beside.claims or () if papers and claim.regime == first]
    failing = [claim for claim in held if not claim.holds]
    if failing:
        sentence += (
            f". Under {first}, {len(failing)} of {len(held)} claims of the paper did not hold here, "
            f"{sum(claim.settled for claim in failing)} of them in every one of several seeds"
        )
    return sentence + "."


def sampling_sentence(suite: Suite) -> str | None:
    """Say how far the choice of test samples alone may move a difference at one exit."""
    first = seeds.baseline(suite)
    one, other = seeds.sem_edge(suite, first), seeds.mem_edge(suite, first)
    pairs, n = [(one[k].mean / 100, other[k].mean / 100) for k in one if k in other], suite.test_samples
    if not pairs or not n:
        return None
    error = max(100 * difference_error(mine, n, against, n) for mine, against in pairs)
    return (
        f"Two standard errors of a difference at one exit over {n:,} samples are at most {error:.2f} "
        "points in one seed, the two models taken as independent."
    )


def standard_sentence(suite: Suite) -> str | None:
    """Say what the network without local exits reaches."""
    spread = Spread.of(list(seeds.edge(suite, STANDARD, seeds.baseline(suite), None).values()))
    return None if spread is None else f"The standard network, without local exits, reaches {percents(spread)}."


def signed(spread: Spread | None) -> str:
    """A difference in points with its spread over seeds."""
    if spread is None:
        return NONE
    return f"{round(spread.mean, 2) + 0.0:+.2f}" + (f" [{spread.low:+.2f}, {spread.high:+.2f}]" if spread.n > 1 else "")


def percents(spread: Spread | None) -> str:
    """An accuracy with its spread over seeds."""
    if spread is None:
        return NONE
    return f"{spread.mean:.2f} %" + (f" [{spread.low:.2f}, {spread.high:.2f}]" if spread.n > 1 else "")


def _cost(worst: float) -> str:
    return f"{-worst:.2f} points at an exit" if worst < 0 else f"nothing ({worst:+.2f} points at the least)"
