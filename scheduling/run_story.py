"""The story of a run: all its attempts, with their steps and when they were frozen.

When a run was frozen stands in the journal alone; the row has only the sum.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from django.http import HttpResponse
from django.urls import path
from rest_framework.views import APIView

from agents.errors import NotFound
from agents.http import Query, orjson_response
from agents.models import Event
from scheduling import phases, queries
from scheduling.batch_sql import iso
from scheduling.models import Run

MOST_ATTEMPTS = 30  # a persistent agent may have had thousands
ENDS = ("run.running", "run.stopping")  # of a span in which it was frozen
FROZEN = "run.suspended"


def attempts_of(uid: str) -> list[int]:
    """The runs of the same work, the first attempt first; the newest, if many."""
    run = Run.objects.filter(uid=uid).values_list("id", "retry_of_id").first()
    if run is None:
        raise NotFound(f"no run {uid[:40]!r}")
    chain: list[int] = [run[0]]
    before: int | None = run[1]
    while before is not None and len(chain) < MOST_ATTEMPTS:
        chain.insert(0, before)
        earlier = Run.objects.filter(pk=before).values_list("retry_of_id", flat=True)
        before = earlier.first()
    for _ in range(MOST_ATTEMPTS):
        later = Run.objects.filter(retry_of_id=chain[-1]).order_by("id")
        if (following := later.values_list("id", flat=True).first()) is None:
            break
        chain.append(following)
    return chain[-MOST_ATTEMPTS:]


def frozen_spans(uids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """By uid: {"from", "to" (None: still), "reason"} of each time it was frozen."""
    kinds = (FROZEN, *ENDS)
    told = Event.objects.filter(subject__in=[f"run:{u}" for u in uids], kind__in=kinds)
    spans: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for subject, kind, at, data in told.order_by("id").values_list(
        "subject", "kind", "at", "data"
    ):
        mine = spans[subject.removeprefix("run:")]
        if kind == FROZEN:
            reason = data.get("reason")
            mine.append({"from": iso(at), "to": None, "reason": reason})
        elif mine and mine[-1]["to"] is None:
            mine[-1]["to"] = iso(at)
    return spans


def told(ids: Iterable[int]) -> list[dict[str, Any]]:
    rows = list(
        Run.objects.filter(pk__in=list(ids)).order_by("id").values(*queries.RUN_COLUMNS)
    )
    frozen = frozen_spans([row["uid"] for row in rows])
    return [
        {
            **queries.run_row(row),
            "phases": phases.of_run(row["uid"]),
            "frozen": _closed(frozen.get(row["uid"], []), row),
        }
        for row in rows
    ]


def _closed(spans: list[dict[str, Any]], row: Any) -> list[dict[str, Any]]:
    """A run that ended while it was frozen was so until then."""
    end = iso(row["ended_at"])
    return [{**span, "to": span["to"] or end} for span in spans]


class Attempts(APIView):
    """GET runs/{uid}/attempts/: all attempts at the work this run is one of."""

    def get(self, request: Any, uid: str) -> HttpResponse:
        Query(request)
        return orjson_response({"items": told(attempts_of(uid)), "next": None})


routes = [path("runs/<str:uid>/attempts/", Attempts.as_view(), name="run-attempts")]
