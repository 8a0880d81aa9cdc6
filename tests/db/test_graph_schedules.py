"""Schedules that start graphs: once for each instant, as one unit, or not at all."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from agents import agent_registry
from agents.errors import NotAllowedNow
from agents.models import Event
from scheduling import backfills, firing, graph_runs, graph_schedules, graphs, schedules
from scheduling import timeline as timelines
from scheduling.backfills import parse_wish as backfill_of
from scheduling.models import GraphRun, Occurrence, Run, Schedule
from tests.db.schedule_fixtures import NOON, PERSON, again, at, fire, outcomes
from tests.db.test_graphs import end

pytestmark = pytest.mark.django_db
API = "/api/v1"


@pytest.fixture
def night(make_agent: Any) -> Any:
    make_agent("extract"), make_agent("score")
    nodes = [{"agent": "extract"}, {"agent": "score", "after": ["extract"]}]
    raw = {"name": "night", "nodes": nodes, "params": {"table": "users", "day": 1}}
    return graphs.create(raw, actor="t", now=NOON)


def plan(**raw: Any) -> Schedule:
    body = {"graph": "night", "cron": "0 13 * * *", **raw}
    return schedules.create(None, body, actor=PERSON, now=NOON)


def started(schedule: Schedule) -> list[GraphRun]:
    return list(GraphRun.objects.filter(schedule=schedule).order_by("pk"))


def test_an_instant_starts_the_whole_graph_with_its_params(night: Any) -> None:
    schedule = plan(params={"day": 2}, priority="high")
    assert fire(at("12:59")) == 0
    assert fire(at("13:00")) == 1
    (row,) = started(schedule)
    assert row.params == {"table": "users", "day": 2}
    assert (row.occurrence.key, row.state) == ("20261123T130000Z", "running")
    (run,) = Run.objects.all()
    assert (run.agent.agent_id, run.params, run.root_uid) == (
        *("extract", row.params),
        row.uid,
    )
    assert run.priority == 3
    assert outcomes(schedule) == {"130000": "run"}
    assert fire(at("13:01")) == 0


def test_one_instant_is_at_most_one_run_of_the_graph(night: Any) -> None:
    schedule = plan()
    fire(at("13:00"))
    occurrence = Occurrence.objects.get(schedule=schedule)
    with pytest.raises(IntegrityError), transaction.atomic():
        graph_runs.start(night, params={}, actor="t", now=NOON, occurrence=occurrence)
    assert len(started(schedule)) == 1


def test_a_leader_that_dies_while_it_starts_leaves_the_instant_to_the_next(
    night: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule, write = plan(), firing.write

    def dies(*given: Any) -> None:
        write(*given)
        raise SystemExit

    monkeypatch.setattr(firing, "write", dies)
    with pytest.raises(SystemExit):
        fire(at("13:00"))
    assert (started(schedule), outcomes(schedule)) == ([], {})
    monkeypatch.setattr(firing, "write", write)
    assert fire(at("13:00:05")) == 1
    assert len(started(schedule)) == 1


@pytest.mark.parametrize(
    ("overlap", "second", "third"),
    [
        ("skip", "skipped", "skipped"),
        ("buffer_one", "planned", "skipped"),
        ("buffer_all", "planned", "planned"),
        ("allow_all", "run", "run"),
    ],
)
def test_overlap_is_judged_by_the_graph_as_a_whole(
    night: Any, overlap: str, second: str, third: str
) -> None:
    schedule = plan(cron="0 * * * *", overlap=overlap)
    fire(at("13:00"))
    (row,) = started(schedule)
    run = Run.objects.get(root_uid=row.uid)
    end(run)  # one node is over, the graph goes on
    fire(at("14:00")), fire(at("15:00"))
    assert outcomes(schedule) == {"130000": "run", "140000": second, "150000": third}


def test_what_waited_starts_when_the_graph_has_ended(night: Any) -> None:
    schedule = plan(cron="0 * * * *", overlap="buffer_one")
    fire(at("13:00")), fire(at("14:00"))
    assert len(started(schedule)) == 1
    graph_runs.cancel(started(schedule)[0].uid, actor=PERSON, now=at("14:10"))
    assert fire(at("14:11")) == 1
    assert outcomes(schedule) == {"130000": "run", "140000": "run"}
    assert len(started(schedule)) == 2


def test_instants_that_were_missed_are_made_up_for_as_the_policy_says(
    night: Any,
) -> None:
    schedule = plan(cron="0 * * * *", missed="latest")
    assert fire(at("15:30")) == 1
    (row,) = started(schedule)
    assert row.occurrence.key == "20261123T150000Z"


def test_a_graph_that_cannot_start_is_skipped_and_says_why(
    night: Any, make_agent: Any
) -> None:
    schedule, other = plan(), plan(cron="0 13 * * 1")
    score = agent_registry.resolve("score")
    agent_registry.retire(score, actor=PERSON, now=NOON)
    make_agent("sane")
    sane = schedules.create(
        None, {"agent": "sane", "cron": "0 13 * * *"}, actor=PERSON, now=NOON
    )
    fire(at("13:00"))
    assert (outcomes(schedule), outcomes(other)) == ({"130000": "skipped"},) * 2
    said = Occurrence.objects.filter(schedule=schedule).values_list("reason", flat=True)
    assert "there is no agent" in said[0]
    told = Event.objects.filter(kind="occurrence.skipped").values_list(
        "data", flat=True
    )
    assert {one["graph"] for one in told} == {"night"}
    assert outcomes(sane) == {"130000": "run"}


def test_when_the_first_agent_is_retired_the_schedule_stays(night: Any) -> None:
    schedule = plan()
    first = agent_registry.resolve("extract")
    agent_registry.retire(first, actor=PERSON, now=NOON)
    assert again(schedule).ended_at is None
    fire(at("13:00"))
    assert outcomes(schedule) == {"130000": "skipped"}


def test_a_schedule_follows_its_graph_to_another_first_node(
    night: Any, make_agent: Any
) -> None:
    schedule = plan()
    make_agent("fetch")
    nodes = [{"agent": "fetch"}, {"agent": "extract", "after": ["fetch"]}]
    graphs.change("night", {"nodes": nodes}, actor="t", now=NOON)
    assert again(schedule).agent.agent_id == "fetch"
    fire(at("13:00"))
    assert Run.objects.get().agent.agent_id == "fetch"


def test_a_graph_stays_while_a_schedule_starts_it(night: Any) -> None:
    schedule = plan()
    with pytest.raises(NotAllowedNow):
        graphs.delete("night", actor="t", now=NOON)
    schedules.end(schedule, actor=PERSON, now=NOON)
    graphs.delete("night", actor="t", now=NOON)


def test_a_graph_is_not_backfilled(night: Any) -> None:
    wish = backfill_of({"from": "2026-11-20T00:00:00Z", "to": "2026-11-22T00:00:00Z"})
    with pytest.raises(NotAllowedNow, match="starts the graph night"):
        backfills.look(plan(), wish)


def test_the_api_tells_the_graph_in_place_of_an_agent(night: Any, editor: Any) -> None:
    body = {"graph": "night", "cron": "0 13 * * *"}
    made = editor.post(f"{API}/schedules/", body)
    assert made.status_code == 201, made.json()
    told = made.json()
    assert (told["agent"], told["graph"]) == (None, "night")
    assert "critical" not in told
    uid = told["id"]
    patched = editor.patch(f"{API}/schedules/{uid}/", {"overlap": "allow_all"})
    assert (patched.status_code, patched.json()["graph"]) == (200, "night")
    other = editor.patch(f"{API}/schedules/{uid}/", {"graph": "day"})
    assert "graph" in other.json()["fields"]
    listed = editor.get(f"{API}/schedules/?graph=night").json()["items"]
    assert [one["id"] for one in listed] == [uid]
    assert editor.get(f"{API}/schedules/?agent=extract").json()["items"] == []


def test_its_runs_and_the_timeline_tell_the_graph(night: Any, viewer: Any) -> None:
    schedule = plan()
    asked = (NOON, NOON + timedelta(days=2), "agent", "", 100, NOON)
    (first, second) = timelines.timeline(*asked)["items"]
    assert (first["graph"], first["row"]) == ("night", "extract")
    assert second["end"] - second["start"] == timedelta(seconds=120)
    fire(at("13:00"))
    (row,) = started(schedule)
    runs = viewer.get(f"{API}/runs/").json()["items"]
    assert [run["graph_run"] for run in runs] == [row.uid]
    (told,) = viewer.get(f"{API}/graph-runs/?schedule={schedule.uid}").json()["items"]
    assert told["occurrence"] == f"{schedule.uid}@20261123T130000Z"
    assert viewer.get(f"{API}/graph-runs/?schedule=x").json()["items"] == []
    why = viewer.get(f"{API}/occurrences/{told['occurrence']}/why/").json()
    assert why["graph_run"] == row.uid


@pytest.mark.parametrize(
    ("field", "raw"),
    [
        ("graph", {"graph": "nobody"}),
        ("graph", {"graph": "night", "agent": "extract"}),
        ("graph", {"graph": 7}),
        ("overlap", {"graph": "night", "overlap": "cancel_other"}),
        ("overlap", {"graph": "night", "overlap": "terminate_other"}),
        ("concurrency", {"graph": "night", "concurrency": {"key": "x", "limit": 1}}),
        ("agent", {}),
    ],
)
def test_what_a_graph_cannot_have_is_refused(
    night: Any, editor: Any, field: str, raw: dict[str, Any]
) -> None:
    refused = editor.post(f"{API}/schedules/", {"cron": "0 13 * * *", **raw})
    assert refused.status_code == 400, refused.json()
    assert field in refused.json()["fields"]
    assert not Schedule.objects.exists()


def test_the_first_node_is_one_that_waits_for_nobody(night: Any) -> None:
    assert graph_schedules.lead("night").agent_id == "extract"
