"""Files and functions stay small enough to be read, and say what they are."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.house.tree import ALSO_OURS, APPS, name_of, parsed, python_files

MAX_FILE_LINES, MAX_FUNCTION_LINES = 400, 50


def too_long(path: Path) -> Iterator[str]:
    lines = len(path.read_text().splitlines())
    if lines > MAX_FILE_LINES:
        yield f"{name_of(path)} has {lines} lines"
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"{name_of(path)}: {node.name} has {lines} lines"


def says_what_it_is(path: Path) -> bool:
    tree = parsed(path)
    if len(tree.body) < 2:  # nothing, or the __future__ import alone
        return True
    says_by_name = path.name == "apps.py" or "commands" in path.parts  # has `help`
    return says_by_name or bool(ast.get_docstring(tree))


def test_files_and_functions_stay_readable() -> None:
    files = python_files(*APPS, *ALSO_OURS)
    assert [fault for path in files for fault in too_long(path)] == []


def test_a_module_says_what_it_is() -> None:
    files = python_files(*APPS, *ALSO_OURS)
    assert [name_of(path) for path in files if not says_what_it_is(path)] == []
