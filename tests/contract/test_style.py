"""The limits of the house: sizes, parameters, who imports whom, no prints, no pickles."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from repo import PACKAGE, ROOT

MOST_FILE_LINES = 400
MOST_FUNCTION_LINES = 60
MOST_PARAMETERS = 5

SOURCES = sorted(PACKAGE.rglob("*.py"))
EVERYTHING = [*SOURCES, *sorted((ROOT / "tests").rglob("*.py")), *sorted(ROOT.glob("scripts/*.py"))]
Function = ast.FunctionDef | ast.AsyncFunctionDef

MAY_IMPORT = {
    "errors": set(),
    "types": set(),
    "extras": {"errors"},
    "text": {"types", "errors"},
    "runtime": {"text", "types", "errors", "extras"},
    "guard": {"runtime", "text", "types", "errors"},
    "report": {"types", "errors"},
    "gallery": {"types", "errors"},
    "scan": {"guard", "report", "types", "errors", "extras"},
    "train": {"text", "runtime", "bench.metrics", "types", "errors", "extras", "gallery"},
    "bench": {"guard", "runtime", "text", "types", "errors", "extras"},
    "robust": {"bench", "types", "errors", "extras"},
    "release": {
        *("bench", "train", "guard", "runtime", "text", "types", "errors", "extras", "gallery"),
    },
}


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(path: Path) -> Iterator[Function]:
    return (node for node in ast.walk(tree_of(path)) if isinstance(node, Function))


def where(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def test_files_are_short():
    lengths = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in EVERYTHING}
    assert {name: n for name, n in lengths.items() if n > MOST_FILE_LINES} == {}


def test_functions_are_short():
    long = [
        f"{where(path, node)} {node.name}"
        for path in EVERYTHING
        for node in functions(path)
        if (node.end_lineno or node.lineno) - node.lineno + 1 > MOST_FUNCTION_LINES
    ]
    assert long == []


def test_functions_take_few_parameters():
    many = []
    for path in SOURCES:
        for node in functions(path):
            arguments = node.args
            names = [a.arg for a in arguments.posonlyargs + arguments.args + arguments.kwonlyargs]
            if len([name for name in names if name not in ("self", "cls")]) > MOST_PARAMETERS:
                many.append(f"{where(path, node)} {node.name}")
    assert [place for place in many if "/cli/" not in place] == []


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def own_imports(path: Path) -> Iterator[tuple[ast.AST, str]]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pangolin_guard."):
            yield node, str(node.module).removeprefix("pangolin_guard.")
        elif isinstance(node, ast.ImportFrom) and node.module == "pangolin_guard":
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("pangolin_guard."):
                    yield node, alias.name.removeprefix("pangolin_guard.")


def test_rooms_import_in_one_direction():
    wrong = []
    for path in SOURCES:
        room = room_of(path)
        if room in MAY_IMPORT:
            allowed = MAY_IMPORT[room] | {room, "_version", "__version__"}
            for node, target in own_imports(path):
                if not any(target == name or target.startswith(f"{name}.") for name in allowed):
                    wrong.append(f"{where(path, node)} imports {target}")
    assert wrong == []


def test_own_imports_stand_at_the_top_outside_the_command_line():
    wrong = []
    for path in SOURCES:
        if room_of(path) == "cli":
            continue
        inside = [node for function in functions(path) for node in ast.walk(function)]
        wrong += [
            where(path, node)
            for node in inside
            if isinstance(node, ast.ImportFrom)
            and (node.module or "").partition(".")[0] == "pangolin_guard"
        ]
    assert wrong == []


@pytest.mark.parametrize(
    "word", ["pickle", "joblib", "trust_remote_code=True", "shelve", "marshal"]
)
def test_nothing_that_runs_a_files_code_is_used(word):
    users = []
    for path in SOURCES:
        code = path.read_text(encoding="utf-8")
        names = {
            name
            for node in ast.walk(ast.parse(code))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in [getattr(node, "module", None) or "", *(a.name for a in node.names)]
        }
        if word in names or ("=" in word and word in code.replace(" ", "")):
            users.append(str(path.relative_to(ROOT)))
    assert users == []


def test_every_module_begins_by_saying_what_it_is():
    bare = [str(path.relative_to(ROOT)) for path in SOURCES if not ast.get_docstring(tree_of(path))]
    assert bare == []
