"""Networks of several views: accuracy by how many devices speak, by each alone, by how they are joined, by codec.

No time: it trains on one thread, writes each network as a folder of bundles, and evaluates what the nodes would run.

    python benchmarks/views.py --data digits --work /tmp/views --out results/views
    python benchmarks/views.py --out results/views --report          # the page of what was found so far

What was found for a run stands in OUT/DATA.json, and is not found again. `--quick` only shows that it runs.
"""

import argparse
import json
import statistics
from dataclasses import dataclass
from pathlib import Path

from offramp.artifacts.codec import Codec
from offramp.artifacts.views import ViewsFolder
from offramp.data.load_views import load_views
from offramp.data.view_set import ViewSet, ViewSplits
from offramp.export.views import export_views
from offramp.machine import commit, processor
from offramp.measure.views import by_count, by_devices, of_each, seen
from offramp.models.views import ViewsNetwork
from offramp.plan.wire import request_bytes
from offramp.train.views import ViewsRecipe, takes_of, train_views
from views_page import page


@dataclass(frozen=True)
class Setting:
    """What is trained on a set: sizes, recipe, and which joins."""

    front: tuple[int, ...]
    behind: int
    recipe: ViewsRecipe
    joins: tuple[tuple[str, str, bool], ...]  # how, at what, and whether for bits
    train: int | None = None
    test: int | None = None
    looks: int = 1


FEATURES = tuple((join, "features", False) for join in ("concat", "mean", "max"))
LOGITS = tuple((join, "logits", False) for join in ("concat", "mean", "max"))
BITS = (("concat", "features", True), ("mean", "features", True))
EVERY = (*FEATURES, BITS[0], *LOGITS, BITS[1])
SETTINGS = {
    "digits": Setting((16, 16, 8), 32, ViewsRecipe(epochs=6, batch_size=128), EVERY, looks=8),
    "cifar10": Setting(
        (24, 32, 16), 64, ViewsRecipe(epochs=12, flip=True), (("concat", "features", True),), train=10_000, test=2_000
    ),
    "multifeature": Setting((64, 32), 64, ViewsRecipe(epochs=40), EVERY),
}  # fmt: skip


def kind_of(source: str) -> str:
    """Which setting a set of data has."""
    if source == "digits":
        return source
    return "multifeature" if any(Path(source).glob("*.csv")) else "cifar10"


def one_run(
    name: str, setting: Setting, splits: ViewSplits, how: tuple[str, str, bool], seed: int, work: Path
) -> dict[str, object]:
    """Train, write and evaluate one network."""
    join, at, bits = how
    document = ViewsNetwork.model_validate({
        "takes": takes_of(splits.train), "classes": splits.train.classes, "join": join, "at": at, "bits": bits,
        "front": setting.front, "behind": setting.behind,
    })  # fmt: skip
    trained = train_views(document, splits, setting.recipe, seed, threads=1)
    folder = export_views(
        trained, work / f"{name}-{join}-{at}{'-bits' if bits else ''}-{seed}", splits.calibration, name
    )
    main: Codec = "1bit" if bits else "uint8"
    row: dict[str, object] = {
        "join": join, "at": at, "bits": bits, "seed": seed, "seconds": round(trained.seconds, 1), "codec": main,
        **evaluated(folder, splits.test, main),
    }  # fmt: skip
    others: tuple[Codec, ...] = ("fp32", "uint8", "1bit") if at == "features" else ("fp32", "uint8")
    row["codecs"] = {codec: by_codec(folder, splits.test, codec) for codec in others}
    return row


def evaluated(folder: ViewsFolder, test: ViewSet, codec: Codec) -> dict[str, object]:
    """Each device alone, and every choice of devices."""
    of = seen(folder, test, codec)
    found, names = by_devices(folder, of), of.names
    exits = folder.joint.manifest.exits
    without = {name: found[tuple(one for one in names if one != name)] for name in names}
    return {
        "alone": of_each(of),
        "by_count": {exit_: by_count(found, exit_) for exit_ in exits},
        "without": {name: {exit_: row[exit_] for exit_ in exits} for name, row in without.items()},
        "samples": len(test),
    }


def by_codec(folder: ViewsFolder, test: ViewSet, codec: Codec) -> dict[str, object]:
    """With all devices, and what each of them sends for a sample: of features, and as a whole message."""
    exits = by_devices_all(folder, test, codec)
    sizes = {name: bundle.manifest.cut(folder.cut(name)).codecs[codec] for name, bundle in folder.devices.items()}
    messages = [request_bytes(bundle.manifest, folder.cut(name), codec) for name, bundle in folder.devices.items()]
    raw = [view.images[0].nbytes for view in test.views.values()]
    return {
        "accuracy": exits,
        "bytes": statistics.mean(size.bytes_per_sample for size in sizes.values()),
        "message": statistics.mean(messages),
        "raw": statistics.mean(raw),
    }


def by_devices_all(folder: ViewsFolder, test: ViewSet, codec: Codec) -> dict[int, float]:
    """Accuracy of each exit with every device."""
    from offramp.measure.views import accuracy, joined, joint_span

    of = seen(folder, test, codec)
    return {
        exit_: accuracy(logits, of.labels) for exit_, logits in joined(folder, joint_span(folder), of, of.there).items()
    }


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    asked.add_argument("--data", action="append", default=[], help="digits, a folder of CIFAR-10, or of CSV files")
    asked.add_argument("--work", type=Path, default=Path("runs/views"))
    asked.add_argument("--out", type=Path, default=Path("results/views"))
    asked.add_argument("--seeds", type=int, default=3)
    asked.add_argument("--quick", action="store_true")
    asked.add_argument("--report", action="store_true")
    options = asked.parse_args()
    for source in options.data:
        name = kind_of(source)
        setting = SETTINGS[name]
        if options.quick:
            recipe = setting.recipe.model_copy(update={"epochs": 1})
            setting = Setting(setting.front, setting.behind, recipe, setting.joins[:1], 256, 128)
        file = options.out / f"{name}.json"
        rows = json.loads(file.read_text())["rows"] if file.exists() else []
        done = {(row["join"], row["at"], row["bits"], row["seed"]) for row in rows}
        loaded: dict[int, ViewSplits] = {}
        for how in setting.joins:
            for seed in range(1 if options.quick else options.seeds):
                if (*how, seed) in done:
                    continue
                if seed not in loaded:
                    loaded[seed] = load_views(
                        source, seed=seed, train=setting.train, test=setting.test, looks=setting.looks
                    )
                splits = loaded[seed]
                row = one_run(name, setting, splits, how, seed, options.work)
                print(json.dumps({key: row[key] for key in ("join", "at", "bits", "seed", "seconds", "by_count")}))
                rows.append(row)
                conditions = {"commit": commit(), "hardware": processor(), "threads": 1}
                settings = {"recipe": setting.recipe.model_dump(), "front": setting.front, "behind": setting.behind,
                            "train": len(splits.train), "looks": setting.looks}  # fmt: skip
                options.out.mkdir(parents=True, exist_ok=True)
                file.write_text(json.dumps({"settings": settings, "conditions": conditions, "rows": rows}) + "\n")
    found = {path.stem: json.loads(path.read_text()) for path in sorted(options.out.glob("*.json"))}
    text, figures = page(found)
    if options.report:
        (options.out / "README.md").write_text(text)
    print(json.dumps({"benchmark": "views", "figures": figures}))


if __name__ == "__main__":
    main()
