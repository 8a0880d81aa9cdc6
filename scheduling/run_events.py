"""Ends of runs that fire schedules, in the transaction that ends the run.

So whatever dies in between, the end and what it fires stand together or not at all,
and the run's uid is the key: each run fires a schedule once. Where no schedule waits
for an end, an end costs nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import InterfaceError, OperationalError, transaction

from agents.errors import Refused
from scheduling import chains, event_watchers, hot_reads, triggered
from scheduling.event_watchers import Watcher
from scheduling.kinds.event import CRASHED, FINISHED
from scheduling.models import Run
from scheduling.run_state import FINAL, RunState

log = logging.getLogger(__name__)
S = RunState
ENDS = frozenset({S.SUCCEEDED, S.FAILED, S.TIMED_OUT, S.LOST})  # of its own, not asked
CRASHES = frozenset({S.FAILED, S.TIMED_OUT, S.LOST})
LOOK_BACK = timedelta(seconds=10)  # longer than any process keeps its watchers
CAUGHT_UP = 500  # runs looked at again for a new schedule


def ended(moved: Sequence[Mapping[str, Any]], to: RunState, now: datetime) -> None:
    """Fire what waits for the end of these runs, as runs.move_many answers them."""
    watchers = event_watchers.kept("run") if moved else ()
    if watchers:
        _fire_all(watchers, [run["id"] for run in moved], to, now)


def catch_up(*, now: datetime) -> None:
    """Ends that a process did not tell of, as it had not heard of the schedule yet."""
    fresh = [w for w in event_watchers.kept("run") if w.since > now - LOOK_BACK]
    if not fresh:
        return
    since = min(watcher.since for watcher in fresh)
    over = Run.objects.filter(ended_at__gte=since, state__in=sorted(FINAL))
    for pk, state, ended_at in over.values_list("pk", "state", "ended_at")[:CAUGHT_UP]:
        concerned = [w for w in fresh if ended_at and w.since <= ended_at]
        _fire_all(concerned, [pk], S(state), now)


def told(pk: int, news: str, *, key: str, why: str, now: datetime) -> None:
    """Fire what waits for news of this run that are not its end. `key`: their id."""
    watchers = event_watchers.kept("run")
    if not watchers:
        return
    run = Run.objects.select_related("agent", "parent__agent").get(pk=pk)
    spec = hot_reads.specs([run.version_id])[run.version_id]
    event = {**_told(run, news), "reason": why}
    for watcher in watchers:
        wanted = watcher.what
        about = _is_about(wanted, run.agent.agent_id, spec)
        if about and news in wanted["states"]:
            _fire(watcher, run, event, now, key=key)


def _fire_all(
    watchers: Iterable[Watcher], pks: Sequence[int], to: RunState, now: datetime
) -> None:
    rows = Run.objects.select_related("agent", "parent__agent").filter(pk__in=pks)
    runs = rows.in_bulk()
    specs = hot_reads.specs({run.version_id for run in runs.values()})
    for run in runs.values():
        for watcher in watchers:
            if fits(watcher.what, run.agent.agent_id, specs[run.version_id], to):
                _fire(watcher, run, _told(run, to), now, key=run.uid)


def fits(
    wanted: Mapping[str, Any], agent_id: str, spec: Mapping[str, Any], to: RunState
) -> bool:
    """Whether the end of this agent's run is what a schedule waits for."""
    return _is_about(wanted, agent_id, spec) and any(
        {
            FINISHED: to in ENDS,
            CRASHED: to in CRASHES and spec["kind"] == "persistent",
        }.get(state, state == to)
        for state in wanted["states"]
    )


def _is_about(
    wanted: Mapping[str, Any], agent_id: str, spec: Mapping[str, Any]
) -> bool:
    if "agent" in wanted:
        return bool(wanted["agent"] == agent_id)
    if "tag" in wanted:
        return wanted["tag"] in spec["tags"]
    return wanted["capability"] in spec["capabilities"]


def _fire(
    watcher: Watcher, run: Run, event: dict[str, Any], now: datetime, *, key: str
) -> None:
    """What goes wrong here must not hold up the end of the run."""
    refused = ""
    try:
        chains.refuse_endless(run, "this schedule")
    except Refused as endless:
        refused = str(endless)
    try:
        with transaction.atomic():
            triggered.fire(
                watcher.schedule,
                triggered.key_for("run", key),
                now=now,
                params={"event": event},
                reason=f"{event['agent']} {event['state'].replace('_', ' ')}",
                cause=run,
                refused=refused,
            )
    except (OperationalError, InterfaceError):
        raise
    except Exception:  # poison-row guard
        log.exception("the end of a run fired nothing", extra={"run": run.uid})


def _told(run: Run, to: str) -> dict[str, Any]:
    return {
        "run": run.uid,
        "agent": run.agent.agent_id,
        "state": str(to),
        "reason": run.reason,
        "exit_code": run.exit_code,
        "signal": run.signal,
    }
