"""Conditions and sensors between the database and memory.

All that happened since the last time is one transaction: a firing stands with the
state that made it, so that neither a crash nor a second worker fires it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from django.db import transaction
from django.db.models import Count, Max, Sum

from scheduling import lease, sensor_values, triggered
from scheduling.conditions import facts, rules, uses
from scheduling.conditions.cel import Kind
from scheduling.conditions.engine import Definition, Engine, Taken
from scheduling.conditions.intake import Newborn, News, Spec
from scheduling.conditions.rules import Reference
from scheduling.conditions.values import Held
from scheduling.models import Schedule
from scheduling.sensor_models import Reading, Sensor
from scheduling.sensor_readings import prune
from scheduling.sensor_values import Came

LEASE = "sensors"
ACTOR = "conditions"
COLUMNS = ("pk", "version", "rule", "timezone", "start_at", "end_at", "enabled")


def is_wanted() -> bool:
    """Whether there is anything to watch."""
    return Sensor.objects.exists() or uses.conditional().exists()


def fingerprint() -> tuple[Any, ...]:
    """Another one means: something was defined, changed or ended."""
    known = Sensor.objects.aggregate(Count("id"), Max("id"), Sum("version"))
    rows = uses.conditional().order_by("pk").values_list("pk", "version")
    return (*known.values(), *rows)


@dataclass(frozen=True, slots=True)
class Loaded:
    definitions: list[Definition]
    held: dict[str, Held]
    kinds: dict[str, Kind]
    specs: list[Spec]
    names: list[str]
    rest: dict[int, tuple[str, int]]  # id -> name, and what was seen of its readings


def load() -> Loaded:
    rows = list(Sensor.objects.all())
    on = [row for row in rows if row.enabled and not row.per_topic]
    mqtt = [row for row in rows if row.enabled and row.source == "mqtt"]
    schedules = uses.conditional().order_by("pk").values_list(*COLUMNS, "trigger_state")
    return Loaded(
        definitions=[Definition(*row) for row in schedules],
        held={row.name: held(row) for row in on},
        kinds={row.name: cast(Kind, row.type) for row in rows},
        specs=[spec(row) for row in mqtt],
        names=[row.name for row in rows],
        rest={row.pk: (row.name, row.seen_reading) for row in on if is_rest(row)},
    )


def is_rest(row: Sensor) -> bool:
    return row.source == "rest"


def held(row: Sensor) -> Held:
    """What conditions have seen of it: of one by HTTP perhaps not the newest."""
    if not is_rest(row) or row.seen_reading == row.newest_reading:
        return Held(row.value, row.at, row.previous, row.stale_after_s)
    seen = row.readings.filter(pk__lte=row.seen_reading).order_by("-pk")[:2]
    last = list(seen.values_list("value", "at"))
    if not last:
        return Held(stale_after_s=row.stale_after_s)
    before = last[1][0] if last[1:] else None
    return Held(last[0][0], last[0][1], before, row.stale_after_s)


def spec(row: Sensor) -> Spec:
    wild = sensor_values.is_wild(row.topic)
    return Spec(
        row.pk,
        row.name,
        row.topic,
        row.type,
        sensor_values.steps(row.path),
        sensor_values.steps(row.at_path),
        row.parent_id,
        row.per_topic,
        sensor_values.matcher(row.topic) if wild else None,
    )


@dataclass(frozen=True, slots=True)
class Arrived:
    sensor_id: int
    reading: int
    came: Came


def arrived(seen: dict[int, int]) -> list[Arrived]:
    """Readings by HTTP that conditions have not seen, in the order of each sensor."""
    newest = Sensor.objects.filter(source="rest", pk__in=list(seen))
    behind = [
        pk for pk, last in newest.values_list("pk", "newest_reading") if last > seen[pk]
    ]
    found: list[Arrived] = []
    for pk in behind:
        rows = Reading.objects.filter(sensor_id=pk, pk__gt=seen[pk]).order_by("pk")
        found += [
            Arrived(pk, reading, Came(value, at))
            for reading, value, at in rows.values_list("pk", "value", "at")[:5000]
        ]
    return sorted(found, key=lambda one: one.reading)


def read_facts(engine: Engine, now: datetime) -> dict[str, Any]:
    return facts.read([r for w in engine.ticking for r in w.references], now)


def facts_for(definitions: Iterable[Definition], now: datetime) -> dict[str, Any]:
    """Before they are watched: a level that is told from nothing would be no level."""
    wanted: list[Reference] = []
    for one in definitions:
        with suppress(ValueError):
            wanted += rules.all_references(rules.parse(one.rule))
    return facts.read(wanted, now)


@transaction.atomic
def write(
    taken: Taken,
    news: dict[int, News],
    newborn: list[Newborn],
    *,
    token: int,
    keep: int,
    now: datetime,
) -> None:
    """Raises lease.Superseded when another worker watches; nothing is written then."""
    lease.check(token, LEASE)
    for one in taken.firings:
        schedule = Schedule(pk=one.schedule_id)
        triggered.fire(
            schedule, one.key, now=one.at, params=one.params, reason=one.reason
        )
    for schedule_id, state in taken.states.items():
        Schedule.objects.filter(pk=schedule_id).update(trigger_state=state)
    _write_news(news, keep)
    _bear(newborn, now)


def note_faults(faults: dict[int, str]) -> None:
    for schedule_id, fault in faults.items():
        told = {"level": None, "waits": fault[:300]}
        Schedule.objects.filter(pk=schedule_id).update(trigger_state=told)


def _write_news(news: dict[int, News], keep: int) -> None:
    rows = Sensor.objects.select_for_update().in_bulk(list(news))
    readings = []
    for pk, row in rows.items():
        one = news[pk]
        row.received += one.received
        row.rejected += one.rejected
        row.seen_reading = max(row.seen_reading, one.seen_reading)
        if one.error:
            row.last_error, row.last_error_at = one.error, one.error_at
        if one.at is not None:
            row.value, row.previous, row.at = one.value, one.previous, one.at
            row.retained = one.retained
        row.save(update_fields=NEWS_COLUMNS)
        readings += [
            Reading(sensor_id=pk, at=at, value=value, retained=retained)
            for at, value, retained in one.readings
        ]
    Reading.objects.bulk_create(readings, batch_size=100)
    every = max(1, keep // 10)  # the table may be that much longer than it should be
    for pk, row in rows.items():
        if row.received // every != (row.received - news[pk].received) // every:
            prune(pk, keep)


NEWS_COLUMNS = (
    *("received", "rejected", "seen_reading", "last_error", "last_error_at"),
    *("value", "previous", "at", "retained"),
)


def _bear(newborn: Iterable[Newborn], now: datetime) -> None:
    for born in newborn:
        parent = Sensor.objects.filter(pk=born.parent_id, per_topic=True).first()
        if parent is None or Sensor.objects.filter(name=born.name).exists():
            continue
        child = Sensor.objects.create(
            name=born.name,
            source="mqtt",
            topic=born.topic,
            parent=parent,
            path=parent.path,
            at_path=parent.at_path,
            type=parent.type,
            unit=parent.unit,
            stale_after_s=parent.stale_after_s,
            created_at=now,
            created_by=ACTOR,
            value=born.came.value,
            at=born.came.at,
            retained=born.retained,
            received=1,
        )
        Reading.objects.create(
            sensor=child,
            at=born.came.at,
            value=born.came.value,
            retained=born.retained,
        )
