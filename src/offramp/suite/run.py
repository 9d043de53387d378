"""The suite: trains models under regimes and seeds, one after another, within a budget of time; and goes on later.

Each run is a folder with its checkpoint, log and predictions on the test set. `suite.json` sums up what is finished.
"""

import statistics
import time
from collections.abc import Sequence
from math import prod
from pathlib import Path

from rich.console import Console

from offramp.artifacts.data_record import POSITION, DataSource
from offramp.artifacts.model_result import TrainingPoint
from offramp.artifacts.names import parse_exits, parse_models
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.artifacts.suite import PREDICTIONS, SUITE, RunKey, Suite, SuiteRun, SuiteSettings, Tiered
from offramp.data.image_set import Splits
from offramp.data.load import load
from offramp.data.reading import READING
from offramp.errors import InputError, TrainingError
from offramp.exits.evaluation import accuracy_at, evaluate, route
from offramp.measure.predict import of_checkpoint
from offramp.models.architecture import preset
from offramp.models.checkpoint import CARD, Checkpoint, ModelCard
from offramp.models.count import count
from offramp.progress import waiting
from offramp.suite.budget import Clock, OutOfTimeError
from offramp.train.loop import LOG, Run, train
from offramp.train.observe import Observer, ProgressBar, read_log
from offramp.train.recipe import Recipe
from offramp.train.regimes.settings import REGIMES
from offramp.train.regimes.settings import regime as find_regime
from offramp.train.workers import size


def suite_settings(
    *,
    data: str | DataSource,
    preset_name: str,
    recipe: Recipe,
    models: str,
    regimes: str,
    seeds: str,
    head: str = "linear",
    bottlenecks: dict[int, int] | None = None,
    cross: bool = False,
) -> SuiteSettings:
    """Check what was typed and give the settings; an InputError says what is not known.

    `data` may be a source with what stands in for parts of it. `regimes` are names; the recipe's own regime, which a
    document may define, is known by its name too.
    """
    sizes = preset(preset_name)
    sizes.architecture((len(sizes.widths),), ("any",), head, bottlenecks)
    try:
        numbers = tuple(dict.fromkeys(int(seed) for seed in seeds.split(",")))
    except ValueError as error:
        raise InputError(f"seeds {seeds!r}: expected whole numbers like 0,1,2.") from error
    own = recipe.regime
    named = [name.strip() for name in regimes.split(",")]
    defined = {} if own.name in REGIMES else {own.name: own.model_dump(mode="json")}
    source = data if isinstance(data, DataSource) else DataSource(data=data)
    return SuiteSettings(
        data=source.data,
        source=None if source == DataSource(data=source.data) else source,
        reading=READING.read_as,
        preset=preset_name,
        head=head,
        bottlenecks=bottlenecks or {},
        recipe=recipe.model_dump(mode="json", exclude={"regime"}),
        models=parse_models(models, len(sizes.widths)),
        regimes=tuple(dict.fromkeys(name if name in defined else find_regime(name).name for name in named)),
        own_regimes={name: parts for name, parts in defined.items() if name in named},
        seeds=numbers,
        split="content",
        cross=cross,
    )


def run_suite(
    settings: SuiteSettings,
    out: Path,
    *,
    thresholds: Sequence[float] = (),
    clock: Clock,
    console: Console,
    threads: int | None = None,
) -> Suite:
    """Train what is left, as far as the clock's budget goes; give the suite with all that is finished.

    Each exit's measures are taken at every one of `thresholds`. `threads` are what the processor trains on; None leaves
    it to torch. Raises TrainingError where `out` holds a suite of other settings.
    """
    if size() > 1:
        raise TrainingError(f"suite: runs in one process, and torchrun started {size()}. Start it without torchrun.")
    suite = open_suite_in(settings, out)
    suite.write(out / SUITE)
    splits: dict[int, Splits] = {}
    for key in suite.left:
        if key.seed not in splits:
            splits = {key.seed: loaded(suite, settings, key.seed)}
            if (record := splits[key.seed].record) is not None:
                console.print("\n".join(record.lines()), highlight=False, soft_wrap=True)
        at = splits[key.seed]
        check_unchanged(suite, at, out)
        try:
            clock.start()
            with ProgressBar(str(key)) as bar:
                result, seconds = trained(settings, key, at, out, thresholds, [bar, clock], threads)
        except OutOfTimeError:
            break
        suite = suite.model_copy(
            update={"runs": (*suite.runs, result), "classes": at.train.classes, "test_samples": len(at.test)}
        )
        suite.write(out / SUITE)
        clock.reserve = max(clock.reserve, seconds)
        console.print(finished(result), highlight=False)
    return suite


def finished(run: SuiteRun) -> str:
    """What a run came to, on a line."""
    shown = ", ".join(f"{exit_}: {100 * value:.2f}" for exit_, value in run.test_accuracy.items())
    return f"{run.key}: test accuracy in % by exit {shown}; {run.seconds:.0f} s"


def loaded(suite: Suite, settings: SuiteSettings, seed: int) -> Splits:
    """A suite's data as a seed splits them."""
    sizes = preset(settings.preset)
    shape = (sizes.channels, sizes.size, sizes.size)
    rule = POSITION if suite.settings.split == "position" else None
    source, read_as = settings.source or settings.data, suite.settings.read_as
    with waiting() as watching:
        return load(source, shape, seed=seed, rule=rule, read_as=read_as, watch=watching.at)


def trained(
    settings: SuiteSettings,
    key: RunKey,
    splits: Splits,
    out: Path,
    thresholds: Sequence[float],
    observers: Sequence[Observer],
    threads: int | None,
) -> tuple[SuiteRun, float]:
    """Train one run, from its last epoch where it has begun, and give what it came to, and the seconds for that."""
    folder = out / key.folder
    run = _run(settings, key, splits.train.classes)
    checkpoint = train(run, splits, folder, resume=True, observers=observers, threads=threads)
    start = time.monotonic()
    with waiting() as watching:
        predictions = of_checkpoint(checkpoint, threads=threads).predict(splits.test, "test", watching.at)
    predictions.write(folder / PREDICTIONS)
    return _result(key, checkpoint, predictions, thresholds), time.monotonic() - start


def check_unchanged(suite: Suite, now: Splits, out: Path) -> None:
    """Raise a TrainingError where the data are not those of the runs that are finished: their tests would differ."""
    cards = [card for run in suite.runs if (card := out / run.key.folder / CARD).is_file()]
    was = ModelCard.read(cards[0]).record if cards else None
    if was is None or now.record is None:
        return
    # Seeds cut the rest in other ways: what they have in common is the test set, and how many images there are.
    counts = [sum(part.images for part in record.parts.values()) for record in (was, now.record)]
    if counts[0] != counts[1] or was.parts["test"].fingerprint != now.record.parts["test"].fingerprint:
        raise TrainingError(
            f"{out}: holds runs of {suite.settings.data} as it was: {counts[0]} images, and now there are {counts[1]} "
            "or other ones in its test set. Choose another folder, or give the data of then."
        )


def _run(settings: SuiteSettings, key: RunKey, classes: tuple[str, ...]) -> Run:
    sizes = preset(settings.preset)
    exits = parse_exits(key.model, len(sizes.widths))
    regime = settings.own_regimes.get(key.regime, key.regime)
    recipe = Recipe.model_validate(settings.recipe | {"regime": regime})
    return Run(sizes.architecture(exits, classes, settings.head, settings.bottlenecks), recipe, settings.data, key.seed)


def open_suite_in(settings: SuiteSettings, out: Path) -> Suite:
    """The suite in a folder, with its plan extended by what is asked for now; a new one where there is none yet."""
    if out.exists() and not out.is_dir():
        raise TrainingError(f"{out}: is a file, and a suite is a folder. Choose an empty or a new one.")
    if not (out / SUITE).exists():
        return Suite(settings=settings)
    suite = Suite.read(out / SUITE)
    begun, lists = suite.settings, ("models", "regimes", "seeds")
    grows = {*lists, "cross", "own_regimes", "split", "reading"}  # the last two stay what they were when it began
    there, wanted = (one.model_dump(mode="json", exclude=grows) for one in (begun, settings))
    for name in there | wanted:
        has, asked = there.get(name), wanted.get(name)
        if has == asked:
            continue
        if name == "recipe" and has and asked:  # of its many parts, those that differ
            parts = [part for part in has | asked if has.get(part) != asked.get(part)]
            has, asked = ({part: recipe.get(part) for part in parts} for recipe in (has, asked))
        raise TrainingError(
            f"{out}: holds a suite with another {name}: {has!r}, asked for is {asked!r}. Choose another folder."
        )
    first = begun.regimes[0]
    if first != settings.regimes[0]:
        raise TrainingError(
            f"{out}: holds a suite that compares with regime {first}, asked for is {settings.regimes[0]}. Name {first} "
            "first, or choose another folder."
        )
    merged: dict[str, object] = {
        name: tuple(dict.fromkeys((*getattr(begun, name), *getattr(settings, name)))) for name in lists
    }
    merged |= {"cross": begun.cross or settings.cross, "own_regimes": begun.own_regimes | settings.own_regimes}
    return suite.model_copy(update={"settings": settings.model_copy(update=merged)})


def _result(key: RunKey, checkpoint: Checkpoint, predictions: Predictions, thresholds: Sequence[float]) -> SuiteRun:
    card, net = checkpoint.card, checkpoint.net
    stages, heads = count(net, card.architecture.shape)
    records = read_log(checkpoint.path / LOG)
    return SuiteRun(
        key=key,
        exits=net.exits,
        stage_macs={index: cost.macs for index, cost in stages.items()},
        head_macs={exit_: cost.macs for exit_, cost in heads.items()},
        feature_bytes={k: 4 * prod(stages[k].shape) for k in net.exits},
        test_accuracy={k: accuracy_at(predictions, k) or 0.0 for k in net.exits},
        tiered=tuple(
            Tiered(exit=k, threshold=t, outcome=evaluate(route(predictions, Plan.of(k, t)), predictions.labels))
            for k in net.exits[:-1]
            for t in thresholds
        ),
        training=tuple(TrainingPoint(epoch=r.epoch, validation_accuracy=r.validation_accuracy) for r in records),
        seconds=card.seconds,
        images_per_second=statistics.median(record.images_per_second for record in records),
        hardware=card.hardware,
        commit=card.commit,
    )
