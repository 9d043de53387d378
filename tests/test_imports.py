"""No module needs itself, imports inside functions and for types alone included; and no function is a long one."""

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import offramp

ROOT = Path(offramp.__file__).parent


@cache
def nodes(source: str) -> list[ast.AST]:
    """All that a module's text is made of."""
    return [*ast.walk(ast.parse(source))]


def imports(source: str, modules: set[str]) -> set[str]:
    """The modules that a module's text imports anywhere in it."""
    found = set()
    for node in nodes(source):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inside & modules or {node.module}
    return found & modules


def graph() -> dict[str, set[str]]:
    """What each module of the package imports of it."""
    files = {
        ".".join(("offramp", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in ROOT.rglob("*.py")
    }
    return {name: imports(path.read_text(), set(files)) - {name} for name, path in files.items()}


def test_no_import_leads_back() -> None:
    """Each module can be read after those that it imports."""
    order = list(TopologicalSorter(graph()).static_order())
    assert len(order) > 150


def test_a_cycle_through_a_function_would_be_found() -> None:
    """An import inside a function counts as one at the top does."""
    modules = {"offramp.a", "offramp.b"}
    inside = "def f():\n    from offramp import a\n    return a\n"
    found = {"offramp.a": imports("import offramp.b\n", modules), "offramp.b": imports(inside, modules)}
    assert found == {"offramp.a": {"offramp.b"}, "offramp.b": {"offramp.a"}}
    with pytest.raises(CycleError):
        TopologicalSorter(found).prepare()


def test_no_function_is_longer_than_sixty_lines() -> None:
    """With its options and docstring."""
    long = {
        f"{path.relative_to(ROOT)}: {node.name}": lines
        for path in ROOT.rglob("*.py")
        for node in nodes(path.read_text())
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > 60
    }
    assert not long
