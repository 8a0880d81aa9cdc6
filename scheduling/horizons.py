"""When runs are expected to be over: read only when one that waits is overtaken.

A live run ends after its agent's p90, or at its time limit if it is beyond that; one
without a history at its limit. Persistent and frozen runs have no end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from agents import live_config
from scheduling import forecasts, hot_reads
from scheduling.batch_sql import as_instant
from scheduling.forecast_rules import ENOUGH
from scheduling.forecasts import Book
from scheduling.live_runs import began_sql
from scheduling.planner.snapshot import End, Horizon, Resources, Snapshot
from scheduling.surroundings import NODE, RUN, loaded

SOON = timedelta(seconds=1)  # for one that should be over already
LIVE = f"""
SELECT r.agent_id, r.version_id, r.timeout_s, r.params, coalesce(n.name, ''),
       r.cpu_millis, r.memory_bytes, r.gpus, r.devices, r.state,
       coalesce(r.started_at, r.admitted_at), r.id, r.limit_at
FROM {RUN} r LEFT JOIN {NODE} n ON n.id = r.node_id WHERE {began_sql("r")}
"""
WAITING = f"SELECT id, agent_id, version_id, timeout_s, params FROM {RUN} WHERE"


def with_horizon(snapshot: Snapshot, now: datetime) -> Snapshot:
    """The snapshot with when what runs will be over, and how long what waits takes."""
    book = forecasts.book(now)
    live = hot_reads.rows(LIVE)
    ids = [run.id for c in snapshot.waiting for run in c.first]
    said, parameter = hot_reads.among("id", ids)
    waiting = hot_reads.rows(f"{WAITING} {said}", [parameter])
    specs = hot_reads.specs({row[1] for row in live} | {row[2] for row in waiting})
    lengths = {
        pk: length
        for pk, agent, version, timeout_s, params in waiting
        if (
            length := length_of(book, agent, version, specs[version], timeout_s, params)
        )
    }
    ends = tuple(_end(row, specs[row[1]], book, now) for row in live)
    return replace(snapshot, horizon=Horizon(now, ends, lengths))


def length_of(
    book: Book,
    agent: int,
    version: int,
    spec: Mapping[str, Any],
    timeout_s: float | None,
    params: Any,
) -> timedelta | None:
    """How long such a run will be there, nine times in ten; None: nobody knows."""
    limit_s = limit_of(spec, timeout_s)
    if spec["kind"] == "persistent":
        return None
    size = size_of(params)
    found = book.duration(agent, spec["kind"], version=version, size=size)
    own = found.n >= ENOUGH and not found.basis.startswith("kind")
    known = [s for s in (found.p90 if own else None, limit_s) if s is not None]
    return timedelta(seconds=min(known)) if known else None


def limit_of(spec: Mapping[str, Any], timeout_s: float | None) -> float | None:
    """The time limit of a run, see launch.time_limit_s."""
    for stated in (timeout_s, spec["timeout_s"]):
        if stated is not None:
            return float(stated)
    if spec["kind"] == "persistent":
        return None
    return live_config.current().agent_timeout_default_s


def size_of(params: Any) -> float | None:
    given = loaded(params) or {}
    size = given.get(forecasts.SIZE_KEY) if isinstance(given, dict) else None
    number = isinstance(size, int | float) and not isinstance(size, bool)
    return size if number else None


def _end(
    row: tuple[Any, ...], spec: Mapping[str, Any], book: Book, now: datetime
) -> End:
    agent, version, timeout_s, params, node, cpu, memory, gpus = row[:8]
    devices, state, at, pk, limit_at = row[8:]
    began, moved = as_instant(at), as_instant(limit_at)
    if moved is not None and began is not None:
        timeout_s = (moved - began).total_seconds()
    bandwidth = spec.get("bandwidth_bps") or 0
    rests = state == "suspended"
    return End(
        node=node,
        need=Resources(0 if rests else cpu, memory, gpus, bandwidth),
        ends_at=_ends_at(
            state,
            began,
            length_of(book, agent, version, spec, timeout_s, params),
            limit_of(spec, timeout_s),
            now,
        ),
        devices=tuple(loaded(devices) or ()),
        yielding=state == "stopping",
        slots=0 if rests else 1,
        run=pk,
    )


def _ends_at(
    state: str,
    began: datetime | None,
    length: timedelta | None,
    limit_s: float | None,
    now: datetime,
) -> datetime | None:
    if state == "stopping":
        return now + SOON
    if length is None or began is None or state == "suspended":
        return None
    if began + length > now:
        return began + length
    limit = length if limit_s is None else timedelta(seconds=limit_s)
    return max(began + limit, now + SOON)
