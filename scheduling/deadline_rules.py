"""What a deadline is, when it is missed, and when it is at risk. Pure: `now` is given.

A run's terms are what its agent, its schedule and whoever asked for it stated, the most
specific word for each key. Durations count from the instant it is due; the instants
stand in columns of the run, the terms and what was told of them in its `deadline`:

    start_by_s, finish_by_s, on_missed_start, on_missed_finish    as stated
    from       what they count from            version    raised by each change
    told       deadlines whose risk was told   missed     those that were missed
    risk       why one is at risk now, in words; absent while none is
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, cast

from scheduling.run_state import FINAL

if TYPE_CHECKING:
    from scheduling.runs import Wanted

Which = Literal["start", "finish"]
BOTH: tuple[Which, ...] = ("start", "finish")
TERMS = ("start_by_s", "finish_by_s", "on_missed_start", "on_missed_finish")
USUAL = {"on_missed_start": "run_late", "on_missed_finish": "alert"}
LATE_SHARE = 0.8  # of its time gone: at risk, where nobody knows how long it takes
LATER_SHARE = 0.1  # who takes longer than expected takes this share longer still
LEAST_LEFT = timedelta(seconds=1)


def terms(*layers: Mapping[str, Any] | None) -> dict[str, Any]:
    """One word for each key, from layers that begin with the least specific."""
    found: dict[str, Any] = {}
    for layer in layers:
        found |= {k: v for k, v in (layer or {}).items() if k in TERMS}
    return {k: v for k, v in found.items() if v is not None}


def columns(
    said: Mapping[str, Any], since: datetime, version: int = 0
) -> dict[str, Any]:
    """The columns of a run with these terms; none when they have no deadline."""
    at = {which: _instant(said.get(f"{which}_by_s"), since) for which in BOTH}
    if not any(at.values()):
        return {}
    kept = {**said, "from": since.isoformat(), "version": version}
    return {
        "start_by_at": at["start"],
        "finish_by_at": at["finish"],
        "deadline_at": min(one for one in at.values() if one),
        "deadline": {**kept, "told": [], "missed": []},
    }


def _instant(after_s: float | None, since: datetime) -> datetime | None:
    return None if after_s is None else since + timedelta(seconds=after_s)


def of(w: Wanted, spec: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a run to be queued. Costs nothing where nobody states any."""
    own = spec.get("deadlines")
    scheduled = None if w.schedule is None else w.schedule.deadlines
    if w.counted_from is not None:
        own = scheduled = None  # an earlier attempt's, as they stood in the end
    if not (own or scheduled or w.deadlines):
        return {}
    said = terms(own, scheduled, w.deadlines)
    if spec["kind"] == "persistent":
        said.pop("finish_by_s", None)
    return columns(said, w.counted_from or w.due_at)


def stated(stored: Mapping[str, Any] | None) -> dict[str, Any]:
    return {k: v for k, v in (stored or {}).items() if k in TERMS}


def carried(stored: Mapping[str, Any] | None, *, has_started: bool) -> dict[str, Any]:
    """What the next attempt is wanted with: the same instants, but one that started
    once has kept its start."""
    if stored is None:
        return {}
    said = stated(stored)
    if has_started:
        said.pop("start_by_s", None)
    since = datetime.fromisoformat(stored["from"])
    return {"deadlines": said, "counted_from": since}


def anew(stored: Mapping[str, Any] | None) -> dict[str, Any]:
    """The same terms, counted from when it is due again."""
    if stored is None:
        return {}
    return {"deadlines": stated(stored), "counted_from": None}


# --- missed ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Watched:
    """What matters of a run that has a deadline."""

    state: str
    started_at: datetime | None
    ended_at: datetime | None
    start_by_at: datetime | None
    finish_by_at: datetime | None
    deadline: Mapping[str, Any]
    frozen_s: float = 0.0

    @property
    def is_over(self) -> bool:
        return self.state in FINAL

    def by(self, which: Which) -> datetime | None:
        return self.start_by_at if which == "start" else self.finish_by_at

    def is_missed(self, which: Which) -> bool:
        return which in self.deadline["missed"]

    def policy(self, which: Which) -> str:
        name = f"on_missed_{which}"
        return str(self.deadline.get(name, USUAL[name]))

    def came(self, which: Which) -> datetime | None:
        """When what the deadline is for happened; an end is the end of both."""
        if which == "start" and self.started_at is not None:
            return self.started_at
        return self.ended_at if self.is_over else None


def newly_missed(run: Watched, now: datetime) -> list[Which]:
    """Deadlines that have passed and were not noted as missed yet."""
    return [
        which
        for which in BOTH
        if (by := run.by(which)) is not None
        and not run.is_missed(which)
        and (run.came(which) or now) >= by
        and run.came(which) != by
    ]


def open_of(run: Watched) -> list[Which]:
    """Deadlines that can still be missed."""
    return [
        which
        for which in BOTH
        if run.by(which) is not None
        and not run.is_missed(which)
        and run.came(which) is None
    ]


def next_watched(run: Watched) -> datetime | None:
    """The deadline to be watched next; None: there is none left."""
    return min((cast(datetime, run.by(w)) for w in open_of(run)), default=None)


# --- at risk -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Expected:
    """What can be foreseen of a run."""

    start_at: datetime | None = None  # of one that waits; None: nobody knows
    never: str = ""  # why it does not start by itself
    takes_s: float | None = None  # nine times in ten no longer; None: no history


def risks(run: Watched, seen: Expected, now: datetime) -> dict[Which, str]:
    """Each open deadline that is at risk, and why, in words."""
    found = {which: _risk(which, run, seen, now) for which in open_of(run)}
    return {which: said for which, said in found.items() if said}


def _risk(which: Which, run: Watched, seen: Expected, now: datetime) -> str:
    by = cast(datetime, run.by(which))
    said = f"{which}_by {words(by, now)}"
    if run.started_at is None and seen.never:
        return f"{seen.never}; {said}"
    at = seen.start_at if which == "start" else expected_end(run, seen, now)
    if at is not None:
        return late_words(which, at, by, now) if at > by else ""
    since = datetime.fromisoformat(run.deadline["from"])
    if now < since + (by - since) * LATE_SHARE:
        return ""
    what = "when it starts" if which == "start" else "how long it takes"
    return f"nobody knows {what}, and most of its time is gone; {said}"


def late_words(which: Which, at: datetime, by: datetime, now: datetime) -> str:
    """What is expected at `at` comes too late."""
    what, how = ("start", "") if which == "start" else ("end", " (p90)")
    said = f"{which}_by {words(by, now)}"
    return f"expected {what} {words(at, now)}{how} passes {said}"


def expected_end(run: Watched, seen: Expected, now: datetime) -> datetime | None:
    begin = run.started_at or seen.start_at
    if begin is None or seen.takes_s is None:
        return None
    end = begin + timedelta(seconds=seen.takes_s + run.frozen_s)
    if end > now:
        return end
    return now + max((now - begin) * LATER_SHARE, LEAST_LEFT)


def words(at: datetime, now: datetime) -> str:
    """An instant for people, with its day where that is not today."""
    at = at.astimezone(UTC)
    same_day = at.date() == now.astimezone(UTC).date()
    return at.strftime("%H:%M:%S UTC" if same_day else "%Y-%m-%d %H:%M:%S UTC")


def missed_words(which: Which, by: datetime, now: datetime) -> str:
    done = "started" if which == "start" else "finished"
    return f"deadline: not {done} by {words(by, now)}"


def union(known: Iterable[str], more: Iterable[str]) -> list[str]:
    return sorted({*known, *more})
