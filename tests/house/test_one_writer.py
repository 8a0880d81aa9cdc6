"""What has one writer: a run's state, and the journal."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.house.tree import APPS, chain_root, name_of, parsed, python_files

RUN_WRITERS = {"scheduling/runs.py", "scheduling/batch_sql.py"}
EVENT_WRITERS = {"agents/journal.py", "agents/sealing.py", "monitor/retention.py"}
CHANGES = {"update", "delete", "bulk_update", "bulk_create", "create", "save"}
RUN_SQL = re.compile(r"\b(UPDATE|INSERT INTO|DELETE FROM)\s+scheduling_run\b", re.I)
EVENT_SQL = re.compile(r"\b(UPDATE|INSERT INTO|DELETE FROM)\s+agents_event\b", re.I)


def writes_run_state(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr="update") as call, keywords=given):
            by_name = any(keyword.arg == "state" for keyword in given)
            return by_name and is_about_runs(chain_root(call))
        case ast.Call(func=ast.Attribute(attr="save" | "bulk_update") as call):
            return is_about_runs(chain_root(call))
        case ast.Constant(value=str() as text):
            return bool(RUN_SQL.search(text))
    return False


def is_about_runs(name: str) -> bool:
    return name.lower().rstrip("s").split("_")[-1] in {"run", "attempt"}


def changes_journal(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr=verb) as call) if verb in CHANGES:
            return chain_root(call) in {"Event", "event", "events"}
        case ast.Constant(value=str() as text):
            return bool(EVENT_SQL.search(text))
    return False


def files_where(guilty: object, among: list[Path]) -> set[str]:
    assert callable(guilty)
    return {
        name_of(path)
        for path in among
        if any(guilty(node) for node in ast.walk(parsed(path)))
    }


def test_only_runs_py_writes_a_runs_state() -> None:
    assert files_where(writes_run_state, python_files(*APPS)) <= RUN_WRITERS


def test_the_journal_is_only_appended_to() -> None:
    assert files_where(changes_journal, python_files(*APPS)) <= EVENT_WRITERS


def test_these_rules_see_a_breach() -> None:
    breaches = """
Run.objects.filter(pk=1).update(state="failed")
run.save()
cursor.execute("UPDATE scheduling_run SET state = 'failed'")
Event.objects.all().delete()
"""
    nodes = list(ast.walk(ast.parse(breaches)))
    assert sum(map(writes_run_state, nodes)) == 3
    assert sum(map(changes_journal, nodes)) == 1
