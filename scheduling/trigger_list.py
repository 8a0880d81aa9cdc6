"""What fires what: every schedule by what it waits for, how that stands, and what it
last came to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery

from agents.http import iso
from scheduling import books
from scheduling.conditions import cel, check, facts, rules, values
from scheduling.conditions.rules import Condition
from scheduling.kinds import KINDS
from scheduling.kinds.event import source_of
from scheduling.models import Occurrence, Run, Schedule
from scheduling.schedule_shapes import paused, rule_text

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "condition": ("condition",),
    "event": ("event",),
    "sun": ("solar",),
    "clock": ("cron", "interval", "run_at", "rrule", "rule"),
}
STATES = ("on", "paused", "off")
RECENT = 500  # the newest runs that are looked through for those asked for
Told = dict[str, Any]


def family_of(kind: str) -> str:
    return next(name for name, kinds in FAMILIES.items() if kind in kinds)


def rows(family: str | None, state: str | None, q: str | None) -> QuerySet[Schedule]:
    """Schedules that have not ended, as filtered."""
    found = Schedule.objects.select_related("agent").filter(ended_at=None)
    if family:
        found = found.filter(kind__in=FAMILIES[family])
    if q:
        found = found.filter(Q(agent__agent_id__icontains=q) | Q(rule__icontains=q))
    if state == "on":
        found = found.filter(enabled=True, paused_at=None)
    elif state == "paused":
        found = found.filter(enabled=True, paused_at__isnull=False)
    elif state == "off":
        found = found.filter(enabled=False)
    return found


def counts(found: QuerySet[Schedule]) -> dict[str, int]:
    """How many of each family, whichever page is shown."""
    by_kind = dict(
        found.order_by().values_list("kind").annotate(Count("id"))  # type: ignore[arg-type]
    )
    return {
        family: sum(by_kind.get(kind, 0) for kind in kinds)
        for family, kinds in FAMILIES.items()
    }


def told(schedules: Sequence[Schedule], now: datetime) -> list[Told]:
    last = last_fired(schedules)
    live = conditions_now([s for s in schedules if s.kind == "condition"], now)
    return [
        {
            "id": row.uid,
            "agent": row.agent.agent_id,
            "family": family_of(row.kind),
            "kind": row.kind,
            "source": source_of(row.rule)[0] if row.kind == "event" else None,
            "waits_for": waits_for(row),
            "rule_text": rule_text(row),
            "timed": KINDS[row.kind].timed,
            "timezone": row.timezone,
            "enabled": row.enabled,
            "agent_enabled": row.agent.enabled,
            "paused": paused(row),
            "next_due_at": iso(row.next_due_at) if KINDS[row.kind].timed else None,
            "fired_count": row.fired_count,
            "last": last.get(row.pk),
            "condition": live.get(row.pk),
            "version": row.version,
        }
        for row in schedules
    ]


def waits_for(row: Schedule) -> Told | None:
    """What of ours fires it: a hook, an agent, a node, a file."""
    if row.kind != "event":
        return None
    source, rule = source_of(row.rule)
    what = rule[source]
    return {source: what} if isinstance(what, str) else dict(what)


# -- what it last came to --------------------------------------------------------------


def last_fired(schedules: Sequence[Schedule]) -> dict[int, Told]:
    """By schedule: the newest instant or event that was decided, and its run."""
    decided = Occurrence.objects.filter(schedule=OuterRef("pk")).exclude(
        state="planned"
    )
    newest = decided.order_by("-due_at").values("id")[:1]
    mine = Schedule.objects.filter(pk__in=[s.pk for s in schedules]).order_by()
    ids = [pk for pk in mine.values_list(Subquery(newest), flat=True) if pk]
    runs = _newest_runs(ids)
    found = Occurrence.objects.select_related("schedule").filter(pk__in=ids)
    return {row.schedule_id: _fired(row, runs.get(row.pk)) for row in found}


def _newest_runs(occurrences: Sequence[int]) -> dict[int, Run]:
    few = Run.objects.filter(occurrence_id__in=occurrences).order_by("id")
    few = few.only("uid", "occurrence_id", "state", "reason", "started_at", "ended_at")
    return {run.occurrence_id: run for run in few if run.occurrence_id}


def _fired(row: Occurrence, run: Run | None) -> Told:
    return {
        "occurrence": books.occurrence_id(row.schedule, row.key),
        "at": iso(row.due_at),
        "outcome": row.state,
        "reason": row.reason or None,
        "run": run.uid if run else None,
        "state": run.state if run else None,
        "said": run.reason or None if run else None,
        "started_at": iso(run.started_at) if run else None,
        "ended_at": iso(run.ended_at) if run else None,
    }


# -- how conditions stand --------------------------------------------------------------


def conditions_now(schedules: Sequence[Schedule], now: datetime) -> dict[int, Told]:
    """Each condition asked now; what they look at is read once for all of them."""
    parsed: dict[int, Condition] = {}
    for row in schedules:
        with suppress(ValueError):
            parsed[row.pk] = rules.parse(row.rule)
    wanted = [r for one in parsed.values() for r in rules.all_references(one)]
    held = check.held_now({r.name for r in wanted if r.root == "sensors"})
    kinds, known = check.kinds_of(tuple(wanted)), facts.read(wanted, now)
    found = {}
    for row in schedules:
        condition = parsed.get(row.pk)
        if condition is None:
            continue
        zone = ZoneInfo(row.timezone)
        mine = rules.references(condition.when)
        seen = values.variables(mine, held, known, zone, now)
        try:
            level = cel.program(condition.when, kinds).level(seen)
        except ValueError as fault:
            level = cel.Level(None, str(fault))
        lacking = values.missing(mine, seen, held, now) or level.error
        shown = {
            "level": level.value,
            "values": values.by_name(mine, seen),
            "error": lacking if level.value is None else None,
            "hold": condition.hold_s,
            "cooldown": condition.cooldown_s,
        }
        found[row.pk] = shown | standing(row.trigger_state, condition)
    return found


def standing(kept: Mapping[str, Any] | None, condition: Condition) -> Told:
    """How the watch over it stands: armed, holding until, cooling until."""
    kept = kept or {}
    since, cooling = kept.get("true_since"), kept.get("cooling_until")
    until = None
    if since is not None and condition.hold_s:
        begun = datetime.fromisoformat(since)
        until = iso(begun + timedelta(seconds=condition.hold_s))
    return {
        "armed": kept.get("armed"),
        "true_since": since,
        "holds_until": until,
        "cooling_until": cooling,
        "fired_at": kept.get("fired_at"),
        "watched": bool(kept),
    }


# -- what nobody planned ---------------------------------------------------------------


def asked(at_most: int = 20) -> list[Told]:
    """Who starts agents besides schedules: by page, API, voice and other agents, of
    the newest runs; each agent and asker once, the newest first."""
    columns = ("uid", "agent__agent_id", "requested_by", "queued_at", "state")
    newest = Run.objects.order_by("-id").values(*columns, "schedule_id", "parent__uid")
    found: dict[tuple[str, str], Told] = {}
    for row in newest[:RECENT]:
        key = (row["agent__agent_id"], row["requested_by"])
        if row["schedule_id"] is not None:
            continue
        if key in found:
            found[key]["count"] += 1
        elif len(found) < at_most:
            found[key] = {
                "agent": key[0],
                "by": key[1],
                "at": iso(row["queued_at"]),
                "run": row["uid"],
                "state": row["state"],
                "parent": row["parent__uid"],
                "count": 1,
            }
    return list(found.values())
