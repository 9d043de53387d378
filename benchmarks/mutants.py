"""How many small faults the tests see: mutants of a room, each run against the tests that reach what it changes.

    python benchmarks/mutants.py exits
    python benchmarks/mutants.py nodes --sample 200 --seed 0

Needs mutmut and pytest-cov beside the program's own `dev` extra, best in an environment of its own. Mutants are those
of mutmut 3, of functions and methods; its own runner is not used, since it forks after gRPC has made threads. Tests are
imported and collected once, in a copy of the tree; each mutant is a fork of that whose functions get the mutant's code,
under a time limit. A first run of the tests records which of them reach which line; where none does in its own process,
all are run anew, and whole nodes besides.

Prints what survives as it is found, and a JSON line at the end. A mutant that changes nothing is listed with the reason
in `tests/equivalent_mutants.jsonl`; these and those that do not come to an end count neither as killed nor as survived.
"""

import argparse
import contextlib
import inspect
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import types
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from coverage import CoverageData
from hypothesis import Phase, settings
from mutmut.mutation.file_mutation import create_mutations, deep_replace

ROOT = Path(__file__).parents[1]
EQUIVALENT = ROOT / "tests" / "equivalent_mutants.jsonl"
TESTS = {
    "exits": ("tests/exits",),
    "nodes": ("tests/nodes", "tests/client", "tests/test_children.py"),
    "protocol": ("tests/protocol", "tests/nodes", "tests/client"),
}
# Nodes as processes, for what no test reaches in its own process.
WHOLE = {
    "exits": (),
    "nodes": ("tests/system/test_link.py", "tests/system/test_faults.py", "tests/system/test_cloud_load.py"),
    "protocol": ("tests/system/test_conformance.py", "tests/system/test_bad_requests.py"),
}
PYTEST = ("-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0")
# In this process a failing example need not be made small, and hypothesis is imported before pytest can look at it.
HERE = ("--hypothesis-profile=mutants", "-W", "ignore::pytest.PytestAssertRewriteWarning")
UNCHANGED = 77  # the exit code of a fork in which no function's code is another: a decorator's or a class's line is
VERDICTS = {0: "survived", None: "timeouts"}
LEAST, FACTOR = 20.0, 2.0  # seconds a mutant may take in any case, and as a multiple of all tests without one


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    file: str
    line: int
    before: str
    after: str
    source: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} | {self.before} | {self.after}"


def mutants(file: str, tree: Path) -> list[Mutant]:
    """Every mutant that mutmut makes of a file."""
    source = (tree / file).read_text()
    module, found, *_ = create_mutations(file, source)
    made = []
    for mutation in found:
        if mutation.contained_by_top_level_function is None:
            continue  # a constant or a type's name: as mutmut itself
        changed = deep_replace(module, mutation.original_node, mutation.mutated_node).code
        pairs = zip(source.splitlines(), changed.splitlines(), strict=False)
        line = next((number for number, (old, new) in enumerate(pairs, 1) if old != new), None)
        if line is not None:  # else only the text of an annotation, or nothing at all
            before, after = (text.splitlines()[line - 1].strip() for text in (source, changed))
            made.append(Mutant(file, line, before, after, changed))
    return made


class Bench:
    """A copy of the tree, and tests that are imported and collected in it once: each mutant is a fork of that."""

    def __init__(self, tree: Path, room: str) -> None:
        self.tree, self.room, self.limit = tree, room, 600.0
        self.items: dict[str, pytest.Item] = {}
        os.chdir(tree)
        # What is written and read within one second looks unchanged to Python's own files.
        os.environ |= {"PYTHONPATH": str(tree / "src"), "OFFRAMP_TESTS_NETWORK": str(tree / "network")}
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        sys.path[:0] = [str(tree / "src")]
        settings.register_profile("mutants", phases=(Phase.explicit, Phase.reuse, Phase.generate), deadline=None)

    def there(self, tests: tuple[str, ...]) -> list[str]:
        """Those that this tree has."""
        return [test for test in tests if (self.tree / test).exists()]

    def reach(self) -> dict[str, dict[int, list[str]]]:
        """The tests that reach each line of each file."""
        data, start = str(self.tree / "reached"), time.monotonic()
        options = [f"--cov=offramp.{self.room}", "--cov-context=test", "--cov-report="]
        command = [sys.executable, "-m", "pytest", *PYTEST, *self.there(TESTS[self.room]), *options]
        done = subprocess.run(command, env=os.environ | {"COVERAGE_FILE": data}, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"the tests fail without a mutant:\n{done.stdout[-3000:]}")
        self.limit = LEAST + FACTOR * (time.monotonic() - start)
        found = CoverageData(data)
        found.read()
        return {
            str(Path(file).relative_to(self.tree)): {
                line: sorted({context.split("|")[0] for context in contexts if context})
                for line, contexts in found.contexts_by_lineno(file).items()
            }
            for file in found.measured_files()
        }

    def judge(self, mutant: Mutant, reached: list[str]) -> str:
        """Killed, survived, or a timeout."""
        path = self.tree / mutant.file
        original = path.read_text()
        path.write_text(mutant.source)
        try:
            if reached and all(test in self.items for test in reached):
                code = self._ended(self._fork(mutant, [self.items[test] for test in reached]))
                if code != UNCHANGED:
                    return VERDICTS.get(code, "killed")
            tests = self.there(TESTS[self.room] + (() if reached else WHOLE[self.room]))
            command = [sys.executable, "-m", "pytest", *PYTEST, *tests]
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            process = subprocess.Popen(command, start_new_session=True, **quiet)  # type: ignore[call-overload]
            code = self._ended(process.pid)
            process.returncode = -signal.SIGKILL if code is None else code  # waited for here, and not by itself
            return VERDICTS.get(code, "killed")
        finally:
            path.write_text(original)

    def _fork(self, mutant: Mutant, items: list[pytest.Item]) -> int:
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            os.setsid()
            if not swapped(mutant):
                code = UNCHANGED
                return 0
            for item, following in zip(items, [*items[1:], None], strict=True):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if item.session.testsfailed:
                    return 0
            code = 0
        finally:
            os._exit(code)  # no exit handlers: they would wait for threads that are the parent's
        return 0

    def _ended(self, pid: int) -> int | None:
        """The exit code; None where it does not end in time."""
        end = time.monotonic() + self.limit
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done or time.monotonic() > end:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)  # and what it has started
                if not done:
                    os.waitpid(pid, 0)
                return os.waitstatus_to_exitcode(status) if done else None
            time.sleep(0.01)


def swapped(mutant: Mutant) -> bool:
    """Give the functions of an imported module its mutant's code, whoever holds them; False where none differs."""
    name = ".".join(Path(mutant.file).with_suffix("").parts[1:])
    there, made = sys.modules[name], types.ModuleType(name)
    made.__file__ = there.__file__
    exec(compile(mutant.source, str(there.__file__), "exec"), made.__dict__)
    return sum(_swap(old, vars(made).get(key), name) for key, old in list(vars(there).items())) > 0


def _swap(old: Any, new: Any, module: str) -> int:
    if isinstance(old, type):
        if old.__module__ != module or not isinstance(new, type):
            return 0
        return sum(_swap(value, vars(new).get(key), module) for key, value in list(vars(old).items()))
    if isinstance(old, property) and isinstance(new, property):
        return _swap(old.fget, new.fget, module)
    old, new = (inspect.unwrap(getattr(one, "__func__", getattr(one, "func", one))) for one in (old, new))
    if not (isinstance(old, types.FunctionType) and isinstance(new, types.FunctionType)) or old.__module__ != module:
        return 0
    same = old.__code__ == new.__code__ and (old.__defaults__, old.__kwdefaults__) == (
        new.__defaults__,
        new.__kwdefaults__,
    )
    if not same:
        old.__code__, old.__defaults__, old.__kwdefaults__ = new.__code__, new.__defaults__, new.__kwdefaults__
    return not same


@dataclass
class Judging:
    """A pytest plugin that judges mutants in place of running the tests."""

    bench: Bench
    judge: Callable[[], None]

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """With everything collected."""
        self.bench.items = {item.nodeid: item for item in session.items}
        self.judge()
        return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("room", choices=TESTS)
    parser.add_argument("--sample", type=int, help="so many of them; default: all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--tree", type=Path, default=ROOT, help="of another build")
    parser.add_argument("--files", nargs="*", help="instead of the room's")
    options = parser.parse_args()
    known = {(one["file"], one["before"], one["after"]) for one in map(json.loads, EQUIVALENT.read_text().splitlines())}
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(options.tree, tree, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        bench = Bench(tree, options.room)
        reached = bench.reach()
        room = tree / "src" / "offramp" / options.room
        files = options.files or sorted(str(file.relative_to(tree)) for file in room.glob("*.py"))
        every = [mutant for file in files for mutant in mutants(file, tree)]
        if options.sample is not None and options.sample < len(every):
            every = random.Random(options.seed).sample(every, options.sample)
        out = os.fdopen(os.dup(1), "w")

        def judge() -> None:
            for mutant in every:
                key = (mutant.file, mutant.before, mutant.after)
                lines = {line: tests for line, tests in reached.get(mutant.file, {}).items() if tests}
                # A line without code of its own, as one of a message or a default, is its neighbours'.
                near = [max((n for n in lines if n < mutant.line), default=0), mutant.line]
                near.append(min((n for n in lines if n > mutant.line), default=0))
                tests = lines.get(mutant.line) or sorted({test for n in near for test in lines.get(n, [])})
                verdict = "equivalent" if key in known else bench.judge(mutant, tests)
                counts[verdict] += 1
                if verdict in ("survived", "timeouts"):
                    print(f"{verdict}: {mutant}", file=out, flush=True)

        log = Path(folder) / "log"
        with log.open("w") as said:
            os.dup2(said.fileno(), 1)
        pytest.main([*PYTEST, *HERE, *bench.there(TESTS[options.room])], plugins=[Judging(bench, judge)])
        if counts.total() < len(every):
            sys.exit(f"{counts.total()} of {len(every)} were judged, then:\n{log.read_text()[-3000:]}")
        told = counts["killed"] + counts["survived"]
        figures = {name: counts[name] for name in ("killed", "survived", "timeouts", "equivalent")}
        share = round(counts["killed"] / told, 4) if told else None
        line = {"room": options.room, "seed": options.seed, "mutants": len(every), **figures, "share": share}
        print(json.dumps(line), file=out, flush=True)


if __name__ == "__main__":
    main()
