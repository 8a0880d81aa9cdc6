"""Another deadline for a run that waits or runs, and with it another end.

The finish of a started run is also where its time limit is put, so that its node ends
it there and not before: `limit` false leaves the limit alone. Container engines and
systemd keep the limit a program began with: there the end can come no later than it,
and the leader stops the run where it should come sooner.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from agents import journal
from agents.definition_deadlines import NO_END, POLICIES
from agents.errors import ChangedMeanwhile, NotAllowedNow, Refused
from agents.http import fields_of, instant, iso, wrong
from agents.priority import Priority
from agents.quantities import QuantityError, parse_duration
from scheduling import deadline_rules, deadline_views, deadlines, runs
from scheduling.deadline_rules import BOTH, Watched, Which
from scheduling.models import Run, Undo
from scheduling.run_journal import occurrence_of
from scheduling.run_state import FINAL, RunState
from scheduling.spawn_deadlines import CHOICES

S = RunState
AT = ("start_by_at", "finish_by_at", "limit_at")
RETIMABLE = frozenset({"subprocess", "sandbox"})  # their holder takes another limit
FARTHEST = timedelta(days=366)
KEYS = ("start_by", "finish_by", *POLICIES, "limit", "base_version", "dry_run")
When = datetime | timedelta | None  # an instant, so much later than now set, or none


@dataclass(frozen=True, slots=True)
class Wish:
    by: Mapping[Which, When] = field(default_factory=dict)
    policies: Mapping[str, str] = field(default_factory=dict)
    limit: bool = True  # the time limit of a started run moves along
    base_version: int | None = None
    dry_run: bool = False


def parse_wish(raw: object) -> Wish:
    """Raises Invalid naming the key at fault."""
    given = fields_of(raw, allowed=KEYS)
    by: dict[Which, When] = {
        which: _when(given[name], name)
        for which in BOTH
        if (name := f"{which}_by") in given
    }
    policies = {name: given[name] for name in POLICIES if name in given}
    for name, word in policies.items():
        if word not in CHOICES[name]:
            raise wrong(name, f"expected one of {', '.join(CHOICES[name])}")
    if not by and not policies:
        raise wrong("finish_by", "say start_by, finish_by or a policy")
    for name in ("limit", "dry_run"):
        if not isinstance(given.get(name, False), bool):
            raise wrong(name, "expected true or false")
    version = given.get("base_version")
    if version is not None and (isinstance(version, bool) or type(version) is not int):
        raise wrong("base_version", "expected a whole number")
    limit, dry_run = given.get("limit", True), given.get("dry_run", False)
    return Wish(by, policies, limit, version, dry_run)


def _when(value: object, name: str) -> When:
    if value is None:
        return None
    if isinstance(value, str) and value[:1] in ("+", "-"):
        try:
            by = timedelta(seconds=parse_duration(value[1:]))
        except QuantityError as error:
            raise wrong(name, str(error)) from None
        return by if value[0] == "+" else -by
    if not isinstance(value, str):
        raise wrong(name, 'expected an instant, or "+30m" for so much later')
    return instant(value, field=name)


def change(run: Run, wish: Wish, *, actor: str, now: datetime) -> dict[str, Any]:
    """Set what is wished, or only say what would be: a dry run.

    Returns {start_by_at, finish_by_at, time_limit_at, at_risk, deadline_version, …} and
    an undo token.
    Raises NotAllowedNow for a run that is over or ends, ChangedMeanwhile when somebody
    else was quicker, Refused for an instant that cannot be.
    """
    with transaction.atomic():
        known = Run.objects.select_related("agent", "version", "node")
        row = known.select_for_update(of=("self",)).get(pk=run.pk)
        columns = planned(row, wish, now)
        before = {name: getattr(row, name) for name in columns}
        if "limit_at" in before:  # the node keeps what it was told last
            before["limit_at"] = limit_of(row)
        for name, value in columns.items():
            setattr(row, name, value)
        _foresee(row, now)
        if not wish.dry_run:
            columns["deadline"] = row.deadline
            Run.objects.filter(pk=row.pk).update(**columns)
            _tell(row, before, actor, now)
            token = _keep(row, before, actor, now)
            return {**told(row), "undo_token": token}
    return {**told(row), "undo_token": None}


def _keep(run: Run, before: Mapping[str, Any], actor: str, now: datetime) -> str:
    kept = {
        "run": run.uid,
        "version": (run.deadline or {})["version"],
        "deadline": before["deadline"],
        "at": {name: iso(before[name]) for name in AT if name in before},
    }
    made = {"what": f"deadline of {run}", "made_by": actor, "made_at": now}
    return Undo.objects.create(before=kept, **made).token


def take_back(noted: Mapping[str, Any], *, actor: str, now: datetime) -> Run:
    """Restore what was before a change, inside the caller's transaction.

    Raises NotAllowedNow for a run that is over or ends, ChangedMeanwhile when its
    deadline was changed since.
    """
    known = Run.objects.select_related("agent", "version", "node")
    run: Run = known.select_for_update(of=("self",)).get(uid=noted["run"])
    wish = Wish(base_version=noted["version"])
    _check_state(run, wish)
    _check_version(run, wish)
    before = {name: getattr(run, name) for name in noted["at"]}
    for name, at in noted["at"].items():
        setattr(run, name, None if at is None else instant(at))
    fresh = {"told": [], "missed": [], "from": run.due_at.isoformat()}
    deadline = {**(noted["deadline"] or fresh), "version": noted["version"] + 1}
    run.deadline = {**deadline, "told": run.deadline["told"] if run.deadline else []}
    run.deadline_at = deadline_rules.next_watched(deadlines.seen(run))
    names = (*noted["at"], "deadline", "deadline_at")
    Run.objects.filter(pk=run.pk).update(**{n: getattr(run, n) for n in names})
    _tell(run, before, actor, now)
    return run


def told(run: Run) -> dict[str, Any]:
    row = {name: getattr(run, name) for name in VIEWED}
    return {"run": run.uid, **deadline_views.of_row(row)}


VIEWED = (
    *("start_by_at", "finish_by_at", "deadline", "limit_at", "started_at"),
    *("timeout_s", "version_id"),
)


def limit_of(run: Run) -> datetime | None:
    """When the time limit of a started run is reached as things stand."""
    return deadline_views.limit_at({name: getattr(run, name) for name in VIEWED})


# --- what it comes to --------------------------------------------------------------


def planned(run: Run, wish: Wish, now: datetime) -> dict[str, Any]:
    """The columns that change."""
    stored = run.deadline or {}
    _check_state(run, wish)
    seen = _check_version(run, wish)
    at = {which: deadlines.seen(run).by(which) for which in BOTH}
    for which, when in wish.by.items():
        at[which] = _instant(run, which, when, now)
    if at["start"] and at["finish"] and at["start"] >= at["finish"]:
        raise _refused("finish", "is not later than start_by")
    policies = {**deadline_rules.stated(stored), **wish.policies}
    finish = at["finish"] if wish.limit and "finish" in wish.by else None
    columns: dict[str, Any] = {}
    if finish is not None and run.started_at is not None:
        columns, stops = _moved_limit(run, finish)
        if stops:
            policies["on_missed_finish"] = "stop"
    return columns | _columns(run, at, policies, seen + 1, wish)


def _check_version(run: Run, wish: Wish) -> int:
    seen: int = (run.deadline or {}).get("version", 0)
    if wish.base_version not in (None, seen):
        said = f"you saw version {wish.base_version}, it is {seen}"
        raise ChangedMeanwhile(f"the run's deadline was changed meanwhile; {said}")
    return seen


def _check_state(run: Run, wish: Wish) -> None:
    if run.state in FINAL:
        raise NotAllowedNow(f"the run is over: it {run.state}")
    if run.state == S.STOPPING:
        raise NotAllowedNow("the run is being stopped")
    if "start" in wish.by and run.started_at is not None:
        raise NotAllowedNow("the run has started; only its finish_by can change")
    if wish.by.get("finish") is not None and run.agent.kind == "persistent":
        raise _refused("finish", NO_END)


def _refused(which: Which, said: str) -> Refused:
    return Refused(f"{which}_by: {said}", {f"{which}_by": [said]})


def _instant(run: Run, which: Which, when: When, now: datetime) -> datetime | None:
    if isinstance(when, timedelta):
        base = deadlines.seen(run).by(which)
        if base is None and which == "finish" and run.started_at is not None:
            base = limit_of(run)
        when = (base or now) + when
    if when is not None and when <= now:
        raise _refused(which, f"{iso(when)} is in the past")
    if when is not None and when > now + FARTHEST:
        raise _refused(which, f"{iso(when)} is more than a year ahead")
    if when is not None and when <= run.due_at:
        raise _refused(which, "is not later than when the run is due")
    return when


def _moved_limit(run: Run, end: datetime) -> tuple[dict[str, Any], bool]:
    """The columns of another time limit, and whether the leader has to keep it."""
    if run.exec_env in RETIMABLE:
        return {"limit_at": end}, False
    limit = limit_of(run)
    if limit is not None and end > limit:
        where = "systemd" if run.exec_env == "systemd" else "the container"
        said = f"{where} keeps the time limit it began with, {iso(limit)}"
        raise _refused("finish", said)
    return {}, limit is not None and end < limit


def _columns(
    run: Run,
    at: Mapping[Which, datetime | None],
    policies: Mapping[str, Any],
    version: int,
    wish: Wish,
) -> dict[str, Any]:
    """Instants and terms; what was told of a deadline that changed counts no more."""
    stored = run.deadline or {"told": [], "missed": [], "from": run.due_at.isoformat()}
    since = datetime.fromisoformat(stored["from"])
    said = {k: v for k, v in policies.items() if k in POLICIES}
    for which in BOTH:
        if (instant_at := at[which]) is not None:
            said[f"{which}_by_s"] = (instant_at - since).total_seconds()
    kept = {k: [w for w in stored[k] if w not in wish.by] for k in ("told", "missed")}
    deadline = {**said, **kept, "from": stored["from"], "version": version}
    after: Watched = replace(
        deadlines.seen(run),
        start_by_at=at["start"],
        finish_by_at=at["finish"],
        deadline=deadline,
    )
    return {
        "start_by_at": at["start"],
        "finish_by_at": at["finish"],
        "deadline_at": deadline_rules.next_watched(after),
        "deadline": deadline,
    }


def _foresee(run: Run, now: datetime) -> None:
    """Lay on the row what the new deadline is at risk of, as the answer tells it. It is
    journaled by the leader, which looks next."""
    found = deadline_rules.risks(deadlines.seen(run), deadlines.expected(run, now), now)
    if found:
        run.deadline = {**(run.deadline or {}), "risk": "; ".join(found.values())}


def _tell(run: Run, before: Mapping[str, Any], actor: str, now: datetime) -> None:
    journal.record(
        "run.deadline_changed",
        f"run:{run.uid}",
        actor=actor,
        at=now,
        agent=run.agent.agent_id,
        priority=Priority(run.priority).word,
        before={k: iso(before.get(k)) for k in ("start_by_at", "finish_by_at")},
        start_by_at=iso(run.start_by_at),
        finish_by_at=iso(run.finish_by_at),
        time_limit_at=iso(limit_of(run)),
        at_risk=(run.deadline or {}).get("risk"),
        deadline_missed=(run.deadline or {}).get("missed", []),
        **occurrence_of(run.occurrence_key),
    )
    if run.limit_at is not None and run.node is not None:
        runs.tell_node_on_commit(run.node)
