"""A suite whose runs are trained on the machines of a Ray cluster, into one folder that all of them see.

A run whose machine dies goes on on another from its last epoch. What comes out is what one machine gives, seed for
seed, where it trains on as many threads and a processor of the same kind.
"""

import secrets
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from offramp.artifacts.suite import SUITE, RunKey, Suite, SuiteRun, SuiteSettings
from offramp.errors import DataError
from offramp.nodes.ray.tasks import machine, places
from offramp.suite.budget import Clock, OutOfTimeError
from offramp.suite.lease import Lease, begun
from offramp.suite.run import check_unchanged, finished, loaded, open_suite_in, trained
from offramp.train.loop import LOG
from offramp.train.observe import read_log

Answer = tuple[str, tuple[str, ...], int, float]  # of a run: itself as JSON, the classes, test samples, seconds behind


def run_suite_on(
    settings: SuiteSettings,
    out: Path,
    *,
    address: str,
    cpus: float = 1.0,
    thresholds: Sequence[float] = (),
    clock: Clock,
    console: Console,
    threads: int | None = None,
) -> Suite:
    """Train what is left on a cluster, as far as the clock's budget goes; give the suite with all that is finished.

    Each run gets so many `cpus`, and trains on as many threads, or on those named. Raises what a run raises, and
    DataError where a machine does not see the folder.
    """
    out = out.resolve()
    suite = open_suite_in(settings, out)
    suite.write(out / SUITE)
    left, threads = list(suite.left), threads or max(1, int(cpus))
    sight = out / f".seen-by-all-{secrets.token_hex(4)}"
    sight.touch()
    shown = _Progress(out, console)
    try:
        with places("suite", address, cpus) as there:
            while left or there.under_way:
                while left and there.free > 0 and _time_for_another(clock):
                    key = left.pop(0)
                    told = (suite.settings.model_dump_json(), key.model_dump_json(), str(out), str(sight), threads)
                    budget = None if clock.left == float("inf") else clock.left
                    there.begin(key, _train, *told, tuple(thresholds), budget, clock.reserve)
                if not there.under_way:
                    break
                for key, answer in there.ended():
                    if answer is None:  # its budget is spent
                        left.clear()
                        continue
                    suite = _taken(suite, out, answer, clock)
                    console.print(finished(next(run for run in suite.runs if run.key == key)), highlight=False)
                shown.look([piece.key for piece in there.under_way.values()])
    finally:
        sight.unlink(missing_ok=True)
    return suite


def _time_for_another(clock: Clock) -> bool:
    try:
        clock.start()
    except OutOfTimeError:
        return False
    return True


def _taken(suite: Suite, out: Path, answer: Answer, clock: Clock) -> Suite:
    run, classes, samples, seconds = answer
    order = {key: place for place, key in enumerate(suite.settings.planned())}
    runs = sorted((*suite.runs, SuiteRun.model_validate_json(run)), key=lambda one: order.get(one.key, -1))
    suite = suite.model_copy(update={"runs": tuple(runs), "classes": classes, "test_samples": samples})
    suite.write(out / SUITE)
    clock.reserve = max(clock.reserve, seconds)
    return suite


def _train(
    settings: str,
    key: str,
    out: str,
    sight: str,
    threads: int,
    thresholds: tuple[float, ...],
    budget: float | None,
    reserve: float,
) -> Answer | None:
    """On a machine of the cluster: train one run from where it is, and give what it came to; None: out of time."""
    folder, here = Path(out), machine()
    if not Path(sight).exists():
        raise DataError(
            f"{out}: the machine {here} does not see this folder as the others do. Name one on storage that all "
            "machines of the cluster share."
        )
    whole, run = SuiteSettings.model_validate_json(settings), RunKey.model_validate_json(key)
    suite = Suite.read(folder / SUITE)
    splits = loaded(suite, whole, run.seed)
    check_unchanged(suite, splits, folder)
    clock = Clock(budget, reserve)
    lease = Lease(folder / run.folder, here, len(read_log(folder / run.folder / LOG)))
    try:
        clock.start()
        found, seconds = trained(whole, run, splits, folder, thresholds, [lease, clock], threads)
    except OutOfTimeError:
        return None
    lease.check()
    return found.model_dump_json(), splits.train.classes, len(splits.test), seconds


class _Progress:
    """What is said of runs on other machines: by their folders, a line at each epoch."""

    def __init__(self, out: Path, console: Console) -> None:
        self.out, self.console, self.said = out, console, dict[RunKey, tuple[int, int]]()
        self.since = time.monotonic()

    def look(self, keys: Sequence[RunKey]) -> None:
        """Say what is new of these."""
        for key in keys:
            records, times = read_log(self.out / key.folder / LOG), begun(self.out / key.folder)
            now, before = (len(times), len(records)), self.said.get(key, (0, 0))
            if times and now[0] > before[0]:
                where, epochs = times[-1]["machine"], times[-1]["from_epoch"]
                self.console.print(f"{key}: on {where}, from epoch {epochs}", highlight=False)
            if records and now[1] > before[1]:
                last = records[-1]
                self.console.print(f"{key}: epoch {last.epoch} of {last.of}, loss {last.loss:.3f}", highlight=False)
            self.said[key] = now
