"""What may be done to a schedule. The only writer of Schedule rows besides firing.

Every change raises the version, has its Event in the same transaction, and can be
taken back. A change never frees an instant that was decided: what was due stays
written down, and the new rule counts from now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

from django.conf import settings
from django.db import transaction

from agents import agent_registry, journal, redis
from agents.errors import ChangedMeanwhile, Invalid, NotAllowedNow, NotFound
from agents.http import iso
from agents.models import Agent, Event
from scheduling import books, event_checks, event_watchers, graph_schedules
from scheduling.kinds import KINDS
from scheduling.models import Occurrence, Schedule
from scheduling.schedule_input import Checked, parse_schedule, shape_of
from scheduling.schedule_surroundings import check_shift, surround
from scheduling.schedule_undo import Undoable
from scheduling.timetables import checked_timetable
from scheduling.triggers.timetable import Timetable

TIMING = (
    *("kind", "rule", "anchor_at", "shift_s", "timezone", "dst", "start_at", "end_at"),
    *("jitter_s", "exdates", "place", "calendar"),
)
SPACING_OF = 50  # firings looked at to see how close they come


def find(uid: str, *, ended_too: bool = True) -> Schedule:
    """Raises NotFound."""
    known = Schedule.objects.select_related("agent__current", "split_from")
    found = known.filter(uid=uid).first() if uid.isascii() and len(uid) <= 32 else None
    if found is None or (found.ended_at is not None and not ended_too):
        raise NotFound("there is no such schedule")
    return found


def locked(uid: str) -> Schedule:
    """The row to change, inside the caller's transaction. Raises NotFound, and
    NotAllowedNow when it has ended."""
    find(uid)
    row = Schedule.objects.select_for_update(of=("self",)).select_related(
        "agent__current", "split_from"
    )
    schedule = row.get(uid=uid)
    if schedule.ended_at is not None:
        raise NotAllowedNow("the schedule has ended; make another one")
    return schedule


def create(
    agent: Agent | None, raw: Mapping[str, Any], *, actor: str, now: datetime
) -> Schedule:
    """A schedule from its HTTP shape. `agent` None: the one the shape names.

    Raises Invalid naming every fault; nothing is stored then.
    """
    if agent is not None and isinstance(raw, Mapping):
        raw = {**raw, "agent": agent.agent_id}
    checked = parse_schedule(raw, default_zone=settings.TIME_ZONE)
    schedule = Schedule(
        agent=agent or _agent(checked),
        **checked.columns,
        anchor_at=anchor_of(checked.columns, now),
        cursor_at=now,
        created_at=now,
        created_by=actor,
    )
    surround(schedule)
    check_gang(schedule)
    check_it_fires(schedule, now)
    with transaction.atomic():
        schedule.save()
        schedule.next_due_at = books.next_due(schedule)
        schedule.save(update_fields=["next_due_at"])
        tell("schedule.created", schedule, actor, now, rule=schedule.rule)
    return schedule


def _agent(checked: Checked) -> Agent:
    """Who runs; of a graph the agent that its first node runs."""
    if graph := checked.columns["graph"]:
        return graph_schedules.lead(graph)
    try:
        return agent_registry.resolve(checked.agent_id)
    except NotFound as unknown:
        raise Invalid(f"agent: {unknown}", {"agent": [str(unknown)]}) from None


def check_gang(schedule: Schedule) -> None:
    """Raises Invalid for several at once of an agent that there is only one of."""
    if schedule.gang and schedule.agent.kind == "persistent":
        said = f"{schedule.agent.agent_id} is persistent; there is only one run of it"
        raise Invalid(f"gang: {said}", {"gang": [said]})


def anchor_of(columns: Mapping[str, Any], now: datetime) -> datetime | None:
    """Where an interval counts from: its start, else the second it was made in."""
    if not KINDS[columns["kind"]].anchored:
        return None
    start_at: datetime | None = columns["start_at"]
    return start_at or now.replace(microsecond=0)


def check_it_fires(schedule: Schedule, now: datetime) -> None:
    """Raises Invalid for a rule that will never fire, or a jitter wider than the time
    between two firings."""
    check_it_can(schedule)
    if not KINDS[schedule.kind].timed:
        event_checks.check(schedule)
        return
    timetable = checked_timetable(schedule)
    first = timetable.next_after(now)
    if first is None:
        said = "it never fires from now on, within its start, end and exdates"
        if schedule.kind == "run_at":
            said = "is in the past, or not between start_at and end_at"
        raise Invalid(f"{schedule.kind}: {said}", {schedule.kind: [said]})
    check_shift(timetable, first)
    spacing = shortest_spacing(timetable, now)
    if spacing is not None and schedule.jitter_s > spacing.total_seconds():
        said = f"longer than the {spacing.total_seconds():g} s between two runs"
        raise Invalid(f"jitter: {said}", {"jitter": [said]})


def check_it_can(schedule: Schedule) -> None:
    """Raises Invalid for a rule that names what is not there."""
    try:
        KINDS[schedule.kind].check(schedule.rule)
    except ValueError as error:
        raise Invalid(
            f"{schedule.kind}: {error}", {schedule.kind: [str(error)]}
        ) from None


def shortest_spacing(timetable: Timetable, after: datetime) -> timedelta | None:
    far = datetime.max.replace(tzinfo=UTC)
    ahead = timetable.between(after, far, at_most=SPACING_OF)
    return min((b - a for a, b in pairwise(ahead)), default=None)


def change(
    schedule: Schedule, raw: Mapping[str, Any], *, actor: str, now: datetime
) -> tuple[Schedule, str]:
    """Change some keys; the rest stays. Returns the schedule and an undo token.

    Raises Invalid, ChangedMeanwhile when `base_version` is not the current one, and
    NotAllowedNow for a schedule that has ended.
    """
    if not isinstance(raw, Mapping):
        raise Invalid("expected a JSON object with what is to change")
    raw = dict(raw)
    base_version = raw.pop("base_version", None)
    with transaction.atomic():
        row = locked(schedule.uid)
        check_version(row, base_version)
        checked = _merged(row, raw)
        before = Undoable(f"change of {row}", row)
        was = {name: getattr(row, name) for name in (*TIMING, "enabled")}
        was_sent = _sent(row, raw)
        _apply(row, checked, before, actor, now)
        surround(row)
        check_gang(row)
        changed = {n for n in checked.columns if n in was and was[n] != getattr(row, n)}
        if changed & set(TIMING):
            check_it_fires(row, now)
        save(row)
        token = before.keep(actor=actor, now=now)
        told = {"before": was_sent, "after": _sent(row, raw)}
        tell("schedule.changed", row, actor, now, changed=sorted(raw), **told)
    return row, token


def _sent(row: Schedule, keys: Iterable[str]) -> dict[str, Any]:
    """What these keys are, as people send them; for the journal."""
    shape = shape_of({c: getattr(row, c) for c in SHAPED}, row.agent.agent_id)
    return {key: shape.get(key) for key in keys}


def _merged(row: Schedule, raw: dict[str, Any]) -> Checked:
    """The present shape with the given keys laid over it, checked as a whole."""
    shape = shape_of({c: getattr(row, c) for c in SHAPED}, row.agent.agent_id)
    if "agent" in raw and raw["agent"] != shape["agent"]:
        said = "a schedule keeps its agent; make another schedule"
        raise Invalid(f"agent: {said}", {"agent": [said]})
    if raw.get("graph", row.graph or None) != (row.graph or None):
        said = "a schedule keeps its graph; make another schedule"
        raise Invalid(f"graph: {said}", {"graph": [said]})
    if any(raw.get(name) is not None for name in KINDS):
        shape.pop(row.kind)
    return parse_schedule({**shape, **raw}, default_zone=settings.TIME_ZONE)


SHAPED = (
    *("graph", "kind", "rule", "timezone", "dst", "start_at", "end_at", "jitter_s"),
    *("exdates", "overlap", "missed", "catchup_window_s", "max_runs", "params"),
    *("priority", "concurrency", "deadlines", "enabled", "place", "calendar", "gang"),
    "timeout_s",
)


def _apply(
    row: Schedule, checked: Checked, before: Undoable, actor: str, now: datetime
) -> None:
    """Lay the checked columns over the row; settle what the old rule leaves behind."""
    new = checked.columns
    timing = any(new[n] != getattr(row, n) for n in TIMING if n in new)
    if timing or (row.enabled and not new["enabled"]):
        why = "the schedule was changed before it could run"
        books.close(row, outcome="missed", reason=why, actor=actor, now=now)
    if new["enabled"] and not row.enabled:
        why = "the schedule was disabled"
        books.close(row, outcome="skipped", reason=why, actor=actor, now=now)
    if timing:
        before.timing = True
        for moved in books.planned_rows(row):
            before.row(moved)
            why = "the schedule was changed"
            books.drop(moved, outcome="skipped", reason=why, now=now)
        row.anchor_at = _new_anchor(row, new, now)
        row.cursor_at = max(row.cursor_at, now)
        if (new["kind"], new["rule"]) != (row.kind, row.rule):
            row.shift_s = 0
    for name, value in new.items():
        setattr(row, name, value)


def _new_anchor(
    row: Schedule, new: Mapping[str, Any], now: datetime
) -> datetime | None:
    """An interval keeps its beat unless its start is set anew."""
    same_start = new["start_at"] == row.start_at
    if KINDS[new["kind"]].anchored and row.anchor_at is not None and same_start:
        return row.anchor_at
    return anchor_of(new, now)


def end(schedule: Schedule, *, actor: str, now: datetime) -> str:
    """No more runs of it; live ones go on. Returns an undo token."""
    with transaction.atomic():
        row = locked(schedule.uid)
        before = Undoable(f"end of {row}", row)
        _end(row, before, actor=actor, now=now)
        return before.keep(actor=actor, now=now)


def _end(row: Schedule, before: Undoable, *, actor: str, now: datetime) -> None:
    why = f"the schedule was ended by {actor}"
    books.close(row, outcome="missed", reason=why, actor=actor, now=now)
    for planned in Occurrence.objects.filter(schedule=row, state="planned"):
        before.row(planned)
        books.drop(planned, outcome="skipped", reason=why, now=now)
    row.ended_at = now
    save(row)
    tell("schedule.ended", row, actor, now, reason=why)


def end_all(agent: Agent, *, actor: str, now: datetime) -> None:
    """End every schedule of an agent that is being retired, in its transaction. What
    starts a graph stays, and tells at each instant that the graph cannot run."""
    for schedule in Schedule.objects.filter(agent=agent, graph="", ended_at=None):
        end(schedule, actor=actor, now=now)


def pause(
    schedule: Schedule,
    *,
    actor: str,
    now: datetime,
    note: str = "",
    until: datetime | None = None,
) -> Schedule:
    """No runs until resumed; what falls into the pause is skipped with its reason.

    Raises NotAllowedNow when it is paused already, Invalid for an `until` in the past.
    """
    if until is not None and until <= now:
        raise Invalid("until: is in the past", {"until": ["is in the past"]})
    with transaction.atomic():
        row = locked(schedule.uid)
        if row.paused_at is not None:
            raise NotAllowedNow(f"it was paused by {row.paused_by} already")
        row.paused_at, row.paused_until = now, until
        row.paused_note, row.paused_by = note, actor
        save(row)
        data = {"note": note, "until": iso(until)}
        tell("schedule.paused", row, actor, now, **data)
    return row


def resume(schedule: Schedule, *, actor: str, now: datetime) -> Schedule:
    """Go on from now. Raises NotAllowedNow when it is not paused."""
    with transaction.atomic():
        row = locked(schedule.uid)
        if row.paused_at is None:
            raise NotAllowedNow("the schedule is not paused")
        reason = books.pause_reason(row)
        books.close(row, outcome="skipped", reason=reason, actor=actor, now=now)
        row.paused_at = row.paused_until = None
        row.paused_note = row.paused_by = ""
        save(row)
        tell("schedule.resumed", row, actor, now)
    return row


def save(row: Schedule) -> None:
    """Store a changed row: one version up, and when to look at it next."""
    row.version += 1
    row.next_due_at = books.next_due(row)
    row.save()


def tell(kind: str, row: Schedule, actor: str, now: datetime, **data: Any) -> None:
    """Record the event of a change, and wake the controller once it is committed."""
    data = {"version": row.version, "next_due_at": iso(row.next_due_at), **data}
    journal.record_many([books.entry(kind, row, actor, now, **data)])
    transaction.on_commit(event_watchers.forget)
    transaction.on_commit(partial(redis.wake, "schedule"), robust=True)


def check_version(row: Schedule, base_version: object) -> None:
    """Raises ChangedMeanwhile naming who changed it after the caller looked."""
    if base_version is None:
        return
    if not isinstance(base_version, int) or isinstance(base_version, bool):
        said = "expected a whole number"
        raise Invalid(f"base_version: {said}", {"base_version": [said]})
    if base_version != row.version:
        raise ChangedMeanwhile(
            f"{last_change(row)}; you saw version {base_version}, it is {row.version}"
        )


def last_change(row: Schedule) -> str:
    """Who changed the schedule last, in words."""
    subject = f"schedule:{row.uid}"
    events = Event.objects.filter(subject=subject, kind__startswith="schedule.")
    last = events.order_by("-id").first()
    if last is None:
        return "the schedule was changed meanwhile"
    return f"{last.actor} changed the schedule at {iso(last.at)}"
