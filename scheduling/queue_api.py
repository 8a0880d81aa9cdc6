"""The queue over HTTP: look at it, hold, release, boost, reorder."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.http import HttpResponse
from django.urls import path
from django.utils.timezone import now  # noqa: TID251 - views read the clock
from rest_framework.views import APIView

from agents.http import Query, fields_of, orjson_response, wrong
from scheduling import queue_moves, queue_view, why, why_not, why_reader
from scheduling.api import find, told
from scheduling.models import Run

MOST_NOTE_CHARS = 200
MOST_RUNS = 500  # changed by one request
FARTHEST_PAGE = 100_000
FORECAST_STEPS = 60  # for a page; one run's own answer looks further
ACTIONS = ("hold", "release", "boost", "cancel")


class QueueView(APIView):
    """GET queue/: the line in the planner's order, in pages; `cursor` is `next`."""

    def get(self, request: Any) -> HttpResponse:
        query = Query(request)
        skip = query.integer("cursor", 0, maximum=FARTHEST_PAGE) or 0
        at = now()
        outlook = why_reader.read(at)
        about = outlook.forecast(most_steps=FORECAST_STEPS).starts
        slow = (
            outlook.slow().forecast(most_steps=FORECAST_STEPS).starts if about else {}
        )
        starts = {pk: (begins, slow.get(pk)) for pk, begins in about.items()}
        page = queue_view.queue(query.limit, at, skip=skip, starts=starts)
        return orjson_response(page)


class HoldRun(APIView):
    def post(self, request: Any, uid: str) -> HttpResponse:
        body = fields_of(request.data, allowed=["note"])
        who: dict[str, Any] = {"actor": request.actor, "now": now()}
        queue_moves.hold(find(uid), note=note_of(body), **who)
        return told(uid)


class ReleaseRun(APIView):
    def post(self, request: Any, uid: str) -> HttpResponse:
        fields_of(request.data, allowed=[])
        queue_moves.release(find(uid), actor=request.actor, now=now())
        return told(uid)


class BoostRun(APIView):
    """{"levels": 1 to 4} or {"to": "front"}; nothing said: to the front."""

    def post(self, request: Any, uid: str) -> HttpResponse:
        body = fields_of(request.data, allowed=["levels", "to"])
        boost_as(body, request.actor)(find(uid))
        return told(uid)


class Reorder(APIView):
    """POST queue/reorder/: {run, before: uid} or {run, after: uid}."""

    def post(self, request: Any) -> HttpResponse:
        body = fields_of(
            request.data, allowed=["run", "before", "after"], required=["run"]
        )
        if ("before" in body) == ("after" in body):
            raise wrong("before", "say exactly one of before and after")
        before = "before" in body
        run = find(uid_of(body, "run"))
        beside = find(uid_of(body, "before" if before else "after"))
        who: dict[str, Any] = {"actor": request.actor, "now": now()}
        queue_moves.reorder(run, beside, before=before, **who)
        return told(run.uid)


class Bulk(APIView):
    """POST queue/bulk/: {runs: [uid], action, and what the action takes}."""

    def post(self, request: Any) -> HttpResponse:
        body = fields_of(
            request.data,
            allowed=["runs", "action", "note", "levels", "to"],
            required=["runs", "action"],
        )
        return orjson_response(queue_moves.bulk(uids_of(body), self.act(body, request)))

    def act(self, body: dict[str, Any], request: Any) -> Any:
        action = body["action"]
        if not isinstance(action, str) or action not in ACTIONS:
            raise wrong("action", f"expected one of {', '.join(ACTIONS)}")
        allowed = {"hold": ("note",), "boost": ("levels", "to")}.get(action, ())
        for name in ("note", "levels", "to"):
            if name in body and name not in allowed:
                raise wrong(name, f"{action} does not take it")
        who: dict[str, Any] = {"actor": request.actor, "now": now()}
        match action:
            case "hold":
                return partial(queue_moves.hold, note=note_of(body), **who)
            case "release":
                return partial(queue_moves.release, **who)
            case "boost":
                return boost_as(body, request.actor)
            case _:
                return partial(queue_moves.cancel, **who)


class WhyRun(APIView):
    """GET runs/{uid}/why/: what is in its way, what would start it, when it will."""

    def get(self, request: Any, uid: str) -> HttpResponse:
        Query(request)
        return orjson_response(why.why(find(uid), now=now()))


class WhyOccurrence(APIView):
    """GET occurrences/{id}/why/: why it did not run, and what would have to differ."""

    def get(self, request: Any, occurrence_id: str) -> HttpResponse:
        Query(request)
        return orjson_response(why_not.why_not(occurrence_id, now=now()))


def boost_as(body: dict[str, Any], actor: str) -> Any:
    """What to do to a run that is boosted as the body says."""
    who: dict[str, Any] = {"actor": actor, "now": now()}
    if "levels" not in body:
        if body.get("to", "front") != "front":
            raise wrong("to", 'expected "front"')
        return partial(queue_moves.boost_to_front, **who)
    if "to" in body:
        raise wrong("to", "say levels or to, not both")
    levels = body["levels"]
    if isinstance(levels, bool) or not isinstance(levels, int) or not 1 <= levels <= 4:
        raise wrong("levels", "expected a whole number from 1 to 4")
    return partial(_boost, levels, **who)


def _boost(levels: int, run: Run, **who: Any) -> None:
    queue_moves.boost(run, levels, **who)


def note_of(body: dict[str, Any]) -> str:
    note = body.get("note", "")
    if not isinstance(note, str) or len(note) > MOST_NOTE_CHARS or "\0" in note:
        raise wrong("note", f"expected a text of at most {MOST_NOTE_CHARS} characters")
    return note.strip()


def uid_of(body: dict[str, Any], name: str) -> str:
    uid = body[name]
    if not isinstance(uid, str) or "\0" in uid:
        raise wrong(name, "expected a run's uid")
    return uid


def uids_of(body: dict[str, Any]) -> list[str]:
    uids = body["runs"]
    if not isinstance(uids, list) or not 1 <= len(uids) <= MOST_RUNS:
        raise wrong("runs", f"expected a list of 1 to {MOST_RUNS} uids")
    if not all(isinstance(uid, str) and "\0" not in uid for uid in uids):
        raise wrong("runs", "expected uids of runs")
    return uids


routes = [
    path("queue/", QueueView.as_view(), name="queue"),
    path("queue/reorder/", Reorder.as_view(), name="queue-reorder"),
    path("queue/bulk/", Bulk.as_view(), name="queue-bulk"),
    path("runs/<str:uid>/hold/", HoldRun.as_view(), name="run-hold"),
    path("runs/<str:uid>/release/", ReleaseRun.as_view(), name="run-release"),
    path("runs/<str:uid>/boost/", BoostRun.as_view(), name="run-boost"),
    path("runs/<str:uid>/why/", WhyRun.as_view(), name="run-why"),
    path("occurrences/<str:occurrence_id>/why/", WhyOccurrence.as_view()),
]
