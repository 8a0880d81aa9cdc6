"""Moves with dependants: what becomes of those that follow, and moving them along."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agents.errors import Invalid, Refused
from agents.models import Event
from scheduling import undo
from scheduling.models import Occurrence, Schedule, Undo
from scheduling.move_input import parse_wish
from tests.db.move_fixtures import hours, move
from tests.db.schedule_fixtures import NOON, PERSON, again, at, plan

pytestmark = pytest.mark.django_db


@pytest.fixture
def chain(make_agent: Any) -> tuple[Schedule, Schedule, Schedule]:
    """extract at 13:00, score waits for it at 13:30, report for that at 14:00; the
    pager is started by extract's end."""
    make_agent("pager")
    extract = make_agent("extract", cascades=["pager"])
    score = make_agent("score", depends_on=["extract"])
    report = make_agent("report", depends_on=["score"])
    return (
        plan(extract, cron="0 13 * * *"),
        plan(score, cron="30 13 * * *"),
        plan(report, cron="0 14 * * *"),
    )


def rows(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["agent"]: row for row in answer["downstream"]}


def test_a_dry_run_tells_what_becomes_of_those_behind(chain: Any) -> None:
    answer = move(chain[0], at("13:00"), at("13:29:30"), dry_run=True)
    found = rows(answer)
    assert (found["score"]["how"], found["score"]["late_s"]) == ("late", 30)
    assert "would wait until extract has ended" in found["score"]["text"]
    assert found["score"]["path"] == ["extract", "score"]
    assert found["report"]["how"] == "keeps"
    assert found["pager"]["how"] == "follows"
    assert found["pager"]["occurrence"] is None
    assert answer["downstream_mode"] == "keep"


def test_one_that_would_go_before_what_it_waits_for_says_so(chain: Any) -> None:
    answer = move(chain[0], at("13:00"), at("13:45"), dry_run=True)
    assert rows(answer)["score"]["how"] == "before"


def test_those_behind_keep_their_times_unless_asked(chain: Any) -> None:
    answer = move(chain[0], at("13:00"), at("15:00"))
    assert answer["changed_count"] == 1
    assert [hours(one, 1) for one in chain] == [
        ["23 15:00"],
        ["23 13:30"],
        ["23 14:00"],
    ]


def test_they_move_along_by_as_much_and_one_token_takes_all_back(chain: Any) -> None:
    answer = move(chain[0], at("13:00"), at("15:00"), downstream="shift")
    assert answer["changed_count"] == 3
    assert [hours(one, 2)[-1] for one in chain] == ["24 13:00", "24 13:30", "24 14:00"]
    moved = [hours(one, 1) for one in chain]
    assert moved == [["23 15:00"], ["23 15:30"], ["23 16:00"]]
    assert rows(answer)["report"]["how"] == "shifted"
    assert rows(answer)["report"]["new_due_at"] == "2026-11-23T16:00:00Z"
    assert Event.objects.filter(kind="occurrence.moved").count() == 3
    token = answer["undo_token"]
    undo.undo_all(token, actor=PERSON, now=NOON, may_edit=False)
    assert [hours(one, 1) for one in chain] == [
        ["23 13:00"],
        ["23 13:30"],
        ["23 14:00"],
    ]


def test_a_series_takes_the_series_behind_it_along(chain: Any) -> None:
    answer = move(chain[0], at("13:00"), at("15:00"), scope="all", downstream="shift")
    assert [again(one).rule for one in chain] == [
        *("0 15 * * *", "30 15 * * *", "0 16 * * *"),
    ]
    assert answer["changed_count"] > 60
    undo.undo_all(answer["undo_token"], actor=PERSON, now=NOON, may_edit=True)
    assert [again(one).rule for one in chain] == [
        *("0 13 * * *", "30 13 * * *", "0 14 * * *"),
    ]


def test_what_follows_a_split_is_split_as_well(chain: Any) -> None:
    second = at("2026-11-24T13:00")
    answer = move(
        chain[0],
        second,
        second + timedelta(hours=1),
        scope="following",
        downstream="shift",
    )
    assert [hours(one, 2) for one in chain] == [
        ["23 13:00"],
        ["23 13:30"],
        ["23 14:00"],
    ]
    made = Schedule.objects.exclude(split_from=None).order_by("pk")
    assert [hours(one, 1) for one in made] == [
        ["24 14:00"],
        ["24 14:30"],
        ["24 15:00"],
    ]
    undo.undo_all(answer["undo_token"], actor=PERSON, now=NOON, may_edit=True)
    assert [hours(one, 2)[-1] for one in chain] == ["24 13:00", "24 13:30", "24 14:00"]


def test_a_dry_run_of_moving_along_changes_nothing(chain: Any) -> None:
    answer = move(chain[0], at("13:00"), at("15:00"), downstream="shift", dry_run=True)
    assert (answer["changed_count"], answer["undo_token"]) == (3, None)
    assert {row["how"] for row in answer["downstream"]} == {"shifted", "follows"}
    assert not Occurrence.objects.exists()
    assert not Undo.objects.exists()


def test_one_that_cannot_move_along_keeps_all_where_they_are(chain: Any) -> None:
    year = at("2027-11-24T11:50")
    with pytest.raises(Refused) as told:
        move(chain[0], at("13:00"), year, downstream="shift")
    assert "score cannot move along" in str(told.value)
    assert {one["agent"] for one in told.value.more["downstream_refused"]} == {
        *("score", "report"),
    }
    assert not Occurrence.objects.exists()
    answer = move(chain[0], at("13:00"), year, downstream="shift", dry_run=True)
    assert len(answer["downstream_refused"]) == 2


def test_to_an_earlier_time_the_first_makes_way_for_the_next(chain: Any) -> None:
    answer = move(chain[0], at("13:00"), at("12:15"), downstream="shift")
    assert [hours(one, 1) for one in chain] == [
        ["23 12:15"],
        ["23 12:45"],
        ["23 13:15"],
    ]
    assert answer["downstream_refused"] == []


def test_those_started_by_an_event_follow_by_themselves(make_agent: Any) -> None:
    first = plan(make_agent("first", tags=["etl"]), cron="0 13 * * *")
    ends = {"run": {"tag": "etl", "states": ["succeeded"]}}
    plan(make_agent("after"), event=ends)
    found = rows(move(first, at("13:00"), at("14:00"), dry_run=True))
    assert (found["after"]["via"], found["after"]["how"]) == ("event", "follows")


def test_what_is_neither_kept_nor_shifted_is_refused() -> None:
    with pytest.raises(Invalid) as told:
        parse_wish({"start": "2026-11-23T13:00:00Z", "downstream": "drop"})
    assert "downstream" in told.value.fields
