"""How many small faults the tests see: mutants of a room, each run against the tests that reach what it changes.

    python benchmarks/mutants.py exits
    python benchmarks/mutants.py nodes --sample 200 --seed 0

Needs mutmut and pytest-cov beside the program's own `dev` extra, best in an environment of its own. Mutants are those
of mutmut 3, of functions and methods; its own runner is not used, since it forks after gRPC has made threads. What is
heavy and not ours is imported once; each mutant is a fork of that, in a copy of the tree, under a time limit. A first
run of the tests records which of them reach which line.

Prints what survives as it is found, and a JSON line at the end. A mutant that changes nothing is listed with the reason
in `tests/equivalent_mutants.txt`; these and those that do not come to an end count neither as killed nor as survived.
"""

import argparse
import contextlib
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
EQUIVALENT = ROOT / "tests" / "equivalent_mutants.txt"
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
HEAVY = (
    "torch", "numpy", "scipy.stats", "scipy.special", "onnx", "onnxruntime", "sklearn.datasets", "pyarrow.parquet",
    "PIL.Image", "pydantic", "typer", "rich.console", "grpc", "tritonclient.grpc", "uvicorn", "httptools", "orjson",
    "hypothesis",
)  # fmt: skip
# A failing example need not be made small, and what is imported already is none of pytest's business.
PYTEST = ("-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0", "--hypothesis-profile=mutants")
PYTEST = (*PYTEST, "-W", "ignore::pytest.PytestAssertRewriteWarning")
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
    from mutmut.mutation.file_mutation import create_mutations, deep_replace

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
    """A copy of the tree, and forks that run tests in it."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        os.environ |= {"PYTHONPATH": str(tree / "src"), "OFFRAMP_TESTS_NETWORK": str(tree / "network")}
        sys.path[:0] = [str(tree / "src")]
        for name in HEAVY:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        from hypothesis import Phase, settings

        settings.register_profile("mutants", phases=(Phase.explicit, Phase.reuse, Phase.generate), deadline=None)

    def run(self, arguments: list[str], limit: float) -> int | None:
        """The exit code of pytest; None where it does not end in time."""
        pid = os.fork()
        if not pid:
            os.setsid()
            os.chdir(self.tree)
            quiet = os.open(os.devnull, os.O_WRONLY)
            if "--verbose" not in sys.argv:
                os.dup2(quiet, 1)
                os.dup2(quiet, 2)
            code = 70
            try:
                import pytest

                code = int(pytest.main([*PYTEST, *arguments]))
            finally:
                os._exit(code)  # no exit handlers: they would wait for threads that are the parent's
        end = time.monotonic() + limit
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done or time.monotonic() > end:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)  # and what it has started
                if not done:
                    os.waitpid(pid, 0)
                return os.waitstatus_to_exitcode(status) if done else None
            time.sleep(0.02)

    def there(self, tests: tuple[str, ...]) -> list[str]:
        """Those that this tree has."""
        return [test for test in tests if (self.tree / test).exists()]

    def reach(self, tests: tuple[str, ...], room: str) -> dict[str, dict[int, list[str]]]:
        """The tests that reach each line of each file."""
        from coverage import CoverageData

        data = str(self.tree / "reached")
        os.environ["COVERAGE_FILE"] = data
        options = [f"--cov=offramp.{room}", "--cov-context=test", "--cov-report="]
        code = self.run([*self.there(tests), *options], 1800)
        if code:
            sys.exit(f"the tests fail without a mutant: {code}")
        found = CoverageData(data)
        found.read()
        return {
            str(Path(file).relative_to(self.tree)): {
                line: sorted({context.split("|")[0] for context in contexts if context})
                for line, contexts in found.contexts_by_lineno(file).items()
            }
            for file in found.measured_files()
        }

    def judge(self, mutant: Mutant, reached: list[str], tests: tuple[str, ...], whole: tuple[str, ...]) -> str:
        """Killed, survived, or a timeout."""
        path = self.tree / mutant.file
        original = path.read_text()
        path.write_text(mutant.source)
        try:
            lines = [
                reached or [test for test in tests if (self.tree / test).exists()],
                list(whole) if not reached else [],
            ]
            for chosen in filter(None, lines):
                code = self.run(chosen, self.limit)
                if code is None:
                    return "timeouts"
                if code:
                    return "killed"
            return "survived"
        finally:
            path.write_text(original)
            for cached in path.parent.glob("__pycache__"):
                shutil.rmtree(cached)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("room", choices=TESTS)
    parser.add_argument("--sample", type=int, help="so many of them; default: all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--tree", type=Path, default=ROOT, help="of another build")
    parser.add_argument("--files", nargs="*", help="instead of the room's")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    known = {" | ".join(line.split(" | ")[:3]) for line in EQUIVALENT.read_text().splitlines() if " | " in line}
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(
            options.tree, tree, ignore=shutil.ignore_patterns(".git", ".venv", ".hypothesis", "__pycache__", ".*_cache")
        )
        bench = Bench(tree)
        start = time.monotonic()
        reached = bench.reach(TESTS[options.room], options.room)
        bench.limit = LEAST + FACTOR * (time.monotonic() - start)
        files = options.files or sorted(
            str(p.relative_to(tree)) for p in (tree / "src/offramp" / options.room).glob("*.py")
        )
        every = [mutant for file in files for mutant in mutants(file, tree)]
        if options.sample is not None and options.sample < len(every):
            every = random.Random(options.seed).sample(every, options.sample)
        counts: Counter[str] = Counter()
        for mutant in every:
            key = f"{mutant.file} | {mutant.before} | {mutant.after}"
            if key in known:
                verdict = "equivalent"
            else:
                tests = reached.get(mutant.file, {}).get(mutant.line, [])
                verdict = bench.judge(mutant, tests, TESTS[options.room], WHOLE[options.room])
            counts[verdict] += 1
            if verdict in ("survived", "timeouts"):
                print(f"{verdict}: {mutant}", flush=True)
    told = counts["killed"] + counts["survived"]
    figures = {name: counts[name] for name in ("killed", "survived", "timeouts", "equivalent")}
    share = round(counts["killed"] / told, 4) if told else None
    print(json.dumps({"room": options.room, "seed": options.seed, "mutants": len(every), **figures, "share": share}))


if __name__ == "__main__":
    main()
