"""Reproductions, built by functions: values differ, so that one in another's place is seen. No number was measured."""

from collections.abc import Iterable, Sequence

from offramp.artifacts.measurement import Conditions
from offramp.artifacts.model_result import ModelResult, TrainingPoint
from offramp.artifacts.plan import Plan
from offramp.data.parquet import CIFAR10_CLASSES
from offramp.paper.reproduction import Agreed, Repeat, Reproduction, Row, Setup, Trained
from outcomes import latencies_of, latency_of, outcome_of

LAST = 9
N = 360  # samples of the digits
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
        outcome=outcome_of(exited, forwarded, dropped, _accuracies(setup, side)),
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
        latency_ms=latencies_of(exited, forwarded, edge + noise, cloud + noise, overall + noise),
        batch_ms=latency_of(7.0),
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


def build_uneven(
    *,
    sems: Sequence[int] = range(1, LAST),
    mem: Sequence[int] = range(1, LAST),
    thresholds: Sequence[float] = THRESHOLDS,
    mem_points: float = -3.0,
    **changes: object,
) -> Reproduction:
    """The paper's part on the digits: SEM-k for each of `sems`, and MEM with the local exits `mem`.

    MEM's exits are `mem_points` more accurate. At exit 1 nobody leaves at T = 0.1, and at exit 8 everybody at T = 0.8:
    nobody stands for the tier that answers nothing.
    """
    names = {f"sem-{k}": (k, LAST) for k in sems} | ({"mem": (*mem, LAST)} if mem else {})
    points = {name: mem_points / 100 if name == "mem" else 0.0 for name in names}
    whole = build_reproduction(exits=(), mem=False, sections=())
    recipe = {"name": "digits", "epochs": 5}
    own: dict[str, object] = {
        "data": "digits", "classes": tuple("0123456789"), "test_samples": N,
        "trained": whole.trained.model_copy(update={"preset": "tiny", "recipe": recipe}),
        "models": tuple(
            _result(name, exits, {k: round(0.70 + 0.03 * min(k, 8) + points[name], 4) for k in exits})
            for name, exits in names.items()
        ),
        "rows": tuple(
            _uneven(name, k, t) for name, exits in names.items() for k in exits[:-1] for t in thresholds
        ),
    }  # fmt: skip
    return whole.model_copy(update=own | changes)


def _uneven(name: str, exit_: int, threshold: float) -> Row:
    mem = name == "mem"
    share = (exit_ - 1 + 4 * (threshold - 0.1) - 0.3 * mem) / 8
    exited = {(1, 0.1): 0, (8, 0.8): N}.get((exit_, threshold), min(N - 5, max(12, int(N * share))))
    base = exit_ + threshold + 0.037 * mem
    rights = (round(0.90 + 0.0101 * base, 6), round(0.95 - 0.0333 * base, 6), round(0.91 + 0.0077 * base, 6))
    times = (1.0 + 0.21 * base, 4.0 + 0.19 * base, 2.0 + 0.23 * abs(base - 3.1))
    repeat = Repeat(
        latency_ms=latencies_of(exited, N - exited, *times), batch_ms=latency_of(5.0), cloud_ms=0.1 * (N - exited)
    )
    return Row(
        setup=Setup(
            section="paper", model=name, plan=Plan.of(exit_, threshold), samples=N, link="loopback, unshaped"
        ),
        outcome=outcome_of(exited, N - exited, 0, rights),
        bytes_to_cloud=(N - exited) * (4096 // exit_ + 17),
        repeats=(repeat,),
    )  # fmt: skip
