"""Windows of time: what is skipped, moved or held back, and what a person is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from agents.errors import Invalid, Refused
from agents.models import Event, Node
from agents.priority import Priority
from scheduling import agent_scheduler, moves, runs, why, window_bars, windows
from scheduling.models import Occurrence, Run, Schedule
from scheduling.move_input import parse_wish
from scheduling.planner.admission import Admit, Wait
from scheduling.run_state import RunState
from scheduling.window_models import Window
from tests.db.schedule_fixtures import NOON, PERSON, again, at, fire, plan, runs_of

pytestmark = pytest.mark.django_db
URL = "/api/v1/windows/"
HOUR = timedelta(hours=1)
RELEASE = {
    "name": "release",
    "kind": "blackout",
    "from": "2026-11-23T13:00:00Z",
    "to": "2026-11-23T15:00:00Z",
}


@pytest.fixture
def node(db: None) -> Node:
    return node_named("a")


def node_named(name: str) -> Node:
    return Node.objects.create(
        name=name,
        state="up",
        cpu_millis=8000,
        memory_bytes=16 * 10**9,
        environments=["subprocess"],
        heartbeat_at=NOON,
    )


def window(**more: Any) -> Window:
    made = windows.create({**RELEASE, **more}, actor=PERSON, now=NOON)
    window_bars.forget()  # a test's transaction never commits
    return made


def decisions(moment: datetime) -> dict[int, str]:
    """Run -> "admitted", or why it waits."""
    found = {}
    for one in agent_scheduler.make_plan(now=moment, per_class=10):
        assert isinstance(one, Admit | Wait)
        found[one.run.id] = "admitted" if isinstance(one, Admit) else one.why.text
    return found


def run_of(agent: Any, **more: Any) -> Run:
    return runs.request_run(agent, actor=PERSON, now=NOON, **more)


def test_an_instant_in_a_blackout_is_skipped_by_name(agent: Any) -> None:
    window(policy="skip")
    schedule = plan(agent, cron="0 * * * *", overlap="allow_all")
    for hour in (12, 13, 14, 15):
        fire(at(f"{hour}:00"))
    rows = Occurrence.objects.order_by("key")
    assert [row.state for row in rows] == ["skipped", "skipped", "run"]
    assert rows[0].reason == "falls into blackout 'release'"
    assert Event.objects.filter(kind="occurrence.skipped").count() == 2
    assert len(runs_of(schedule)) == 1


def test_a_shifted_instant_runs_at_the_end_of_the_window(agent: Any) -> None:
    window(policy="shift")
    schedule = plan(agent, cron="30 13 * * *")
    assert fire(at("13:30")) == 0
    row = Occurrence.objects.get()
    assert (row.state, row.due_at, row.moved) == ("planned", at("15:00"), True)
    assert row.reason == "moved to the end of blackout 'release'"
    assert again(schedule).next_due_at == at("15:00")
    assert fire(at("14:59")) == 0
    assert fire(at("15:00")) == 1
    assert Occurrence.objects.get().nominal_at == at("13:30")
    assert Event.objects.filter(kind="occurrence.moved").count() == 1


def test_windows_that_overlap_shift_to_the_end_of_both(agent: Any) -> None:
    window(policy="shift")
    later = {"from": "2026-11-23T14:30:00Z", "to": "2026-11-23T17:00:00Z"}
    window(name="audit", policy="shift", **later)
    plan(agent, cron="30 13 * * *")
    fire(at("13:30"))
    assert Occurrence.objects.get().due_at == at("17:00")


def test_a_queued_run_waits_for_the_end_and_says_so(agent: Any, node: Node) -> None:
    window()
    plan(agent, cron="30 13 * * *")
    fire(at("13:30"))
    run = Run.objects.get()
    said = decisions(at("13:31"))[run.pk]
    assert said.startswith("waits for the end of blackout 'release' at ")
    assert "15:00" in said
    agent_scheduler.tell_waits(
        agent_scheduler.make_plan(now=at("13:31"), per_class=10), now=at("13:31")
    )
    run.refresh_from_db()
    assert run.reason == said
    assert why.why(run, now=at("13:31"))["text"] == said
    assert decisions(at("15:00")) == {run.pk: "admitted"}


def test_a_window_made_or_ended_later_holds_for_who_waits_already(
    agent: Any, node: Node
) -> None:
    run = run_of(agent)
    assert decisions(at("13:30")) == {run.pk: "admitted"}
    made = window()
    assert "release" in decisions(at("13:30"))[run.pk]
    windows.delete(made.uid, actor=PERSON, now=NOON)
    window_bars.forget()
    assert decisions(at("13:30")) == {run.pk: "admitted"}


def test_only_whom_it_concerns_waits_though_they_are_alike_to_the_planner(
    agent: Any, make_agent: Callable[..., Any], node: Node
) -> None:
    nightly = make_agent("nightly", tags=["batch"])
    window(scope={"tags": ["batch"]})
    held, free = run_of(nightly), run_of(agent)
    assert held.queue_class == free.queue_class
    found = decisions(at("13:30"))
    assert found.pop(free.pk) == "admitted"
    assert "release" in found.pop(held.pk)
    assert found == {}


def test_a_thousand_held_back_hide_nobody(
    agent: Any, make_agent: Callable[..., Any], node: Node
) -> None:
    other = make_agent("other")
    window(scope={"agents": ["worker"]})
    runs.request_many(agent, 50, actor=PERSON, now=NOON)
    free = run_of(other)
    assert decisions(at("13:30"))[free.pk] == "admitted"


def test_urgent_work_may_be_excepted(agent: Any, node: Node) -> None:
    window(policy="skip", except_priority="high")
    plan(agent, cron="30 13 * * *", priority="critical")
    low = plan(agent, cron="30 13 * * *", priority="low")
    assert fire(at("13:30")) == 1
    assert runs_of(low) == []
    normal = run_of(agent, priority=Priority.from_word("medium"))
    found = decisions(at("13:31"))
    assert found.pop(Run.objects.exclude(pk=normal.pk).get().pk) == "admitted"
    assert "release" in found[normal.pk]


def test_who_may_only_run_at_night_waits_for_the_night(agent: Any, node: Node) -> None:
    nights = {"kind": "allowed", "cron": "0 22 * * *", "duration": "8h"}
    raw = {"name": "nights", "timezone": "UTC", "policy": "shift", **nights}
    windows.create(raw, actor=PERSON, now=NOON)
    window_bars.forget()
    run = run_of(agent)
    plan(agent, cron="30 13 * * *")
    fire(at("13:30"))
    assert Occurrence.objects.get().due_at == at("22:00")
    assert "the start of window 'nights' at " in decisions(at("13:31"))[run.pk]
    assert decisions(at("22:00"))[run.pk] == "admitted"
    assert decisions(at("2026-11-24T05:59:59"))[run.pk] == "admitted"
    assert "nights" in decisions(at("2026-11-24T06:00:00"))[run.pk]


def test_a_node_in_maintenance_takes_nothing_and_others_do(
    agent: Any, node: Node
) -> None:
    window(kind="maintenance", scope={"nodes": ["a"]})
    run = run_of(agent)
    assert "maintenance 'release'" in decisions(at("13:30"))[run.pk]
    node_named("b")
    (found,) = agent_scheduler.make_plan(now=at("13:30"), per_class=10)
    assert isinstance(found, Admit)
    assert found.node == "b"


def test_a_draining_window_asks_runs_to_end_once_as_it_begins(
    agent: Any, node: Node
) -> None:
    run = run_of(agent)
    for step in ("admitted", "starting", "running"):
        run = runs.move(run, RunState(step), actor="test", now=NOON, node_id=node.pk)
    window(kind="maintenance", scope={"nodes": ["a"]}, drain=True)
    windows.drain_nodes(now=at("12:59"))
    run.refresh_from_db()
    assert run.state == "running"
    for _ in range(2):
        windows.drain_nodes(now=at("13:00"))
        window_bars.forget()
    run.refresh_from_db()
    assert (run.state, run.stop_as) == ("stopping", "preempted")
    assert run.reason == "maintenance 'release' begins"
    assert Event.objects.filter(kind="run.stopping").count() == 1


def test_a_plan_asks_nothing_more_while_there_are_no_windows(
    agent: Any, node: Node
) -> None:
    run_of(agent)
    window_bars.kept()
    with CaptureQueriesContext(connection) as seen:
        decisions(NOON)
    assert not [q for q in seen if "scheduling_window" in q["sql"]]


def test_windows_are_made_changed_shown_and_ended(editor: Any, viewer: Any) -> None:
    body = {**RELEASE, "policy": "skip", "except_priority": "high"}
    assert viewer.post(URL, body, format="json").status_code == 403
    made = editor.post(URL, body, format="json")
    assert made.status_code == 201, made.content
    uid = made.json()["id"]
    assert made.json()["scope"] == "all"
    assert editor.post(URL, body, format="json").status_code == 409
    weekly = {"cron": "0 3 * * SUN", "duration": "2h", "timezone": "UTC"}
    changed = editor.patch(f"{URL}{uid}/", weekly, format="json")
    assert changed.status_code == 200, changed.content
    told = changed.json()
    assert (told["from"], told["duration"], told["policy"]) == (None, 7200, "skip")
    assert told["next"]["to"].endswith("T05:00:00Z")
    assert [w["id"] for w in viewer.get(URL).json()["items"]] == [uid]
    assert editor.delete(f"{URL}{uid}/").status_code == 204
    assert not Window.objects.exists()
    kinds = Event.objects.filter(kind__startswith="window.").order_by("id")
    assert list(kinds.values_list("kind", flat=True)) == [
        *("window.created", "window.changed", "window.deleted"),
    ]


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("name", {"name": ""}),
        ("kind", {"kind": "party"}),
        ("scope", {"scope": {"agents": ["nobody"]}}),
        ("scope", {"scope": {"nodes": []}}),
        ("scope", {"scope": 3}),
        ("from", {"cron": "0 * * * *"}),
        ("from", {"from": None, "to": None}),
        ("from", {"from": 5}),
        ("to", {"to": "2026-11-23T13:00:00Z"}),
        ("timezone", {"timezone": "Mars/Olympus"}),
        ("policy", {"policy": "dance"}),
        ("except_priority", {"except_priority": "x"}),
        ("drain", {"drain": True}),
        ("drain", {"drain": "yes"}),
        ("color", {"color": "red"}),
        ("cron", {"from": None, "to": None, "cron": "x", "duration": 60}),
        ("duration", {"from": None, "to": None, "cron": "0 * * * *"}),
        (
            "duration",
            {"from": None, "to": None, "cron": "0 * * * *", "duration": "1h"},
        ),
    ],
)
def test_a_wrong_window_is_refused_by_field_and_not_stored(
    editor: Any, field: str, wrong: dict[str, Any]
) -> None:
    answer = editor.post(URL, {**RELEASE, **wrong}, format="json")
    assert answer.status_code == 400, answer.content
    assert field in answer.json()["fields"]
    assert not Window.objects.exists()


def test_preview_timeline_and_a_dry_move_tell_of_a_window(
    editor: Any, agent: Any, node: Node
) -> None:
    day = datetime.now(NOON.tzinfo).replace(minute=0, second=0, microsecond=0)
    first, last = day + 2 * HOUR, day + 4 * HOUR
    text = {"from": first.isoformat(), "to": last.isoformat()}
    window(policy="skip", **text)
    made = editor.post(
        "/api/v1/schedules/",
        {"agent": "worker", "run_at": (day + 3 * HOUR).isoformat()},
        format="json",
    ).json()
    notes = editor.get(f"/api/v1/schedules/{made['id']}/preview/").json()["notes"]
    assert any("falls into blackout 'release'; it will be skipped" in n for n in notes)
    (band,) = editor.get("/api/v1/timeline/").json()["windows"]
    assert (band["name"], band["kind"], band["scope"]) == ("release", "blackout", "all")
    firing = (day + 3 * HOUR).strftime("%Y%m%dT%H%M%SZ")
    wish = {"start": first.isoformat(), "scope": "this", "dry_run": True}
    url = f"/api/v1/occurrences/{made['id']}@{firing}/move/"
    moved = editor.post(url, wish, format="json")
    assert moved.status_code == 200, moved.content
    told = moved.json()
    assert told["conflicts"][0]["text"] == (
        "falls into blackout 'release'; it will be skipped"
    )
    assert "free of blackout 'release'" in str(told["suggestions"])


def test_a_window_of_nodes_lets_runs_wait(node: Node) -> None:
    with pytest.raises(Invalid, match="lets runs wait"):
        window(scope={"nodes": ["a"]}, policy="skip")


# -- moves -----------------------------------------------------------------------------


@pytest.fixture
def daily(agent: Any) -> Schedule:
    """Due at 18:00 each day."""
    return plan(agent, cron="0 18 * * *")


def moved(schedule: Schedule, to: str, *, dry_run: bool = False) -> dict[str, Any]:
    wish = parse_wish({"start": at(to).isoformat(), "dry_run": dry_run})
    occurrence = f"{schedule.uid}@20261123T180000Z"
    return moves.move(occurrence, wish, actor=PERSON, now=NOON, may_edit=True)


def test_nothing_is_moved_to_where_a_window_has_it_skipped(daily: Schedule) -> None:
    window(policy="skip")
    tried = moved(daily, "14:00", dry_run=True)
    said = "falls into blackout 'release'; it will be skipped"
    assert (tried["feasible"], tried["reason"]) == (False, said)
    with pytest.raises(Refused) as refused:
        moved(daily, "14:00")
    (told,) = refused.value.fields["start"]
    assert told.startswith(said)
    assert "2026-11-23T15:00:00Z" in told  # the nearest it could go to
    assert not Occurrence.objects.exists()
    assert moved(daily, "15:00")["feasible"]


@pytest.mark.parametrize("policy", ["shift", "queue"])
def test_what_a_window_only_puts_off_may_be_moved_there(
    daily: Schedule, policy: str
) -> None:
    window(policy=policy)
    tried, done = moved(daily, "14:00", dry_run=True), moved(daily, "14:00")
    assert (tried["feasible"], done["feasible"]) == (True, True)
    assert tried["conflicts"] == done["conflicts"] != []


def test_many_are_not_moved_where_one_would_be_skipped(daily: Schedule) -> None:
    window(policy="skip")
    ids = [f"{daily.uid}@202611{day}T180000Z" for day in (24, 23)]
    with pytest.raises(Refused, match="release"), transaction.atomic():
        moves.shift_many(ids, -4 * 3600, actor=PERSON, now=NOON)
    assert not Occurrence.objects.exists()
