"""Rows of hooks: made due with the move that makes them so, closed once, told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents import agent_lifecycle_hooks as hooks
from agents.executors.base import Ended, NotStarted, Started
from agents.models import Event, Node, NodeLog
from monitor import retention
from monitor.agent_status_monitor import frame_of
from scheduling import endings, launch, nodes, phases, runs
from scheduling.models import Phase, Run
from scheduling.run_folders import folder_of
from scheduling.run_state import RunState
from tests.conftest import NOON

pytestmark = pytest.mark.django_db
S = RunState
FACTS = {"cpu_millis": 4000, "memory_bytes": 2**33, "boot_id": "b"}
STEPS = [
    {"when": "pre-start", "run": ["/bin/true"]},
    {"when": "pre-start", "run": ["/bin/false"]},
    {"when": "post-start", "run": ["/bin/true"]},
    {"when": "on-shutdown", "run": ["/bin/true"], "on_failure": "ignore"},
]


@pytest.fixture
def log() -> NodeLog:
    nodes.register("n1", now=NOON, facts=FACTS)
    node = Node.objects.get(name="n1")
    return NodeLog.objects.create(node=node, executor="subprocess")


def admitted(agent: Any, node: Node) -> Run:
    run = runs.request_run(agent, actor="user:test", now=NOON)
    return runs.move(
        run, S.ADMITTED, actor="scheduler", now=NOON, node_id=node.pk, admitted_at=NOON
    )


def starting(agent: Any, node: Node) -> Run:
    run = admitted(agent, node)
    launch.begin([(run.pk, run.token)], node="n1", now=NOON)
    run.refresh_from_db()
    return run


def started(run: Run) -> Started:
    return Started(run.uid, run.token, int(NOON.timestamp() * 1e9), {"pid": 1})


def ended(uid: str, token: int, code: int = 0, **more: Any) -> Ended:
    at_ns = int(NOON.timestamp() * 1e9)
    return Ended(uid, token, at_ns, exit_code=code, signal=None, **more)


def rows(run: Run) -> list[tuple[str, int, str]]:
    found = Phase.objects.filter(run=run).order_by("id")
    return list(found.values_list("when", "number", "outcome"))


def helper(run: Run, when: str, number: int) -> str:
    step = hooks.steps_of(run.version.spec["hooks"], when)[number - 1]
    return hooks.helper_uid(run.uid, step)


@pytest.fixture
def hooked(make_agent: Callable[..., Any]) -> Any:
    return make_agent("hooked", hooks=STEPS)


def test_each_phase_is_due_from_the_move_that_leads_to_it(
    hooked: Any, log: NodeLog
) -> None:
    run = starting(hooked, log.node)
    before = [("pre_start", 1, ""), ("pre_start", 2, "")]
    assert rows(run) == before
    endings.apply([started(run)], log=log, offset=1, now=NOON)
    beside = [*before, ("post_start", 1, "")]
    assert rows(run) == beside
    endings.apply([ended(run.uid, run.token)], log=log, offset=2, now=NOON)
    assert rows(run) == [*beside, ("on_shutdown", 1, "")]


def test_what_was_rolled_back_made_nothing_due(
    hooked: Any, log: NodeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = starting(hooked, log.node)

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(endings, "close_many", fail)
    with pytest.raises(RuntimeError):
        endings.apply([started(run)], log=log, offset=1, now=NOON)
    assert len(rows(run)) == 2


@pytest.mark.parametrize(
    ("end", "outcome", "detail"),
    [
        ({"code": 0}, "done", ""),
        ({"code": 3}, "failed", "ended with 3: no disk"),
        ({"code": 1, "timed_out": True}, "failed", "took over 30 s: no disk"),
        ({"code": 1, "oom_killed": True}, "failed", "ran out of memory: no disk"),
        ({"code": 1, "lost": True}, "failed", "is gone and nobody saw how it ended"),
        ({"code": 1, "stopped": True}, "stopped", "ended with 1"),
    ],
)
def test_the_end_of_a_helper_closes_its_step_with_the_offset_of_the_log(
    hooked: Any, log: NodeLog, end: dict[str, Any], outcome: str, detail: str
) -> None:
    run = starting(hooked, log.node)
    folder = folder_of(run.uid) / "hooks" / "pre-start-2"
    folder.mkdir(parents=True)
    (folder / "err").write_text("much before\n" * 1000 + "no disk\n")
    uid = helper(run, "pre_start", 2)
    endings.apply([ended(uid, run.token, **end)], log=log, offset=7, now=NOON)
    step = Phase.objects.get(run=run, number=2)
    assert (step.outcome, step.ended_at) == (outcome, NOON)
    assert step.detail.startswith(detail.partition(":")[0])
    log.refresh_from_db()
    assert log.offset == 7
    again = ended(uid, run.token, 9)
    endings.apply([again], log=log, offset=8, now=NOON + timedelta(hours=1))
    step.refresh_from_db()
    assert step.ended_at == NOON
    run.refresh_from_db()
    assert run.state == S.STARTING


def test_a_helper_that_cannot_start_says_why(hooked: Any, log: NodeLog) -> None:
    run = starting(hooked, log.node)
    refused = NotStarted(helper(run, "pre_start", 1), run.token, 0, "no such program")
    endings.apply([refused], log=log, offset=1, now=NOON)
    step = Phase.objects.get(run=run, number=1)
    assert (step.outcome, step.detail) == ("failed", "cannot start: no such program")


def test_only_helpers_whose_step_is_open_are_rightly_there(
    hooked: Any, log: NodeLog
) -> None:
    run = starting(hooked, log.node)
    first, second = (helper(run, "pre_start", n) for n in (1, 2))
    endings.apply([ended(first, run.token)], log=log, offset=1, now=NOON)
    stranger = second.replace(run.uid, "0" * 32)
    seen = {first, second, stranger, f"{second}.17"}
    assert phases.with_open_step(seen) == {second}


def test_a_step_is_told_in_the_journal_the_feed_and_the_api(
    hooked: Any, log: NodeLog, viewer: Any
) -> None:
    run = starting(hooked, log.node)
    step = phases.of(run.pk, "pre_start")[0]
    phases.begin(step, actor="node:n1", now=NOON)
    phases.finish(step, "warned", "a\nb" * 200, actor="node:n1", now=NOON)
    kinds = Event.objects.filter(subject=f"run:{run.uid}", kind__startswith="hook.")
    assert list(kinds.values_list("kind", flat=True)) == ["hook.started", "hook.warned"]
    told = viewer.get(f"/api/v1/runs/{run.uid}/").json()
    assert told["starting_at"] == "2026-11-23T12:00:00Z"
    first = told["phases"][0]
    assert first == {
        "when": "pre-start",
        "number": 1,
        "name": "/bin/true",
        "started_at": "2026-11-23T12:00:00Z",
        "ended_at": "2026-11-23T12:00:00Z",
        "outcome": "warned",
        "detail": ("a b" * 200)[:300],
    }
    assert told["phases"][1]["outcome"] == ""


def test_the_feed_says_that_a_run_changed(now: Any) -> None:
    from agents.journal import Entry

    step = {"when": "pre-start", "number": 1, "outcome": "failed"}
    data = {"agent": "a", "phase": step}
    frame = frame_of([Entry("hook.failed", "run:1", "node:n1", now, data)])
    assert frame == {"runs": [{"uid": "1", "agent": "a", "phase": step}]}


def test_a_folder_stays_until_the_last_hook_is_over(hooked: Any, log: NodeLog) -> None:
    run = starting(hooked, log.node)
    endings.apply([started(run)], log=log, offset=1, now=NOON)
    endings.apply([ended(run.uid, run.token)], log=log, offset=2, now=NOON)
    folder = folder_of(run.uid)
    folder.mkdir(parents=True, exist_ok=True)
    later = NOON + timedelta(days=400)
    retention.Keeper().turn(later, 60, retention.PREFIXES)
    assert folder.exists()
    for when in ("pre_start", "post_start", "on_shutdown"):
        phases.stop_rest(run.pk, when, "", actor="node:n1", now=later)
    retention.Keeper().turn(later, 60, retention.PREFIXES)
    assert not folder.exists()


def test_a_plain_run_pays_no_query_for_hooks(agent: Any, log: NodeLog) -> None:
    """From its start to its end the tables of hooks are not touched."""
    first = starting(agent, log.node)
    endings.apply([started(first)], log=log, offset=1, now=NOON)
    endings.apply([ended(first.uid, first.token)], log=log, offset=2, now=NOON)
    run = admitted(agent, log.node)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        launch.begin([(run.pk, run.token)], node="n1", now=NOON)
        run.refresh_from_db()
        endings.apply([started(run)], log=log, offset=3, now=NOON)
        endings.apply([ended(run.uid, run.token)], log=log, offset=4, now=NOON)
    said = [query["sql"] for query in asked]
    assert not [sql for sql in said if Phase._meta.db_table in sql]
    assert not [sql for sql in said if "agents_agentversion" in sql]
    assert run.may_follow is False


def test_commands_of_unsandboxed_agents_come_from_allowed_folders_too(
    admin: Any, tmp_path: Path
) -> None:
    from agents import live_config

    live_config.set_override("paths.entry_roots", ["/bin"], actor="user:x", now=NOON)
    asked = {
        "agent_id": "a",
        "exec_env": "subprocess",
        "entry_point": "/bin/true",
        "hooks": [{"when": "pre-start", "run": ["/usr/bin/env"]}],
    }
    refused = admin.post("/api/v1/agents/", asked, format="json")
    assert refused.status_code == 400
    said = "pre-start hook 1: programs must be under /bin"
    assert refused.json()["fields"] == {"hooks": [said]}
    asked["hooks"] = [{"when": "on-shutdown", "archive": {"to": "/etc"}}]
    refused = admin.post("/api/v1/agents/", asked, format="json")
    assert refused.status_code == 403
    assert "archive_roots" in refused.json()["fields"]["hooks"][0]


def test_the_admin_shows_the_steps_of_a_run(
    hooked: Any, log: NodeLog, admin: Any
) -> None:
    run = starting(hooked, log.node)
    page = admin.get(f"/admin/scheduling/run/{run.pk}/change/")
    assert page.status_code == 200
    assert b"/bin/false" in page.content
