"""The documentation against the program: its commands parse, its links lead somewhere, its documents are read."""

import doctest
import importlib
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from offramp.artifacts.plan import Plan
from offramp.cli import app, learn
from offramp.models.architecture import PRESETS
from offramp.protocol.rest_body import read_request
from offramp.train.recipe import RECIPES, RecipeFile
from offramp.train.recipe import recipe as find_recipe

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "benchmarks" / "README.md",
    *sorted((ROOT / "results").glob("*/README.md")),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
EXAMPLES = sorted(file for file in (ROOT / "src").rglob("*.py") if ">>> " in file.read_text(encoding="utf-8"))
SOURCE = re.compile(r"`((?:src|tests|benchmarks|docs)/[\w./-]+|[\w/]+\.(?:py|md|html|toml|txt))`")


def blocks(page: Path, language: str) -> list[str]:
    """A page's code blocks in a language."""
    return [code for found, code in FENCE.findall(page.read_text(encoding="utf-8")) if found == language]


def commands() -> Iterator[tuple[str, str]]:
    """Each command line of the shell blocks, with the name of its page."""
    for page in PAGES:
        for block in blocks(page, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                if line.strip():
                    yield page.name, line


def verbs(command: object, *names: str) -> dict[tuple[str, ...], TyperCommand]:
    """Every verb of the program, by the words that call it: `("serve", "edge")`."""
    if isinstance(command, TyperGroup):
        return {
            key: leaf for name, child in command.commands.items() for key, leaf in verbs(child, *names, name).items()
        }
    assert isinstance(command, TyperCommand)
    return {names: command}


learn()
VERBS = verbs(get_command(app))


def parse(line: str) -> tuple[str, ...]:
    """Parse a command line as the program does, and run nothing; give its verb."""
    program, *words = shlex.split(line, comments=True)
    assert program == "offramp"
    name = next((name for name in VERBS if tuple(words[: len(name)]) == name), None)
    assert name is not None, f"no such verb: {line}"
    VERBS[name].make_context(" ".join(name), words[len(name) :])
    return name


OFFRAMP = [(page, line) for page, line in commands() if line.split()[0] == "offramp"]


@pytest.mark.parametrize(("page", "line"), OFFRAMP)
def test_every_command_parses(page: str, line: str) -> None:
    """Its verb exists, and every option and value is of a kind that the verb takes."""
    parse(line)


def composed() -> Iterator[tuple[str, str]]:
    """Each service's command line in the compose files, with the values that the environment has by default."""
    for file in ("compose.yaml", "compose.tls.yaml", "compose.tiers.yaml"):
        text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (ROOT / file).read_text(encoding="utf-8"))
        for command in re.findall(r"^    command:(?: >-)?(.*\n(?:      .*\n)*)", text, re.MULTILINE):
            yield file, "offramp " + " ".join(command.split())
        for begun in re.findall(r"^  entrypoint: >-\n((?:    .*\n)*)", text, re.MULTILINE):
            for rest in re.findall(r"<<: \*device, command: (\S+) }", text):
                yield file, " ".join([*begun.split(), rest])


@pytest.mark.parametrize(("file", "line"), [*composed()])
def test_every_command_of_a_container_parses(file: str, line: str) -> None:
    """As those of the pages do."""
    assert parse(line)[0] in ("serve", "reproduce")


def test_every_container_has_a_command() -> None:
    """As many as there are in each file, or the patterns that find them have missed some."""
    counts = {
        "compose.yaml": 3,
        "compose.tls.yaml": 3,
        "compose.tiers.yaml": 2 + 7,
    }  # of these, a device for each chain
    assert Counter(file for file, _ in composed()) == counts


def test_every_verb_is_documented() -> None:
    """A newcomer finds a command line of each in the pages."""
    assert {parse(line) for _, line in OFFRAMP} == set(VERBS)


SECTIONS = [section for page in PAGES for section in re.split(r"^#+ ", page.read_text("utf-8"), flags=re.MULTILINE)]


def unnamed(verb: tuple[str, ...]) -> list[str]:
    """Options of a verb that no section names in which the verb is called or named."""
    call = " ".join(verb)
    told = [section for section in SECTIONS if re.search(rf"offramp {call}\b|`{call}`", section)]
    words = {word for section in told for word in re.findall(r"--[\w-]+", section)}
    options = [(*option.opts, *option.secondary_opts) for option in VERBS[verb].params if option.opts[0][:2] == "--"]
    return ["/".join(names) for names in options if not words & set(names)]


def test_every_option_is_named_where_its_verb_is_described() -> None:
    """In the pages: what only `--help` knows is found by nobody who reads."""
    missing = {" ".join(verb): left for verb in VERBS if (left := unnamed(verb))}
    assert not missing, f"name these options in a section of docs/ or README.md that has `offramp VERB`: {missing}"


@pytest.mark.parametrize("page", [page.name for page in PAGES[:-1]])
def test_options_named_in_the_text_exist(page: str) -> None:
    """`--option` in backquotes is an option of some verb of the program."""
    said = [parameter for verb in VERBS.values() for parameter in verb.params]
    known = {option for parameter in said for option in (*parameter.opts, *parameter.secondary_opts)}
    text = FENCE.sub("", next(path for path in PAGES if path.name == page).read_text(encoding="utf-8"))
    named = {word for code in re.findall(r"`([^`]+)`", text) for word in code.split() if word.startswith("--")}
    assert named - known - {"--help"} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_and_named_file_exists(page: Path) -> None:
    """Relative links lead to files of the repository, and to headings that are there."""
    text = page.read_text(encoding="utf-8")
    for target in LINK.findall(text):
        if "://" in target:
            continue
        path, _, heading = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{target}: no such file"
        if heading:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings}, target
    for name in SOURCE.findall(text):
        places = (ROOT / name, ROOT / "src" / "offramp" / name, page.parent / name)
        assert any(place.exists() for place in places) or _written(name), f"`{name}`: no such file"


@pytest.mark.parametrize("target", ["demo", "test", ".venv/ready"])
def test_make_has_the_targets_that_the_readme_names(target: str) -> None:
    """The two commands, and the one that prepares them."""
    assert any(line.split("#")[0].split() == ["make", target] for _, line in commands())
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("$(READY):", "$(VENV)/ready:")
    assert re.search(rf"^{re.escape(target)}:", makefile.replace("$(VENV)", ".venv"), re.MULTILINE)


def test_documents_shown_are_read() -> None:
    """An edge takes the plan on the page, training the recipe, a node the request."""
    (plan,), recipes, (request,) = (
        blocks(ROOT / "docs" / name, "json") for name in ("pipeline.md", "training.md", "protocol.md")
    )
    assert Plan.parse(plan, "the page").exit == 4
    shown = [RecipeFile.parse(recipe, "the page") for recipe in recipes]
    found = [find_recipe(recipe.base).but(**recipe.changes) for recipe in shown]
    assert [(recipe.epochs, recipe.optimizer) for recipe in found] == [(60, "sgd"), (10, "muon")]
    read = read_request(request.replace('"… 256 numbers in [0, 1]"', ", ".join(["0.25"] * 254)).encode(), None)
    assert (read.inputs["image"].shape, read.parameters["threshold"]) == ((1, 1, 16, 16), 0.5)


def test_presets_and_recipes_are_all_described() -> None:
    """A row each."""
    text = (ROOT / "docs" / "pipeline.md").read_text(encoding="utf-8")
    for name in (*PRESETS, *RECIPES):
        assert f"| `{name}` |" in text


def _written(name: str) -> bool:
    """Files that a command writes for the user are not in the repository."""
    return name in {"report.html", "evaluation.html", "tiers.html"}


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_examples_in_docstrings_give_what_they_say(file: Path) -> None:
    """Each of them, as a reader would try it."""
    name = ".".join(file.relative_to(ROOT / "src").with_suffix("").parts)
    failed, tried = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert tried
    assert not failed
