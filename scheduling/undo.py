"""Taking back one change of a schedule by its token.

A token is good once and for a day, and only while nothing else has changed what it
would restore. Taking back is a change like any other: versions rise, events tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from agents.errors import ChangedMeanwhile, Forbidden, NotAllowedNow, NotFound
from scheduling import books, schedules
from scheduling.frames import shift_cursor
from scheduling.models import Occurrence, Schedule, Undo
from scheduling.schedule_undo import restore
from scheduling.timetables import timetable_of

GOOD_FOR = timedelta(days=1)
PASSED = "its time had passed when the change was taken back"


def undo(token: str, *, actor: str, now: datetime, may_edit: bool) -> Schedule:
    """Take back what changed one schedule; see undo_all."""
    return undo_all(token, actor=actor, now=now, may_edit=may_edit)[0]


def undo_all(
    token: str, *, actor: str, now: datetime, may_edit: bool
) -> list[Schedule]:
    """Restore what was before the change, or before all that were made together: each
    schedule as it is then. `may_edit`: the caller may change schedules, not only single
    occurrences.

    Raises NotFound, Forbidden, NotAllowedNow when it was used, is too old or what it
    changed has run, ChangedMeanwhile when somebody else has changed it since.
    """
    with transaction.atomic():
        kept = _claimed(token, now)
        if not (may_edit or kept.before["only_this"]):
            raise Forbidden("taking back a change of a schedule needs the role editor")
        parts = kept.before.get("parts", [kept.before])
        newest = {part["schedule"]["uid"]: part["schedule"] for part in parts}
        rows = {uid: _unchanged(noted) for uid, noted in newest.items()}
        for part in reversed(parts):
            _take_back(part, rows[part["schedule"]["uid"]], actor, now)
        for row in rows.values():
            schedules.save(row)
            schedules.tell("schedule.undone", row, actor, now, what=kept.what)
    return list(rows.values())


def _take_back(
    before: Mapping[str, Any], row: Schedule, actor: str, now: datetime
) -> None:
    _take_back_rows(before, row, now)
    _take_back_made(before["made_schedule"], actor, now)
    _take_back_columns(row, before, actor, now)
    _take_back_pause(row, before.get("pause"), actor, now)


def _claimed(token: str, now: datetime) -> Undo:
    kept = Undo.objects.filter(token=token).first() if token.isascii() else None
    if kept is None:
        raise NotFound("there is nothing to take back under this token")
    if now - kept.made_at > GOOD_FOR:
        raise NotAllowedNow("a change can be taken back for a day; this one is older")
    if not Undo.objects.filter(pk=kept.pk, used_at=None).update(used_at=now):
        raise NotAllowedNow("it was taken back already")
    return kept


def _unchanged(noted: Mapping[str, Any]) -> Schedule:
    """The schedule, if its version is still the one the change left."""
    schedules.find(noted["uid"])
    row = (
        Schedule.objects.select_for_update(of=("self",))
        .select_related("agent__current", "split_from")
        .get(uid=noted["uid"])
    )
    if row.version != noted["version"]:
        raise ChangedMeanwhile(f"{schedules.last_change(row)}; it cannot be taken back")
    return row


def _take_back_rows(before: Mapping[str, Any], row: Schedule, now: datetime) -> None:
    for noted in before["rows"]:
        occurrence = Occurrence.objects.filter(pk=noted["id"]).first()
        if occurrence is None or occurrence.state == "run":
            raise NotAllowedNow("the run it changed has begun")
        restore(occurrence, noted["columns"])
        _must_be_ahead(occurrence, now)
        occurrence.save()
    made = Occurrence.objects.filter(pk__in=before["made_rows"])
    for occurrence in made:
        if occurrence.state != "planned" or occurrence.decided_at is not None:
            raise NotAllowedNow("the run it changed has begun")
        _put_back(occurrence, row, before, now)


def _put_back(
    occurrence: Occurrence, row: Schedule, before: Mapping[str, Any], now: datetime
) -> None:
    """A row that only a move made: it stands at its own instant again. It stays, since
    its key must not become free."""
    assert occurrence.nominal_at is not None, "only timed occurrences are moved"
    if not before["only_this"]:
        occurrence.delete()  # of a rule that is taken back with it: never an instant
        return
    occurrence.due_at = timetable_of(row).due(occurrence.nominal_at)
    occurrence.moved, occurrence.timeout_s, occurrence.node = False, None, None
    _must_be_ahead(occurrence, now)
    occurrence.save()


def _must_be_ahead(occurrence: Occurrence, now: datetime) -> None:
    waits = occurrence.decided_at is not None
    if occurrence.state == "planned" and not waits and occurrence.due_at <= now:
        raise NotAllowedNow("its former time has passed")


def _take_back_made(noted: Mapping[str, Any] | None, actor: str, now: datetime) -> None:
    """End the series that a split made, if nothing has come of it yet."""
    if noted is None:
        return
    made = _unchanged(noted)
    if made.fired_count:
        raise NotAllowedNow("the new series has run already")
    made.ended_at = now
    schedules.save(made)
    why = "the split was taken back"
    schedules.tell("schedule.ended", made, actor, now, reason=why)


def _take_back_columns(
    row: Schedule, before: Mapping[str, Any], actor: str, now: datetime
) -> None:
    shifted_by_s = before["shifted_by_s"]
    if before["timing"] and shifted_by_s is None:
        books.close(row, outcome="missed", reason=PASSED, actor=actor, now=now)
        row.cursor_at = max(row.cursor_at, now)
    had_ended = row.ended_at is not None
    restore(row, before["columns"])
    if shifted_by_s is not None:
        shift_cursor(row, -timedelta(seconds=shifted_by_s))
    if shifted_by_s is not None or had_ended:
        books.close(row, outcome="skipped", reason=PASSED, actor=actor, now=now)


def _take_back_pause(
    row: Schedule, noted: Mapping[str, Any] | None, actor: str, now: datetime
) -> None:
    """What fell into a pause that is taken back was skipped, as at its end."""
    if noted is None:
        return
    if row.paused_at is not None and noted["paused_at"] is None:
        reason = books.pause_reason(row)
        books.close(row, outcome="skipped", reason=reason, actor=actor, now=now)
    restore(row, noted)
