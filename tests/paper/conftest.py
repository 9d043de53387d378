"""An experiment, a suite and reproductions, built by functions: values differ, so that one in another's place is seen.

No number here was measured.
"""

from collections.abc import Callable, Iterable, Sequence
from html.parser import HTMLParser

import pytest
from offramp.paper.experiment import Experiment

from offramp.artifacts.measurement import Conditions, Latencies, Latency, Measurement
from offramp.artifacts.model_result import ModelResult, TrainingPoint
from offramp.artifacts.names import parse_exits
from offramp.artifacts.outcome import Outcome
from offramp.artifacts.plan import Plan
from offramp.artifacts.suite import RunKey, Suite, SuiteRun, SuiteSettings, Tiered
from offramp.data.parquet import CIFAR10_CLASSES
from offramp.paper.reproduction import Agreed, Repeat, Reproduction, Row, Setup, Trained

LAST = 9
N = 360

# Of the reproductions.
SAMPLES = 10_000
THRESHOLDS = (0.1, 0.3, 0.5, 0.8)
SECTIONS = ("paper", "baselines", "drop", "bandwidth", "cores", "reply")
FEW_EXITS = (2, 5)
CONDITIONS = Conditions(
    commit="0123456789ab",
    hardware="A Processor 9000",
    cores=2,
    batch_size=32,
    link="loopback",
    runtime="onnxruntime 1.99",
    dtype="fp32",
    date="2026-11-24T04:46:09+00:00",
)


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
    return _result(name, exits, {k: round(0.70 + 0.03 * min(k, 8) + points / 100, 4) for k in exits})


def _result(name: str, exits: tuple[int, ...], accuracy: dict[int, float]) -> ModelResult:
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
    rights = (round(0.90 + 0.0101 * base, 6), round(0.95 - 0.0333 * base, 6), round(0.91 + 0.0077 * base, 6))
    return Measurement(
        model=name,
        plan=Plan.of(exit_, threshold),
        outcome=_outcome(exited, N - exited, 0, rights),
        latency_ms=_latencies(exited, N - exited, 1.0 + 0.21 * base, 4.0 + 0.19 * base, 2.0 + 0.23 * abs(base - 3.1)),
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


def _outcome(edge: int, cloud: int, dropped: int, rights: tuple[float, float, float]) -> Outcome:
    answered = {tier: count for tier, count in (("edge", edge), ("cloud", cloud)) if count}
    accuracy = {tier: right for tier, right in zip(("edge", "cloud"), rights, strict=False) if tier in answered}
    return Outcome.model_validate(
        {"n": edge + cloud + dropped, "answered": answered, "accuracy": accuracy, "overall": rights[2],
         "dropped": dropped, "degraded": 0}
    )  # fmt: skip


def _latencies(exited: int, forwarded: int, edge: float, cloud: float, overall: float) -> Latencies:
    found: Latencies = {"overall": _latency(overall)}
    if exited:
        found["edge"] = _latency(edge)
    if forwarded:
        found["cloud"] = _latency(cloud)
    return found


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
        feature_bytes=dict.fromkeys(exits, 4_096),
        test_accuracy=found,
        tiered=tuple(
            Tiered(exit=k, threshold=0.3, outcome=_outcome(5_000, 5_000, 0, (0.97, 0.6, found[k] + 0.01)))
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


def build_reproduction(
    *,
    side: int = 1,
    repeats: int = 3,
    exits: Iterable[int] = range(1, LAST),
    mem: bool = True,
    thresholds: tuple[float, ...] = THRESHOLDS,
    sections: tuple[str, ...] = SECTIONS,
    **changes: object,
) -> Reproduction:
    """SEMs at `exits`, MEM, the standard network; every section as far as asked for.

    `side` is 1 where all goes as the paper says, -1 where all goes the other way, and 0 where nothing differs and the
    repeats lie far apart.
    """
    exits = tuple(exits)
    models = [_trained_model(f"sem-{k}", (k, LAST), side) for k in exits]
    models += [_trained_model("mem", (*range(1, LAST), LAST), side)] * mem
    made = {
        "paper": lambda: _paper(exits, thresholds, mem=mem),
        "baselines": lambda: [s for link in ("loopback", "wifi") for s in _contenders(link)],
        "drop": _drop,
        "bandwidth": lambda: _swept("bandwidth", "link", ("1mbit,5ms", "1000mbit,5ms")),
        "cores": lambda: _swept("cores", "edge_cores", (1.0, 0.25)),
        "reply": _reply,
    }
    rows = tuple(row(setup, side, repeats) for section in sections for setup in made[section]())
    settings: dict[str, object] = {
        "name": "The paper's evaluation",
        "data": "cifar10",
        "classes": CIFAR10_CLASSES,
        "test_samples": SAMPLES,
        "image_bytes": 3072,
        "jpeg_bytes": 911.25,
        "trained": Trained(
            suite="suites/cifar10", preset="small", head="linear", regime="joint", seed=7, samples=45_000,
            recipe={
                "name": "modern", "epochs": 5, "batch_size": 128, "learning_rate": 0.1, "momentum": 0.9,
                "weight_decay": 5e-4, "nesterov": True, "schedule": "one-cycle", "loss_weights": "equal",
            },
            hardware="A Trainer 1",
        ),
        "models": tuple(models),
        "rows": rows,
        "repeats": repeats,
        "conditions": CONDITIONS,
        "topology": "processes",
        "agreement": Agreed(compared=22_976, differing=0, ties=3),
        "seconds": 84.6,
    }  # fmt: skip
    return Reproduction.model_validate(settings | changes)


def row(setup: Setup, side: int = 1, repeats: int = 3) -> Row:
    """What this world would measure under a setup."""
    share = _share(setup, side)
    exited = int(setup.samples * share)
    drop = setup.plan.drop_threshold
    dropped = 0 if drop is None else int((setup.samples - exited) * (1 - drop))
    forwarded = setup.samples - exited - dropped
    return Row(
        setup=setup,
        outcome=_outcome(exited, forwarded, dropped, _accuracies(setup, side)),
        bytes_to_cloud=forwarded * (4096 // max(1, setup.place) + 17),
        repeats=tuple(_repeat(setup, side, number, exited, forwarded) for number in range(repeats)),
    )


def _share(setup: Setup, side: int) -> float:
    whole = {"all at the edge": 1.0, "all in the cloud": 0.0, "fixed split": 0.0}
    if setup.contender in whole:
        return whole[setup.contender]
    if not side:
        return 0.5
    step = setup.place if side > 0 else LAST - setup.place
    rise = setup.plan.threshold if side > 0 else 0.9 - setup.plan.threshold
    return 0.1 + 0.08 * step + 0.2 * rise - 0.1 * side * (setup.model == "mem")


def _accuracies(setup: Setup, side: int) -> tuple[float, float, float]:
    k, threshold = setup.place, setup.plan.threshold
    edge = 0.8 + side * (0.015 * k - 0.1 * threshold)
    cloud = 0.65 - side * (0.02 * k + 0.15 * threshold)
    overall = 0.8 + side * (0.01 * k - 0.05 * threshold - 0.03 * (setup.model == "mem"))
    lost = 0.01 * (setup.form == "jpeg") + 0.02 * (setup.plan.drop_threshold == 0.5)
    return round(edge, 6), round(cloud, 6), round(overall - lost, 6)


def _repeat(setup: Setup, side: int, number: int, exited: int, forwarded: int) -> Repeat:
    k = setup.place
    edge, cloud = 1 + 0.2 * (k if side > 0 else LAST - k), 5.0
    overall = 3 + 0.1 * abs(k - 5) + 0.3 * (k == 1)
    if side < 0:
        overall, cloud = 3 - 0.1 * abs(k - 5), 5 + 0.2 * k
    if not side:
        edge = overall = 2.0
    overall += side * (0.2 * (setup.model == "mem") - 0.5 * setup.plan.threshold)
    if setup.section == "bandwidth":
        best = 6 if setup.link.startswith("1mbit") else 3
        overall = {1: 3 + abs(k - best) + 4 * (k == 1), -1: 2 + k, 0: 4}[side]
    if setup.contender != "local exit":
        overall += 20
    if setup.reply == "direct":
        cloud -= 0.5 * side
    noise = number * (0.001 if side else 2.0)
    return Repeat(
        latency_ms=_latencies(exited, forwarded, edge + noise, cloud + noise, overall + noise),
        batch_ms=_latency(7.0),
        cloud_ms=round(0.1 * forwarded + number, 4),
    )


def _trained_model(name: str, exits: tuple[int, ...], side: int) -> ModelResult:
    return _result(name, exits, {k: round(_trained(name, k, side), 6) for k in exits})


def _trained(name: str, k: int, side: int) -> float:
    """Over all samples: MEM below the SEMs, most of all at exit 2; or above them."""
    mem = name == "mem"
    if not side:
        return 0.8
    if k == LAST:
        return (0.78 if mem else 0.9) if side > 0 else (0.97 if mem else 0.9)
    local = 0.7 + 0.02 * k if side > 0 else 0.86 - 0.02 * k
    return local - side * mem * (0.1 if k == 2 else 0.05)


def _paper(exits: tuple[int, ...], thresholds: tuple[float, ...], *, mem: bool) -> list[Setup]:
    names = [(f"sem-{k}", k) for k in exits] + [("mem", k) for k in range(1, LAST)] * mem
    return [
        Setup(section="paper", model=model, plan=Plan.of(k, threshold), samples=SAMPLES)
        for model, k in names
        for threshold in thresholds
    ]


def _whole(**at: object) -> list[Setup]:
    common = at | {"model": "standard", "plan": Plan.checked(active=(), cut=LAST), "samples": 1024}
    return [
        Setup.model_validate(common | {"contender": contender, "form": form})
        for contender, form in (
            ("all at the edge", "fp32"), ("all in the cloud", "uint8"), ("all in the cloud", "jpeg"),
        )
    ]  # fmt: skip


def _contenders(link: str) -> list[Setup]:
    found = _whole(section="baselines", link=link)
    for k in FEW_EXITS:
        at = {"section": "baselines", "link": link, "model": f"sem-{k}", "samples": 1024}
        for contender, plan, other in (
            ("local exit", Plan.of(k, 0.3, codec="uint8"), None),
            ("fixed split", Plan.checked(active=(), cut=k, codec="uint8"), None),
            ("cascade", Plan.of(k, 0.3, cut=0, codec="uint8"), "standard"),
        ):
            found.append(Setup.model_validate(at | {"contender": contender, "plan": plan, "cloud_model": other}))
    return found


def _drop() -> list[Setup]:
    return [
        Setup(section="drop", model=f"sem-{k}", plan=Plan.of(k, 0.3, drop_threshold=drop), samples=SAMPLES)
        for k in FEW_EXITS
        for drop in (None, 0.9, 0.5)
    ]


def _swept(section: str, field: str, values: tuple[object, ...]) -> list[Setup]:
    found: list[Setup] = []
    for value in values:
        at = {"section": section, field: value, "samples": 1024}
        plans = {k: Plan.of(k, 0.3, codec="uint8") for k in range(1, LAST)}
        found += [Setup.model_validate(at | {"model": f"sem-{k}", "plan": plan}) for k, plan in plans.items()]
        found += _whole(**{"section": section, field: value})[:2]
    return found


def _reply() -> list[Setup]:
    return [
        Setup(
            section="reply", model=f"sem-{k}", plan=Plan.of(k, 0.3, codec="uint8"), reply=way, link=link, samples=1024
        )
        for link in ("loopback", "wifi")
        for k in FEW_EXITS
        for way in ("edge", "direct")
    ]  # fmt: skip


@pytest.fixture(scope="session")
def reproduce() -> Callable[..., Reproduction]:
    """The function that builds a reproduction."""
    return build_reproduction


@pytest.fixture(scope="session")
def reproduction() -> Reproduction:
    """The whole of one, in which the paper is right."""
    return build_reproduction()


VOID = {"meta", "br", "link", "img", "input", "hr"}
LOADING = {"src", "srcset", "href", "xlink:href", "action", "data", "poster", "background"}


class Reader(HTMLParser):
    """Reads a page as a browser would: its tables by rows, its text, its ids, and what it would load."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.loaded: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.loaded += [value for name, value in attrs if name in LOADING and value and not value.startswith("#")]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another element, on line {self.getpos()[0]}"

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data

    def says(self, words: str) -> bool:
        return words in " ".join(" ".join(self.text).split())


@pytest.fixture(scope="session")
def read() -> Callable[[str], Reader]:
    """Reads a page."""
    return Reader
