"""Windows of time made, changed and ended: the only writer of Window rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from agents import journal, names, redis
from agents.errors import (
    AlreadyExists,
    ChangedMeanwhile,
    Invalid,
    NotAllowedNow,
    NotFound,
)
from agents.http import fields_of, instant, iso
from agents.models import Agent, Node
from agents.priority import Priority
from agents.quantities import QuantityError, parse_duration
from scheduling import live_runs, preempting, window_bars
from scheduling.kinds import KINDS as SCHEDULE_KINDS
from scheduling.run_state import RunState
from scheduling.schedule_input import zones
from scheduling.triggers.windows import stretches
from scheduling.window_models import KINDS, POLICIES, SCOPES, Window

LEAST_S, MOST_S = 60, 31 * 86_400  # how long a recurring one is open
LONGEST = timedelta(days=3_660)
MOST_NAMES = 500
AHEAD = timedelta(days=400)
KEYS = (
    *("name", "kind", "scope", "from", "to", "cron", "duration", "timezone"),
    *("policy", "except_priority", "drain"),
)


def create(raw: object, *, actor: str, now: datetime) -> Window:
    """Raises Invalid naming every fault, AlreadyExists."""
    row = Window(created_at=now, created_by=actor, **columns(raw, now))
    return _save(row, "window.created", actor, now)


def change(uid: str, raw: object, *, actor: str, now: datetime) -> Window:
    """The given keys laid over what it is; checked as a whole."""
    with transaction.atomic():
        row = Window.objects.select_for_update().get(pk=find(uid).pk)
        given = fields_of(raw, allowed=KEYS)
        whole = {k: v for k, v in shape(row).items() if k in KEYS and v is not None}
        if given.get("cron") is not None:
            whole = {k: v for k, v in whole.items() if k not in ("from", "to")}
        elif given.get("from") is not None:
            whole = {k: v for k, v in whole.items() if k not in ("cron", "duration")}
        for name, value in columns({**whole, **given}, now).items():
            setattr(row, name, value)
        return _save(row, "window.changed", actor, now)


def _save(row: Window, kind: str, actor: str, now: datetime) -> Window:
    try:
        with transaction.atomic():
            row.save()
            data = {k: v for k, v in shape(row).items() if k in KEYS}
            _tell(kind, row, actor, now, **{f"window_{k}": v for k, v in data.items()})
    except IntegrityError:
        raise AlreadyExists(f"there is a window named {row.name} already") from None
    return row


@transaction.atomic
def delete(uid: str, *, actor: str, now: datetime) -> None:
    row = find(uid)
    _tell("window.deleted", row, actor, now)
    row.delete()


def _tell(kind: str, row: Window, actor: str, now: datetime, **data: Any) -> None:
    subject = f"window:{row.name}"
    journal.record(kind, subject, actor=actor, at=now, name=row.name, **data)
    transaction.on_commit(window_bars.forget)
    transaction.on_commit(redis.wake, robust=True)


def find(uid: str) -> Window:
    """Raises NotFound."""
    fits = uid.isascii() and len(uid) <= 32
    found = Window.objects.filter(uid=uid).first() if fits else None
    if found is None:
        raise NotFound("there is no such window")
    return found


# what people send


def columns(raw: object, now: datetime) -> dict[str, Any]:
    """Raises Invalid naming every fault."""
    given = fields_of(raw, allowed=KEYS, required=["name", "kind"])
    faults: dict[str, list[str]] = {}
    found: dict[str, Any] = {}
    for part in (_plain, _scope, _when):
        try:
            found |= part(given)
        except Invalid as error:
            faults |= error.fields
    if not faults and found["drain"] and found["scope"] != "nodes":
        faults["drain"] = ["only windows of nodes drain"]
    if not faults and found["scope"] == "nodes" and found["policy"] != "queue":
        faults["policy"] = ["a window of nodes lets runs wait: queue"]
    if not faults and _never_closes(found, now):
        faults["duration"] = ["it would never close: it opens again before it ends"]
    if faults:
        field, said = next(iter(faults.items()))
        raise Invalid(f"{field}: {said[0]}", faults)
    return found


def _wrong(field: str, said: str) -> Invalid:
    return Invalid(f"{field}: {said}", {field: [said]})


def _choice(given: Mapping[str, Any], field: str, known: Any, default: str) -> str:
    value = given.get(field) or default
    if not isinstance(value, str) or value not in known:
        raise _wrong(field, f"expected one of {', '.join(known)}")
    return value


def _plain(given: Mapping[str, Any]) -> dict[str, Any]:
    name = given["name"]
    try:
        names.tag(name if isinstance(name, str) else "")
    except ValueError as error:
        raise _wrong("name", str(error)) from None
    words = [p.word for p in Priority]
    least = given.get("except_priority")
    if least is not None:
        least = Priority.from_word(_choice(given, "except_priority", words, ""))
    drain = given.get("drain", False)
    if not isinstance(drain, bool):
        raise _wrong("drain", "expected true or false")
    return {
        "name": name,
        "kind": _choice(given, "kind", KINDS, ""),
        "policy": _choice(given, "policy", POLICIES, "queue"),
        "except_priority": least,
        "drain": drain,
    }


def _scope(given: Mapping[str, Any]) -> dict[str, Any]:
    scope = given.get("scope", "all")
    if scope == "all":
        return {"scope": "all", "names": []}
    said = 'expected "all", or an object with one of agents, tags and nodes'
    if not isinstance(scope, dict) or len(scope) != 1 or {*scope} - {*SCOPES[1:]}:
        raise _wrong("scope", said)
    ((kind, listed),) = scope.items()
    fits = isinstance(listed, list) and 0 < len(listed) <= MOST_NAMES
    if not fits or not all(isinstance(n, str) and 0 < len(n) <= 64 for n in listed):
        raise _wrong("scope", f"{kind}: expected 1 to {MOST_NAMES} names")
    if unknown := sorted(set(listed) - _known(kind, listed)):
        raise _wrong("scope", f"there is no {kind.removesuffix('s')} {unknown[0]}")
    return {"scope": kind, "names": sorted(set(listed))}


def _known(kind: str, listed: list[str]) -> set[str]:
    if kind == "agents":
        rows = Agent.objects.filter(agent_id__in=listed)
        return set(rows.values_list("agent_id", flat=True))
    if kind == "nodes":
        found = Node.objects.filter(name__in=listed)
        return set(found.values_list("name", flat=True))
    return set(listed)  # a tag may come later


def _when(given: Mapping[str, Any]) -> dict[str, Any]:
    zone = given.get("timezone") or settings.TIME_ZONE
    if not isinstance(zone, str) or zone not in zones():
        raise _wrong("timezone", "is not a zone of the time zone database")
    none = {"from_at": None, "to_at": None, "cron": "", "length_s": None}
    same = {**none, "timezone": zone}
    once, cron = given.get("from") or given.get("to"), given.get("cron")
    if bool(once) == bool(cron) or (once and given.get("duration") is not None):
        raise _wrong("from", "give from and to, or cron and duration")
    if once:
        start = instant(given.get("from"), field="from")
        end = instant(given.get("to"), field="to")
        if not start < end <= start + LONGEST:
            raise _wrong("to", "must come after from, by ten years at most")
        return {**same, "from_at": start, "to_at": end}
    try:
        rule = SCHEDULE_KINDS["cron"].read(cron)
    except ValueError as error:
        raise _wrong("cron", str(error)) from None
    if len(rule) > 200:
        raise _wrong("cron", "longer than 200 characters")
    try:
        length = parse_duration(given.get("duration"), least_s=LEAST_S, most_s=MOST_S)
    except QuantityError as error:
        raise _wrong("duration", str(error)) from None
    return {**same, "cron": rule, "length_s": int(length)}


def _never_closes(found: Mapping[str, Any], now: datetime) -> bool:
    if not found["cron"]:
        return False
    rule = window_bars.rule_of(Window(**found))
    ahead = stretches(rule, now, now + AHEAD, at_most=1)
    return bool(ahead) and ahead[0].end is None


# what the API shows


def shape(row: Window) -> dict[str, Any]:
    least = row.except_priority
    return {
        "id": row.uid,
        "name": row.name,
        "kind": row.kind,
        "scope": "all" if row.scope == "all" else {row.scope: row.names},
        "from": iso(row.from_at),
        "to": iso(row.to_at),
        "cron": row.cron or None,
        "duration": row.length_s,
        "timezone": row.timezone,
        "policy": row.policy,
        "except_priority": None if least is None else Priority(least).word,
        "drain": row.drain,
        "created_at": iso(row.created_at),
        "created_by": row.created_by,
    }


def shown(row: Window, now: datetime) -> dict[str, Any]:
    """The same, and whether it is open now, or when it is next."""
    ahead = stretches(window_bars.rule_of(row), now, now + AHEAD, at_most=1)
    first = ahead[0] if ahead else None
    return {
        **shape(row),
        "open": first is not None and first.holds(now),
        "next": first and {"from": iso(first.start), "to": iso(first.end)},
    }


def bands(
    start: datetime, end: datetime, *, at_most: int = 500
) -> list[dict[str, Any]]:
    """Every stretch of every window in [start, end), for the timeline."""
    return [
        {
            "id": window.row.uid,
            "kind": window.row.kind,
            "name": window.row.name,
            "from": stretch.start,
            "to": stretch.end,
            "scope": shape(window.row)["scope"],
            "policy": window.row.policy,
        }
        for window in window_bars.kept()
        for stretch in stretches(window.rule, start, end, at_most=at_most)
    ]


def drain_nodes(*, now: datetime) -> None:
    """As a window of nodes that drains begins, ask what runs there to end and queue
    again. The window itself keeps others away."""
    for window in window_bars.kept():
        stretch = window.rule.covering(now) if window.row.drain else None
        if stretch is None or window.is_allowed:
            continue
        mine = Window.objects.filter(pk=window.row.pk)
        if mine.exclude(drained_at__gte=stretch.start).update(drained_at=now):
            _drain(window.row, now)


def _drain(row: Window, now: datetime) -> None:
    there = live_runs.began().select_related("version", "node")
    why = f"{window_bars.str_of(row)} begins"
    for run in there.filter(node__name__in=row.names).exclude(state=RunState.STOPPING):
        least = row.except_priority
        if least is not None and run.priority >= least:
            continue
        try:
            preempting.back_to_queue_or_stop(run, why, now)
        except (ChangedMeanwhile, NotAllowedNow):
            continue  # it ended by itself
