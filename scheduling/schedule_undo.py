"""What a change of a schedule leaves behind so that it can be taken back.

An Undoable lives for one change: it notes what was there before and what was made, and
keeps that under a token; changes made together share one. `scheduling/undo.py` takes
back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Field, Model

from scheduling.models import Occurrence, Schedule, Undo

# What of a schedule is restored: not what has happened to it, nor who made it.
COLUMNS = (
    *("kind", "rule", "anchor_at", "shift_s", "timezone", "dst", "start_at", "end_at"),
    *("jitter_s", "exdates", "overlap", "missed", "catchup_window_s", "max_runs"),
    *("params", "priority", "concurrency", "timeout_s", "enabled", "ended_at"),
    *("place", "calendar"),
)
ROW_COLUMNS = (
    *("due_at", "state", "reason", "moved", "timeout_s", "node_id", "decided_at"),
)

PAUSE = ("paused_at", "paused_until", "paused_note", "paused_by")


class Undoable:
    """One change of one schedule, and what may go with it."""

    def __init__(self, what: str, schedule: Schedule) -> None:
        self.what = what[:200]
        self.schedule = schedule
        self.columns = _columns(schedule, COLUMNS)
        self.rows: list[dict[str, Any]] = []
        self.made_rows: list[Occurrence] = []
        self.made_schedule: Schedule | None = None
        self.only_this = False  # one occurrence was changed, not the series
        self.timing = False  # its instants were others before
        self.shifted_by: timedelta | None = None  # …and that much earlier
        self.pause: dict[str, Any] | None = None  # as it was, where that was changed

    def pausing(self) -> None:
        """Note the pause before it is changed."""
        self.pause = _columns(self.schedule, PAUSE)

    def row(self, row: Occurrence) -> None:
        """Note a row before it is changed."""
        self.rows.append({"id": row.pk, "columns": _columns(row, ROW_COLUMNS)})

    def keep(self, *, actor: str, now: datetime) -> str:
        """Store it, after the change was saved. Returns the token."""
        made = self.made_schedule
        shifted = self.shifted_by
        before = {
            "schedule": {"uid": self.schedule.uid, "version": self.schedule.version},
            "columns": self.columns,
            "rows": self.rows,
            "made_rows": [row.pk for row in self.made_rows],
            "made_schedule": made and {"uid": made.uid, "version": made.version},
            "only_this": self.only_this,
            "timing": self.timing,
            "shifted_by_s": None if shifted is None else shifted.total_seconds(),
            "pause": self.pause,
        }
        kept = Undo.objects.create(
            what=self.what, before=before, made_by=actor, made_at=now
        )
        return kept.token


def together(what: str, tokens: Sequence[str], *, actor: str, now: datetime) -> str:
    """One token in place of those of several changes, made one after the other."""
    kept = {one.token: one for one in Undo.objects.filter(token__in=tokens)}
    parts = [kept[token].before for token in tokens]
    Undo.objects.filter(pk__in=[one.pk for one in kept.values()]).delete()
    only_this = all(part["only_this"] for part in parts)
    before = {"parts": parts, "only_this": only_this}
    made = Undo.objects.create(
        what=what[:200], before=before, made_by=actor, made_at=now
    )
    return made.token


def restore(model: Model, columns: Mapping[str, Any]) -> None:
    """Lay noted values over a row; the caller saves it."""
    for name, value in columns.items():
        setattr(model, name, _field(model, name).to_python(value))


def _columns(model: Model, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: _plain(getattr(model, name)) for name in names}


def _plain(value: Any) -> Any:
    """As it stands in JSON; instants with all their digits."""
    return value.isoformat() if isinstance(value, datetime) else value


def _field(model: Model, name: str) -> Field[Any, Any]:
    found = model._meta.get_field(name.removesuffix("_id"))
    assert isinstance(found, Field), f"{name} is a column"
    return found
