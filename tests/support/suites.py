"""Suites, built by a function: values differ, so that one in another's place is seen. No number was measured."""

from offramp.artifacts.model_result import TrainingPoint
from offramp.artifacts.names import parse_exits
from offramp.artifacts.suite import RunKey, Suite, SuiteRun, SuiteSettings, Tiered
from offramp.data.parquet import CIFAR10_CLASSES
from outcomes import outcome_of

LAST = 9


def build_suite(
    *,
    models: tuple[str, ...] = ("standard", "sem-2", "sem-3", "sem-6", "sem-8", "mem"),
    regimes: tuple[str, ...] = ("joint", "distill"),
    seeds: tuple[int, ...] = (0, 1),
    points: dict[str, float] | None = None,
    cross: bool = False,
) -> Suite:
    """MEM is `points` more accurate than the SEMs under each regime, and each seed half a point than the one before."""
    settings = SuiteSettings(
        data="cifar10",
        preset="small",
        head="linear",
        recipe={"name": "modern", "epochs": 3, "batch_size": 128, "learning_rate": 0.1, "schedule": "one-cycle"},
        models=models,
        regimes=regimes,
        seeds=seeds,
        cross=cross,
    )
    apart = {"joint": -3.0, "distill": 0.5} if points is None else points
    runs = tuple(
        _suite_run(key, apart.get(key.regime, 0.0) if key.model == "mem" else 0.0) for key in settings.planned()
    )
    return Suite(settings=settings, classes=CIFAR10_CLASSES, test_samples=10_000, runs=runs)


def suite_accuracy(exit_: int, seed: int, points: float) -> float:
    """Rises with the exit."""
    return round(0.70 + 0.02 * exit_ + 0.005 * seed + points / 100, 6)


def _suite_run(key: RunKey, points: float) -> SuiteRun:
    exits = parse_exits(key.model, LAST)
    accuracy = {k: suite_accuracy(k, key.seed, points) for k in exits}
    return SuiteRun(
        key=key,
        exits=exits,
        stage_macs=dict.fromkeys(range(1, LAST + 1), 1_000_000),
        head_macs=dict.fromkeys(exits, 1_000),
        feature_bytes=dict.fromkeys(exits, 4_096),
        test_accuracy=accuracy,
        tiered=tuple(
            Tiered(exit=k, threshold=0.3, outcome=outcome_of(5_000, 5_000, 0, (0.97, 0.6, accuracy[k] + 0.01)))
            for k in exits[:-1]
        ),
        training=tuple(
            TrainingPoint(epoch=e, validation_accuracy={k: round(a * e / 3, 6) for k, a in accuracy.items()})
            for e in (1, 2, 3)
        ),
        seconds=1_800.0,
        images_per_second=1_500.0,
        hardware="A Processor 9000",
        commit="0123456789ab",
    )  # fmt: skip
