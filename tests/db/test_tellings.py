"""What programs say of themselves, on a real database; crash loops; lost nodes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.errors import NotAllowedNow, NotFound
from agents.executors.base import Ended, Said, WatchdogMissed
from agents.models import Agent, Event, Node
from monitor.agent_status_monitor import frame_of
from scheduling import agent_control, endings, lost_nodes, nodes, queries, tellings
from scheduling.models import Run
from scheduling.run_state import RunState as S
from tests.conftest import NOON
from tests.db.test_runs import end, kinds, log_of, node, run, start, tick  # noqa: F401

pytestmark = pytest.mark.django_db
AT = int(NOON.timestamp() * 1e9)


def say(run: Run, node: Node, *more: Any, **said: Any) -> Run:  # noqa: F811
    words = [*more, Said(run.uid, run.token, AT, **said)] if said else list(more)
    endings.apply(words, log=log_of(node), offset=3, now=NOON)
    run.refresh_from_db()
    return run


def told(run: Run) -> dict[str, Any]:  # noqa: F811
    return queries.run_row(Run.objects.values(*queries.RUN_COLUMNS).get(pk=run.pk))


def test_what_it_says_is_on_the_run(run, node) -> None:  # noqa: F811
    say(start(run, node), node, ready=True, status="up", progress=0.25)
    row = told(run)
    assert (row["ready_at"], row["status_text"], row["progress"]) == (NOON, "up", 0.25)
    (event,) = Event.objects.filter(kind="run.ready")
    assert event.data["progress"] == 0.25


def test_it_is_ready_once_and_the_first_time_counts(run, node) -> None:  # noqa: F811
    say(start(run, node), node, ready=True)
    later = Said(run.uid, run.token, AT + 10**9, ready=True)
    assert say(run, node, later).ready_at == NOON
    assert kinds(run).count("run.ready") == 1


def test_a_word_of_another_attempt_changes_nothing(run, node) -> None:  # noqa: F811
    start(run, node)
    stale = Said(run.uid, run.token - 1, AT, ready=True, status="old")
    assert say(run, node, stale).ready_at is None
    assert run.status_text == ""


def test_the_last_word_counts_though_the_run_is_over(run, node) -> None:  # noqa: F811
    end(start(run, node), node)
    assert say(run, node, progress=1.0).progress == 1.0
    assert run.state == S.SUCCEEDED


def test_the_journal_keeps_tenths_and_live_frames_have_all(
    run,  # noqa: F811
    node,  # noqa: F811
    monkeypatch,
    django_capture_on_commit_callbacks,
) -> None:
    heard: list[Any] = []
    monkeypatch.setattr(
        "agents.journal.recorded.send_robust",
        lambda sender, entries: heard.extend(entries),
    )
    start(run, node)
    with django_capture_on_commit_callbacks(execute=True):
        for n in range(1001):
            say(run, node, progress=n / 1000, status=f"step {n}")
    assert kinds(run).count("run.progress") == 11
    progress = [e for e in heard if e.kind == "run.progress"]
    assert len(progress) == 1001
    (live,) = frame_of(progress[-1:])["runs"]
    assert (live["progress"], live["status_text"]) == (1.0, "step 1000")
    assert "state" not in live


def test_an_agent_without_readiness_is_ready_when_it_runs(run, node) -> None:  # noqa: F811
    assert told(run)["ready_at"] is None
    assert not tellings.is_ready(run)
    start(run, node)
    assert told(run)["ready_at"] == run.started_at
    assert tellings.is_ready(run)


def test_a_missed_watchdog_ends_the_run_as_failed(run, node) -> None:  # noqa: F811
    start(run, node)
    say(run, node, WatchdogMissed(run.uid, run.token, AT, 31.2))
    assert (run.state, run.reason) == (
        S.STOPPING,
        "missed its watchdog: silent for 31 s",
    )
    end(run, node, exit_code=None, signal=15, stopped=True)
    assert (run.state, run.reason) == (
        S.FAILED,
        "missed its watchdog: silent for 31 s",
    )


def test_a_watchdog_and_the_end_it_caused_may_be_read_together(run, node) -> None:  # noqa: F811
    start(run, node)
    over = Ended(run.uid, run.token, AT, None, 15, stopped=True)
    say(run, node, WatchdogMissed(run.uid, run.token, AT, None), over)
    assert (run.state, run.reason) == (S.FAILED, "its watchdog was triggered by itself")


@given(
    st.lists(
        st.builds(
            Said,
            uid=st.sampled_from("ab"),
            token=st.just(1),
            at_ns=st.integers(0, 100),
            ready=st.booleans(),
            status=st.none() | st.sampled_from(["x", "y"]),
            progress=st.none() | st.floats(0, 1),
        )
    )
)
def test_many_words_become_one_that_says_the_same(words: list[Said]) -> None:
    merged = tellings.newest(words)
    for uid, word in merged.items():
        mine = [w for w in words if w.uid == uid]
        assert word.ready == any(w.ready for w in mine)
        statuses = [w.status for w in mine if w.status is not None]
        assert word.status == (statuses[-1] if statuses else None)
    assert set(merged) == {w.uid for w in words}


# -- crash loops ----------------------------------------------------------------------


@pytest.fixture
def service(make_agent) -> Agent:
    return make_agent(
        "service",
        kind="persistent",
        restart_backoff={"delay": 1, "max_delay": 1, "crash_loop": 3},
    )


def crash(agent: Agent, node: Node, at: Any, ran_s: float = 1.0) -> Run:  # noqa: F811
    fresh = Run.objects.filter(agent=agent, state=S.QUEUED).get()
    Run.objects.filter(pk=fresh.pk).update(due_at=at)
    start(fresh, node, at)
    return end(fresh, node, at + timedelta(seconds=ran_s), exit_code=1)


def loop_of(agent: Agent) -> Any:
    return queries.agent_columns([agent])[agent.pk]["crash_loop"]


def test_a_crash_loop_is_shown_and_not_restarted_until_it_is_reset(
    service,
    node,  # noqa: F811
) -> None:
    agent_control.want_persistent(now=NOON, reschedule_on_crash=True)
    for n in range(3):
        assert loop_of(service) is None
        last = crash(service, node, NOON + timedelta(minutes=n))
    shown = loop_of(service)
    assert shown["crashes"] == 3
    assert shown["reason"] == "crash loop: 3 crashes in a row; the last: exit code 1"
    assert queries.agent_status([service])[service.pk] == "crashed"
    assert Event.objects.filter(kind="agent.crash_loop").count() == 1
    later = NOON + timedelta(hours=1)
    assert agent_control.want_persistent(now=later, reschedule_on_crash=True) == []
    fresh = agent_control.reset_agent(service, actor="user:anna", now=later)
    assert (fresh.attempt, fresh.pk > last.pk) == (1, True)
    assert loop_of(service) is None
    assert queries.agent_status([service])[service.pk] == "sleeping"
    with pytest.raises(NotAllowedNow):
        agent_control.reset_agent(service, actor="user:anna", now=later)
    crash(service, node, later)  # counted anew
    assert queries.agent_status([service])[service.pk] == "rebooting"


def test_a_quiet_time_between_crashes_is_no_loop(service, node) -> None:  # noqa: F811
    agent_control.want_persistent(now=NOON, reschedule_on_crash=True)
    for n in range(7):
        ran_s = 90.0 if n % 2 else 1.0
        crash(service, node, NOON + timedelta(minutes=5 * n), ran_s)
    assert loop_of(service) is None
    assert Run.objects.filter(agent=service, state=S.QUEUED).exists()


def test_the_api_resets_a_crash_loop(service, node, client_of) -> None:  # noqa: F811
    agent_control.want_persistent(now=NOON, reschedule_on_crash=True)
    for n in range(3):
        crash(service, node, NOON + timedelta(minutes=n))
    operator = client_of("operator")
    shown = operator.get("/api/v1/agents/service/").json()
    assert (shown["status"], shown["crash_loop"]["crashes"]) == ("crashed", 3)
    reset = operator.post("/api/v1/agents/service/reset/")
    assert (reset.status_code, reset.json()["attempt"]) == (202, 1)
    assert operator.get("/api/v1/agents/service/").json()["crash_loop"] is None
    assert operator.post("/api/v1/agents/service/reset/").status_code == 409


# -- lost nodes -----------------------------------------------------------------------


def second_node(name: str) -> Node:
    facts = {
        "cpu_millis": 2000,
        "memory_bytes": 8 * 10**9,
        "environments": ["subprocess"],
        "boot_id": "c",
    }
    nodes.register(name, now=NOON, facts=facts)
    return Node.objects.get(name=name)


def test_work_of_a_node_declared_lost_goes_to_another(run, node) -> None:  # noqa: F811
    start(run, node)
    first = node.name
    other = second_node("n2")
    with pytest.raises(NotAllowedNow, match="is up"):
        lost_nodes.declare(first, actor="user:anna", now=NOON)
    Node.objects.filter(name=first).update(state="down")
    later = NOON + timedelta(minutes=1)
    assert lost_nodes.declare(first, actor="user:anna", now=later) == 1
    run.refresh_from_db()
    assert (run.state, run.reason) == (S.LOST, "its node n1 was declared lost")
    again = Run.objects.get(retry_of=run)
    Run.objects.filter(pk=again.pk).update(due_at=later)
    tick(later)
    again.refresh_from_db()
    assert (again.state, again.node) == (S.ADMITTED, other)
    # the node comes back, its program still alive: what it says counts no more
    end(run, node, exit_code=0)
    assert run.state == S.LOST


def test_a_node_that_is_not_there_cannot_be_lost(db) -> None:
    with pytest.raises(NotFound):
        lost_nodes.declare("nowhere", actor="user:anna", now=NOON)
