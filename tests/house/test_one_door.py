"""What has one door: the files of a run, and the values of secrets."""

from __future__ import annotations

import ast

from tests.house.tree import APPS, name_of, parsed, python_files

# who may say where artefacts lie, and who may open a secret
DOORS = {
    "artefacts_name": {
        "scheduling/run_folders.py",
        "scheduling/artefacts.py",
        "scheduling/launch.py",  # tells the program
    },
    "unseal": {"agents/secret_box.py", "agents/secret_store.py"},
}


def users_of(name: str) -> set[str]:
    return {
        name_of(path)
        for path in python_files(*APPS)
        for node in ast.walk(parsed(path))
        if name in (getattr(node, "id", ""), getattr(node, "attr", ""))
        or (isinstance(node, ast.FunctionDef) and node.name == name)
    }


def test_artefacts_are_only_read_through_their_door() -> None:
    assert users_of("artefacts_name") == DOORS["artefacts_name"]


def test_secrets_are_only_opened_by_their_store() -> None:
    assert users_of("unseal") == DOORS["unseal"]


def test_nobody_else_writes_where_artefacts_lie() -> None:
    """The word in a path: only those who make the folder, and who name it."""
    saying = {
        name_of(path)
        for path in python_files("scheduling", "monitor", "kos_scheduler")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.endswith("/artefacts")
    }
    assert saying == {"scheduling/run_folders.py"}
