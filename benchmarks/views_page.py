"""The page of what `views.py` found: tables by data set, the bars, and DDNN's claims with our numbers."""

import statistics
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

Row = dict[str, Any]
Found = dict[str, Any]  # of one data set: settings, conditions, rows
LAST, FIRST = "2", "1"  # exits behind the join, as JSON has them
TITLES = {
    "digits": "Digits: six made views, 12 x 12",
    "cifar10": "CIFAR-10: six made views, 24 x 24",
    "multifeature": "UCI Multiple Features: six real views of unlike shapes",
}
ABOVE, LOST = 3.0, 1.5  # the bars: points above the best device, points lost for the first silent one


def percent(values: Iterable[float]) -> str:
    """Mean and spread over seeds, in percent."""
    found = [100 * value for value in values]
    spread = f" ± {statistics.stdev(found):.1f}" if len(found) > 1 else ""
    return f"{statistics.mean(found):.1f}{spread}"


def points(values: Iterable[float]) -> str:
    found = [100 * value for value in values]
    spread = f" ({min(found):.1f} to {max(found):.1f})" if len(found) > 1 else ""
    return f"{statistics.mean(found):.1f}{spread}"


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def kinds(rows: list[Row]) -> dict[tuple[str, str, bool], list[Row]]:
    """Rows by how they were joined, a row a seed."""
    found: dict[tuple[str, str, bool], list[Row]] = {}
    for row in rows:
        found.setdefault((row["join"], row["at"], row["bits"]), []).append(row)
    return found


def named(kind: tuple[str, str, bool]) -> str:
    join, at, bits = kind
    return f"{join} of {at}{', trained for bits' if bits else ''}"


def lost(row: Row, exit_: str = LAST) -> float:
    """What the first silent device costs: the mean over which one it is."""
    counts = row["by_count"][exit_]
    most = max(map(int, counts))
    return float(counts[str(most)] - counts[str(most - 1)])


def everyone(row: Row, exit_: str = LAST) -> float:
    counts = row["by_count"][exit_]
    return float(counts[str(max(map(int, counts)))])


def above(row: Row, exit_: str = LAST) -> float:
    """How far the joined network lies above the best device alone."""
    return everyone(row, exit_) - max(row["alone"].values())


def one_set(name: str, found: Found) -> str:
    by_kind = kinds(found["rows"])
    first = found["rows"][0]
    counts, devices = list(first["by_count"][LAST]), list(first["alone"])
    said, conditions = found["settings"], found["conditions"]
    seeds = max(len(rows) for rows in by_kind.values())
    parts = [f"## {TITLES[name]}\n"]
    parts.append(
        f"{first['samples']} test samples, {said['train']:,} training samples ({said['looks']} looks at each source "
        f"sample), up to {seeds} seeds, {said['recipe']['epochs']} epochs, each view left out with probability "
        f"{said['recipe']['silent']}; {conditions['hardware']}, one thread. Accuracy in percent: mean ± standard "
        "deviation over seeds. Features cross in uint8, in one bit where the network was trained for that.\n"
    )
    if said["looks"] > 1:
        parts.append(
            f"That each source sample is seen {said['looks']} times was chosen after first trainings, on validation "
            "data, in which a silent device cost 2 to 3 points; what the devices see was not changed.\n"
        )
    parts.append("Accuracy of the last exit by how many devices speak, the mean over every choice of so many:\n")
    parts.append(table(["join", "seeds", *counts], (
        [named(kind), str(len(rows)), *(percent(row["by_count"][LAST][count] for row in rows) for count in counts)]
        for kind, rows in by_kind.items()
    )))  # fmt: skip
    parts.append("Each device alone, by its own exit:\n")
    parts.append(table(["join", *devices], (
        [named(kind), *(percent(row["alone"][device] for row in rows) for device in devices)]
        for kind, rows in by_kind.items()
    )))  # fmt: skip
    parts.append("All devices but one, last exit:\n")
    parts.append(table(["join", *(f"without {device}" for device in devices)], (
        [named(kind), *(percent(row["without"][device][LAST] for row in rows) for device in devices)]
        for kind, rows in by_kind.items()
    )))  # fmt: skip
    parts.append(
        f"The bars, in points (lowest to highest seed): at least {ABOVE:g} above the best device, at most {LOST:g} "
        "lost for the first silent one, in the mean over which one that is.\n"
    )
    parts.append(table(
        ["join", "best device", "aggregator's exit", "last exit", "above the best", "lost, aggregator's", "lost, last"],
        ([
            named(kind), percent(max(row["alone"].values()) for row in rows),
            percent(everyone(row, FIRST) for row in rows), percent(everyone(row) for row in rows),
            points(above(row) for row in rows), points(lost(row, FIRST) for row in rows),
            points(lost(row) for row in rows),
        ] for kind, rows in by_kind.items()),
    ))  # fmt: skip
    parts.append("By codec, all devices, last exit; bytes are of one device's sample, features alone:\n")
    codecs = ("fp32", "uint8", "1bit")
    parts.append(table(["join", *codecs, "bytes fp32", "uint8", "1bit", "raw"], (
        [
            named(kind), *(each(rows, codec, lambda one: one["accuracy"][LAST], percent) for codec in codecs),
            *(each(rows, codec, lambda one: one["bytes"], whole) for codec in codecs),
            whole(row["codecs"]["fp32"]["raw"] for row in rows),
        ] for kind, rows in by_kind.items()
    )))  # fmt: skip
    return "\n".join(parts)


def whole(values: Iterable[float]) -> str:
    return f"{statistics.mean(values):,.0f}"


def each(rows: list[Row], codec: str, of: Callable[[Row], float], said: Callable[[Iterable[float]], str]) -> str:
    found = [row["codecs"][codec] for row in rows if codec in row["codecs"]]
    return said(of(one) for one in found) if found else "–"


def figures(found: dict[str, Found]) -> dict[str, Any]:
    """The numbers of the bars and claims, by data set and join."""
    said: dict[str, Any] = {}
    for name, one in found.items():
        for kind, rows in kinds(one["rows"]).items():
            codec = rows[0]["codecs"].get("1bit")
            said[f"{name}: {named(kind)}"] = {
                "seeds": len(rows),
                "best_device": statistics.mean(max(row["alone"].values()) for row in rows),
                "joined": statistics.mean(everyone(row) for row in rows),
                "above_points": 100 * statistics.mean(above(row) for row in rows),
                "lost_points": 100 * statistics.mean(lost(row) for row in rows),
                "lost_points_aggregator": 100 * statistics.mean(lost(row, FIRST) for row in rows),
                "raw_over_bits": None if codec is None else codec["raw"] / codec["bytes"],
                "raw_over_message": None if codec is None else codec["raw"] / codec["message"],
            }
    return said


def rising(row: Row) -> bool:
    """Whether every further device adds to the mean accuracy of the last exit."""
    values = [row["by_count"][LAST][count] for count in sorted(row["by_count"][LAST], key=int)]
    return all(after > before for before, after in pairwise(values))


def claims(found: dict[str, Found]) -> str:
    """DDNN's claims: what they say, what was found."""
    rows = [row for one in found.values() for row in one["rows"]]
    rise = sum(map(rising, rows))
    bits = {
        name: next(row["codecs"]["1bit"] for row in one["rows"] if "1bit" in row["codecs"])
        for name, one in found.items() if any("1bit" in row["codecs"] for row in one["rows"])
    }  # fmt: skip
    ratios = ", ".join(
        f"{name} {one['raw'] / one['bytes']:.0f} x ({one['raw']:,.0f} to {one['bytes']:,.0f} bytes; as a whole message "
        f"of the protocol {one['message']:,.0f}, {one['raw'] / one['message']:.1f} x)" for name, one in bits.items()
    )  # fmt: skip
    gains = [100 * above(row) for row in rows]
    costs = [100 * lost(row) for row in rows]
    worst = [100 * (everyone(row) - min(exits[LAST] for exits in row["without"].values())) for row in rows]
    within = [named(kind) for one in found.values() for kind, of in kinds(one["rows"]).items()
              if 100 * statistics.mean(map(lost, of)) <= LOST]  # fmt: skip
    total = sum(len(kinds(one["rows"])) for one in found.values())
    return "\n".join([
        "## DDNN's claims\n",
        table(["claim", "here", "our numbers"], [
            ["more than 20 x fewer bytes from a device than its raw image", "depends", f"in one bit a value: {ratios}. "
             "The image must be large beside its features, and messages few beside what they carry: "
             "samples of a few dozen bytes are outweighed by names and headers"],
            ["accuracy rises with the devices that take part", "holds" if rise == len(rows) else "depends",
             f"each further device adds to the mean in {rise} of {len(rows)} networks"],
            ["joined, they are more accurate than any device alone", "holds" if min(gains) > 0 else "depends",
             f"{min(gains):.1f} to {max(gains):.1f} points above the best device, mean {statistics.mean(gains):.1f}"],
            ["a silent device costs little (fault tolerance)", "depends",
             f"the first costs {min(costs):.1f} to {max(costs):.1f} points in the mean over which one it is, the one "
             f"that is missed most up to {max(worst):.1f}; at most {LOST:g} in the mean over seeds with {len(within)} "
             f"of {total} joins"],
        ]),
    ])  # fmt: skip


def page(found: dict[str, Found]) -> tuple[str, dict[str, Any]]:
    """The page, and the figures of its last line."""
    if not found:
        return "", {}
    head = (
        "# Several devices, one thing\n\n"
        "What [networks of several views](../../docs/views.md) make of three sets, by "
        "`python benchmarks/views.py --report`: trained, written as bundles, evaluated by the spans that nodes run. "
        "Views of the first two are made, by a process that was settled before any of these networks was trained "
        "([`data/made_views.py`](../../src/offramp/data/made_views.py)); those of the third are real.\n"
    )
    order = [name for name in TITLES if name in found]
    sets = [one_set(name, found[name]) for name in order]
    return "\n".join([head, *sets, claims({name: found[name] for name in order})]).rstrip() + "\n", figures(found)
