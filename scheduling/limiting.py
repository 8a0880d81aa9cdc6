"""Groups and limits at work: read for a plan, kept as runs start, and carried out where
a full group skips or cancels.

Only classes that are marked are looked at (scheduling.groups).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
from django.db import transaction

from agents import live_config
from agents.config_limits import Limit
from agents.errors import ChangedMeanwhile, NotAllowedNow
from scheduling import batch_sql, endings, groups, hot_reads, lease, live_runs, runs
from scheduling.endings import SEEN, Close, seen_of
from scheduling.live_runs import began_sql
from scheduling.models import Bucket as BucketRow
from scheduling.models import Run
from scheduling.planner import limits as pure
from scheduling.planner.admission import Decision, Wait
from scheduling.planner.limits import Cap
from scheduling.planner.snapshot import QueueClass, Snapshot, WaitingRun
from scheduling.queue_marks import GROUPED
from scheduling.run_state import RunState

ACTOR = "scheduler"
AT_ONCE = 500
MARKED_ANEW = 5000  # waiting runs looked at in one go when limits have changed
MARKING_GOES_ON_S = 3.0  # other processes see a change of the limits this much later
RUN = Run._meta.db_table
RUNNING = f"""
SELECT r.version_id, r.concurrency, count(*) FROM {RUN} r
WHERE {began_sql("r")} GROUP BY r.version_id, r.concurrency
"""


# -- for a plan --------------------------------------------------------------------


def seen_by(snapshot: Snapshot, marked: Mapping[str, int], now: datetime) -> Snapshot:
    """The snapshot with what holds for the marked classes; `marked`: the version of
    the first run of each, by the class's name."""
    limits = live_config.current().limits
    specs = hot_reads.specs(set(marked.values()))
    heads = {c.first[0].id: c.name for c in snapshot.waiting if c.name in marked}
    said, parameter = hot_reads.among("id", heads)
    sql = f"SELECT id, concurrency FROM {RUN} WHERE {said}"
    own = {heads[pk]: _loaded(told) for pk, told in hot_reads.rows(sql, [parameter])}
    waiting = tuple(
        _held(c, specs[marked[c.name]], own.get(c.name), limits)
        if c.name in marked
        else c
        for c in snapshot.waiting
    )
    rates = {name for c in waiting for name in c.rates}
    wanted = [limit for limit in limits if bucket_name(limit) in rates]
    return replace(
        snapshot,
        waiting=waiting,
        running=running_by_cap(limits),
        buckets=_buckets(wanted, now),
    )


def _loaded(told: Any) -> Any:
    """A JSON column as a cursor gives it."""
    return orjson.loads(told) if isinstance(told, str | bytes) else told


def _held(
    c: QueueClass,
    spec: Mapping[str, Any],
    own: Mapping[str, Any] | None,
    limits: Sequence[Limit],
) -> QueueClass:
    mine = groups.limits_of(spec, own, limits)
    caps = [
        Cap(cap_name(limit), limit.max_running, f"under limit {limit.name}")
        for limit in mine
        if limit.max_running is not None
    ]
    if own is not None:
        name = key_name(own["key"])
        said = f"in group {own['key']}"
        caps.insert(0, Cap(name, own["limit"], said, groups.on_full(own)))
    rates = tuple(bucket_name(limit) for limit in mine if limit.rate is not None)
    first: tuple[WaitingRun, ...] = c.first
    if rates:
        first = tuple(replace(run, rates=rates) for run in c.first)
    return replace(c, caps=tuple(caps), rates=rates, first=first)


def key_name(key: str) -> str:
    return f"key:{key}"


def cap_name(limit: Limit) -> str:
    return f"limit:{limit.name}"


def bucket_name(limit: Limit) -> str:
    return limit.name


def running_by_cap(limits: Sequence[Limit]) -> Counter[str]:
    """How many run, by the name of each cap: groups by their key, and limits."""
    found: Counter[str] = Counter()
    told = [(v, _loaded(own), count) for v, own, count in hot_reads.rows(RUNNING)]
    specs = hot_reads.specs({version for version, _, _ in told})
    for version, own, count in told:
        if own is not None:
            found[key_name(own["key"])] += count
        for limit in groups.limits_of(specs[version], own, limits):
            found[cap_name(limit)] += count
    return found


def _buckets(limits: Iterable[Limit], now: datetime) -> dict[str, pure.Bucket]:
    of = {bucket_name(limit): limit for limit in limits}
    rows = BucketRow.objects.filter(name__in=of) if of else ()
    full = {row.name: row.full_at for row in rows}
    return {
        name: pure.Bucket(
            f"under limit {name}",
            limit.rate.starts,
            limit.rate.per_s,
            now,
            full.get(name),
        )
        for name, limit in of.items()
        if limit.rate is not None
    }


def buckets(now: datetime) -> dict[str, pure.Bucket]:
    """Every configured rate as it stands."""
    limits = live_config.current().limits
    return _buckets([limit for limit in limits if limit.rate is not None], now)


# -- as runs start -----------------------------------------------------------------


def spend(admitted: Iterable[WaitingRun], *, now: datetime) -> None:
    """Take the starts of these runs from their buckets; inside the transaction that
    admits them."""
    used = Counter(name for run in admitted for name in run.rates)
    if not used:
        return
    limits = [limit for limit in live_config.current().limits if limit.name in used]
    for name, bucket in _buckets(limits, now).items():
        full = {"full_at": bucket.taken(used[name]).full_at}
        BucketRow.objects.update_or_create(name=name, defaults=full)


class Opening:
    """When the next bucket that somebody waits for opens, as the last plan saw it."""

    def __init__(self) -> None:
        self.at: datetime | None = None

    def note(self, decisions: Iterable[Decision]) -> None:
        waits = [d.why.until for d in decisions if isinstance(d, Wait)]
        self.at = min((at for at in waits if at is not None), default=None)

    def sooner(self, wait_s: float | None, now: datetime) -> float | None:
        """Seconds to wait, at most until then."""
        if self.at is None:
            return wait_s
        left_s = max(0.0, (self.at - now).total_seconds())
        return left_s if wait_s is None else min(wait_s, left_s)


opening = Opening()


# -- what a full group does --------------------------------------------------------


def carry_out(decisions: Iterable[Decision], *, token: int, now: datetime) -> None:
    """Skip what found its group full, or make room for it, where it says so."""
    for decision in decisions:
        if isinstance(decision, Wait) and decision.why.code in ACTS:
            with transaction.atomic():
                lease.check(token)
                ACTS[decision.why.code](decision, now)


def _skip(wait: Wait, now: datetime) -> None:
    """All that wait in the class: each of them came to a full group."""
    waiting = _waiting(wait.queue_class, now).values_list(*SEEN)[:AT_ONCE]
    _call_off(waiting, f"skipped: {wait.why.text}", now)


def _waiting(name: str, now: datetime) -> Any:
    due = live_runs.queued().filter(queue_class=name, due_at__lte=now)
    return due.order_by("-due_at", "-id")


def _call_off(rows: Iterable[Sequence[Any]], reason: str, now: datetime) -> None:
    facts = {"ended_at": now}
    closes = [Close(seen_of(row), RunState.CANCELLED, reason, facts) for row in rows]
    endings.close_many(closes, actor=ACTOR, now=now)


def _cancel_oldest(wait: Wait, now: datetime) -> None:
    """The newest of those that wait stay, no more than the group has places; for them
    the oldest that run are stopped."""
    own = Run.objects.values_list("concurrency", flat=True).get(pk=wait.run.id)
    if own is None:
        return
    reason = f"a newer run of group {own['key']} took its place"
    waiting = _waiting(wait.queue_class, now).values_list(*SEEN)
    _call_off(waiting[own["limit"] : own["limit"] + AT_ONCE], reason, now)
    wanted = min(waiting.count(), own["limit"])
    running = live_runs.began().filter(concurrency__key=own["key"])
    known = running.select_related("version", "node").exclude(state=RunState.STOPPING)
    too_many = known.count() + wanted - own["limit"]
    for run in known.order_by("queued_at", "id")[: max(0, too_many)]:
        with suppress(NotAllowedNow, ChangedMeanwhile):
            runs.stop(run, actor=ACTOR, now=now, reason=reason)


ACTS = {"group:skip": _skip, "group:cancel_oldest": _cancel_oldest}


# -- when limits change ------------------------------------------------------------


class Marking:
    """Brings the marks of waiting runs up to date after the limits have changed."""

    def __init__(self) -> None:
        self.limits: tuple[Limit, ...] = ()
        self.until: datetime | None = datetime.min.replace(tzinfo=UTC)

    def keep_up(self, *, now: datetime) -> int:
        """Returns how many runs were marked anew. Goes on for a moment after a change:
        another process may still queue by what was before."""
        limits = live_config.current().limits
        if limits != self.limits:
            self.limits, self.until = limits, now
        if self.until is None:
            return 0
        if (now - self.until).total_seconds() > MARKING_GOES_ON_S:
            self.until = None
        return mark_anew(limits)


marking = Marking()


def mark_anew(limits: Sequence[Limit]) -> int:
    changed, last = 0, 0
    columns = ("id", "queue_class", "version_id", "concurrency")
    while True:
        ahead = live_runs.queued().filter(id__gt=last).order_by("id")
        rows = list(ahead.values_list(*columns)[:MARKED_ANEW])
        if not rows:
            return changed
        specs = hot_reads.specs({row[2] for row in rows})
        anew = []
        for pk, name, version, own in rows:
            wanted = groups.remarked(name, groups.mark(specs[version], own, limits))
            if wanted != name:
                anew.append((pk, wanted))
        changed += batch_sql.rename_classes(anew)
        last = rows[-1][0]


def is_marked(name: str) -> bool:
    return GROUPED in name
