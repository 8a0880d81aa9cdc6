"""Another deadline, another end: of what waits and what runs, over HTTP and by drag."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils.timezone import now as clock

from agents.executors.fake import FakeExecutor
from agents.http import iso
from agents.models import Event
from scheduling import deadline_changes, deadlines, runs
from scheduling.deadline_changes import parse_wish
from scheduling.models import Occurrence, Run
from scheduling.run_state import RunState as S
from scheduling.supervisor import Supervisor
from tests.conftest import NOON
from tests.db.schedule_fixtures import fire, plan, runs_of
from tests.db.test_deadlines import after, begin, fresh, spawn

pytestmark = pytest.mark.django_db
API = "/api/v1"
SOON = timedelta(minutes=30)


def change(run: Run, now: datetime = NOON, **body: Any) -> dict[str, Any]:
    wish = parse_wish(body)
    return deadline_changes.change(run, wish, actor="user:anna", now=now)


def put(client: Any, run: Run, **body: Any) -> Any:
    return client.put(f"{API}/runs/{run.uid}/deadline/", body)


# --- over HTTP ----------------------------------------------------------------------


def test_a_running_run_gets_another_end_that_is_limit_and_deadline(
    operator: Any, make_agent: Callable[..., Any]
) -> None:
    now = clock()
    run = begin(spawn(make_agent(timeout="1h")), now)
    end = (now + SOON).replace(microsecond=0)
    answer = put(operator, run, finish_by=iso(end))
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert body["finish_by_at"] == body["time_limit_at"] == iso(end)
    one = fresh(run)
    assert one.limit_at == one.finish_by_at == one.deadline_at == end
    event = Event.objects.get(kind="run.deadline_changed")
    assert event.actor == "user:operator"
    assert event.data["time_limit_at"] == iso(end)
    told = operator.get(f"{API}/runs/{run.uid}/").json()
    assert (told["time_limit_at"], told["deadline_version"]) == (iso(end), 1)


def test_more_time_counts_from_the_deadline_else_from_the_limit(
    make_agent: Callable[..., Any],
) -> None:
    agent = make_agent(timeout="1h")
    limited = begin(spawn(agent))
    assert change(limited, finish_by="+30m")["finish_by_at"] == after(5400)
    bound = begin(spawn(agent, finish_by="10m"))
    assert change(bound, finish_by="+30m")["finish_by_at"] == after(2400)
    assert change(bound, finish_by="-30m")["finish_by_at"] == after(600)


def test_the_limit_can_be_left_alone(make_agent: Callable[..., Any]) -> None:
    run = begin(spawn(make_agent(timeout="1h")))
    told = change(run, finish_by="+30m", limit=False)
    assert told["time_limit_at"] == after(3600)
    assert fresh(run).limit_at is None


def test_a_dry_run_tells_and_changes_nothing(make_agent: Callable[..., Any]) -> None:
    run = begin(spawn(make_agent(timeout="1h")))
    told = change(run, finish_by="+30m", dry_run=True)
    assert told["finish_by_at"] == told["time_limit_at"] == after(5400)
    assert fresh(run).deadline is None
    assert not Event.objects.filter(kind="run.deadline_changed").exists()


def test_who_saw_an_older_deadline_changes_nothing(
    operator: Any, make_agent: Callable[..., Any]
) -> None:
    run = spawn(make_agent(), finish_by="8000h")
    assert put(operator, run, finish_by="+1h", base_version=0).status_code == 200
    stale = put(operator, run, finish_by="+1h", base_version=0)
    assert (stale.status_code, stale.json()["code"]) == (409, "changed_meanwhile")
    assert fresh(run).deadline["version"] == 1


def test_a_new_deadline_is_told_of_again_and_a_dropped_one_no_more(
    make_agent: Callable[..., Any],
) -> None:
    run = spawn(make_agent(), start_by="1m")
    deadlines.keep(now=after(61))
    assert fresh(run).deadline["missed"] == ["start"]
    change(run, after(62), start_by="+5m")
    assert fresh(run).start_by_at == after(360)
    deadlines.keep(now=after(361))
    missed = Event.objects.filter(kind="run.deadline_missed")
    assert missed.count() == 2
    change(fresh(run), after(362), start_by=None, on_missed_start="cancel")
    deadlines.keep(now=after(999))
    assert fresh(run).state == S.QUEUED


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 400, "finish_by"),
        ({"finish_by": 5}, 400, "finish_by"),
        ({"finish_by": "+soon"}, 400, "finish_by"),
        ({"finish_by": "later"}, 400, "finish_by"),
        ({"finish_by": "2020-01-01T00:00:00Z"}, 422, "finish_by"),
        ({"finish_by": "+9000h"}, 400, "finish_by"),
        ({"finish_by": "+1h", "limit": "no"}, 400, "limit"),
        ({"finish_by": "+1h", "dry_run": 1}, 400, "dry_run"),
        ({"finish_by": "+1h", "base_version": "1"}, 400, "base_version"),
        ({"on_missed_finish": "explode"}, 400, "on_missed_finish"),
        ({"on_missed_start": []}, 400, "on_missed_start"),
        ({"start_by": "+2h", "finish_by": "+1h"}, 422, "finish_by"),
        ({"deadline": "+1h"}, 400, "deadline"),
    ],
)
def test_a_bad_change_names_its_field_and_changes_nothing(
    operator: Any, make_agent: Callable[..., Any], body: Any, status: int, field: str
) -> None:
    run = spawn(make_agent())
    answer = put(operator, run, **body)
    assert answer.status_code == status, answer.content
    assert list(answer.json()["fields"]) == [field]
    assert fresh(run).deadline is None


def test_what_is_over_or_has_started_is_refused(
    operator: Any, viewer: Any, make_agent: Callable[..., Any]
) -> None:
    agent = make_agent()
    run = begin(spawn(agent))
    assert put(operator, run, start_by="+1h").status_code == 409
    assert put(viewer, run, finish_by="+1h").status_code == 403
    over = spawn(agent)
    runs.stop(over, actor="t", now=NOON)
    assert put(operator, over, finish_by="+1h").status_code == 409


def test_a_container_ends_no_later_than_it_was_told_but_sooner(
    make_agent: Callable[..., Any],
) -> None:
    agent = make_agent(exec_env="docker", entry_point="/app/x", timeout="1h")
    run = begin(spawn(agent))
    with pytest.raises(Exception, match="keeps the time limit it began with"):
        change(run, finish_by="+30m")
    change(run, finish_by="2026-11-23T12:30:00Z")
    assert fresh(run).limit_at is None
    deadlines.keep(now=after(1800))
    assert fresh(run).state == S.STOPPING


# --- to the node --------------------------------------------------------------------


def test_the_node_is_told_once_and_again_after_its_restart(
    make_agent: Callable[..., Any],
) -> None:
    run = begin(spawn(make_agent(timeout="1h")))
    change(run, finish_by="+30m")
    heard: list[tuple[str, float]] = []

    class Heard(FakeExecutor):
        environments = ("subprocess",)

        def retime(self, uid: str, *, at: float) -> None:
            heard.append((uid, at))

    first = Supervisor("n1", Heard(), lambda: (), lambda _: None)
    first.stop_pending()
    first.stop_pending()
    assert heard == [(run.uid, after(5400).timestamp())]
    Supervisor("n1", Heard(), lambda: (), lambda _: None).stop_pending()
    assert len(heard) == 2


# --- by drag ------------------------------------------------------------------------


@pytest.fixture
def running(make_agent: Callable[..., Any]) -> Run:
    """The run of an occurrence, under way since a moment."""
    began = clock().replace(microsecond=0)
    agent = make_agent(timeout="1h")
    at = iso(began + timedelta(seconds=5))
    schedule = plan(agent, run_at=at, now=began)
    assert fire(began + timedelta(seconds=5)) == 1
    (run,) = runs_of(schedule)
    return begin(run, began + timedelta(seconds=6))


def drag(client: Any, run: Run, **body: Any) -> Any:
    url = f"{API}/occurrences/{run.occurrence_key}/move/"
    return client.post(url, {"start": iso(run.started_at), **body})


def test_dragging_the_end_of_what_runs_moves_its_limit_and_its_deadline(
    operator: Any, running: Run
) -> None:
    assert running.started_at is not None
    end = running.started_at + timedelta(hours=2)
    seen = drag(operator, running, end=iso(end), dry_run=True)
    assert seen.status_code == 200, seen.content
    assert seen.json()["feasible"]
    assert fresh(running).limit_at is None
    done = drag(operator, running, end=iso(end), scope="this")
    assert done.json()["human"].endswith("at the latest")
    assert fresh(running).limit_at == fresh(running).finish_by_at == end
    assert Occurrence.objects.get().state == "run"


def test_a_dragged_end_is_taken_back_once(operator: Any, running: Run) -> None:
    assert running.started_at is not None
    end = iso(running.started_at + timedelta(hours=2))
    token = drag(operator, running, end=end).json()["undo_token"]
    back = operator.post(f"{API}/undo/{token}/", {})
    assert back.status_code == 200, back.content
    one = fresh(running)
    assert (one.finish_by_at, one.deadline_at) == (None, None)
    assert one.limit_at == running.started_at + timedelta(hours=1)
    assert operator.post(f"{API}/undo/{token}/", {}).status_code == 409


def test_what_was_changed_again_is_not_taken_back(
    operator: Any, make_agent: Callable[..., Any]
) -> None:
    run = begin(spawn(make_agent(timeout="1h")), clock())
    token = put(operator, run, finish_by="+10m").json()["undo_token"]
    assert put(operator, run, finish_by="+20m").status_code == 200
    late = operator.post(f"{API}/undo/{token}/", {})
    assert (late.status_code, late.json()["code"]) == (409, "changed_meanwhile")


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 409, None),
        (
            {"end": "2020-01-01T00:00:00Z", "start": "2019-01-01T00:00:00Z"},
            422,
            "start",
        ),
        ({"scope": "all", "end": "2099-01-01T00:00:00Z"}, 400, "scope"),
        ({"end": "2099-01-01T00:00:00Z"}, 422, "end"),
    ],
)
def test_nothing_but_the_end_of_what_runs_can_be_dragged(
    editor: Any, running: Run, body: Any, status: int, field: str | None
) -> None:
    answer = drag(editor, running, **body)
    assert answer.status_code == status, answer.content
    assert list(answer.json().get("fields", {})) == ([field] if field else [])
    assert fresh(running).limit_at is None


def test_a_stale_drag_is_refused(operator: Any, running: Run) -> None:
    assert running.started_at is not None
    end = iso(running.started_at + timedelta(hours=2))
    stale = drag(operator, running, end=end, base_version=77)
    assert (stale.status_code, stale.json()["code"]) == (409, "changed_meanwhile")


# --- told ---------------------------------------------------------------------------


def test_the_timeline_and_why_tell_of_deadlines(
    viewer: Any, running: Run, make_agent: Callable[..., Any]
) -> None:
    now = clock()
    change(running, now, finish_by="+30m")
    agent = make_agent("waits", start_by="5m", finish_by="20m")
    plan(agent, run_at=iso(now.replace(microsecond=0) + timedelta(hours=1)), now=now)
    items = {i["agent"]: i for i in viewer.get(f"{API}/timeline/").json()["items"]}
    mine = items[running.agent.agent_id]
    assert mine["finish_by_at"] == iso(fresh(running).finish_by_at)
    assert mine["end_movable"] is True
    assert items["waits"]["start_by_at"] is not None
    assert items["waits"]["end_movable"] is False
    late = spawn(agent, at=None)
    Run.objects.filter(pk=late.pk).update(due_at=NOON - timedelta(days=1))
    Run.objects.filter(pk=late.pk).update(start_by_at=NOON)
    why = viewer.get(f"{API}/runs/{late.uid}/why/").json()
    assert "deadline: not started by" in why["text"]
    assert why["start_by_at"] == iso(NOON)
