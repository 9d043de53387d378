"""A realistic experiment and a suite, built by functions: values differ, so that one in another's place is seen."""

from collections.abc import Callable, Sequence

import pytest

from offramp.artifacts.experiment import Agreed, Experiment, ModelResult, TrainingPoint
from offramp.artifacts.measurement import Conditions, Latency, Measurement, TierLatency
from offramp.artifacts.suite import RunKey, Suite, SuiteRun, SuiteSettings, Tiered
from offramp.data.parquet import CIFAR10_CLASSES
from offramp.models.architecture import parse_exits

LAST = 9
N = 360


def build_experiment(
    *,
    sems: Sequence[int] = range(1, LAST),
    mem: Sequence[int] = range(1, LAST),
    thresholds: Sequence[float] = (0.1, 0.3, 0.5, 0.8),
    mem_points: float = -3.0,
    **changes: object,
) -> Experiment:
    """SEM-k for each of `sems`, and MEM with the local exits `mem`; MEM's exits are `mem_points` more accurate."""
    names = {f"sem-{k}": (k, LAST) for k in sems} | ({"mem": (*mem, LAST)} if mem else {})
    models = tuple(_model(name, exits, mem_points if name == "mem" else 0.0) for name, exits in names.items())
    measurements = tuple(
        _measurement(name, exit_, threshold)
        for name, exits in names.items()
        for exit_ in exits[:-1]
        for threshold in thresholds
    )
    settings: dict[str, object] = {
        "name": "The paper's nine models on the digits",
        "data": "digits",
        "test_samples": N,
        "preset": "tiny",
        "recipe": "digits",
        "epochs": 5,
        "seed": 7,
        "seconds": 84.6,
        "models": models,
        "measurements": measurements,
        "agreement": Agreed(compared=22_976, differing=0, ties=3),
    }
    return Experiment.model_validate(settings | changes)


def _model(name: str, exits: tuple[int, ...], points: float) -> ModelResult:
    accuracy = {k: round(0.70 + 0.03 * min(k, 8) + points / 100, 4) for k in exits}
    return ModelResult(
        model=name,
        bundle=f"{name}-bundle",
        exits=exits,
        macs={k: 300_000 * k + 10 * k for k in exits},
        feature_bytes={k: 4096 // k for k in exits},
        test_accuracy=accuracy,
        training=tuple(
            TrainingPoint(epoch=e, validation_accuracy={k: round(a * e / 5, 4) for k, a in accuracy.items()})
            for e in range(1, 6)
        ),
        training_seconds=6.5,
    )


def _measurement(name: str, exit_: int, threshold: float) -> Measurement:
    """At exit 1 nobody leaves at T = 0.1, and at exit 8 everybody does at T = 0.8: None stands in each."""
    mem = name == "mem"
    share = (exit_ - 1 + 4 * (threshold - 0.1) - 0.3 * mem) / 8
    exited = {(1, 0.1): 0, (8, 0.8): N}.get((exit_, threshold), min(N - 5, max(12, int(N * share))))
    base = exit_ + threshold + 0.037 * mem
    edge = _latency(1.0 + 0.21 * base) if exited else None
    cloud = _latency(4.0 + 0.19 * base) if exited < N else None
    return Measurement(
        model=name,
        exit=exit_,
        threshold=threshold,
        cut=exit_,
        codec="fp32",
        n=N,
        exited_locally=exited,
        forwarded=N - exited,
        dropped=0,
        degraded=0,
        edge_accuracy=round(0.90 + 0.0101 * base, 6) if exited else None,
        cloud_accuracy=round(0.95 - 0.0333 * base, 6) if exited < N else None,
        overall_accuracy=round(0.91 + 0.0077 * base, 6),
        latency_ms=TierLatency(edge=edge, cloud=cloud, overall=_latency(2.0 + 0.23 * abs(base - 3.1))),
        batch_ms=_latency(5.0),
        bytes_to_cloud=(N - exited) * (4096 // exit_ + 17),
        conditions=Conditions(
            commit="0123456789ab",
            hardware="A Processor 9000",
            cores=2,
            batch_size=32,
            link="loopback, unshaped",
            runtime="onnxruntime 1.99",
            dtype="fp32",
            date="2026-11-24T04:46:09+00:00",
        ),
    )


def _latency(p50: float) -> Latency:
    return Latency(mean=round(p50 + 0.5, 4), p50=round(p50, 4), p95=round(p50 + 1, 4), p99=round(p50 + 2, 4))


@pytest.fixture(scope="session")
def build() -> Callable[..., Experiment]:
    """The function that builds one, for tests that want it partial or changed."""
    return build_experiment


@pytest.fixture(scope="session")
def experiment() -> Experiment:
    """The whole of it: eight SEMs, MEM, four thresholds."""
    return build_experiment()


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
    found = {k: suite_accuracy(k, key.seed, points) for k in exits}
    return SuiteRun(
        key=key,
        exits=exits,
        stage_macs=dict.fromkeys(range(1, LAST + 1), 1_000_000),
        head_macs=dict.fromkeys(exits, 1_000),
        feature_bytes=dict.fromkeys(exits, 1_024),
        test_accuracy=found,
        tiered=tuple(
            Tiered(
                exit=k, threshold=0.3, exited=5_000, edge_accuracy=0.97, cloud_accuracy=0.6,
                overall_accuracy=found[k] + 0.01,
            )
            for k in exits[:-1]
        ),
        training=tuple(
            TrainingPoint(epoch=e, validation_accuracy={k: round(a * e / 3, 6) for k, a in found.items()})
            for e in (1, 2, 3)
        ),
        seconds=1_800.0,
        images_per_second=1_500.0,
        hardware="A Processor 9000",
        commit="0123456789ab",
    )  # fmt: skip


@pytest.fixture(scope="session")
def make_suite() -> Callable[..., Suite]:
    """The function that builds a suite."""
    return build_suite


@pytest.fixture(scope="session")
def suite() -> Suite:
    """A suite of six models, two regimes and two seeds."""
    return build_suite()
