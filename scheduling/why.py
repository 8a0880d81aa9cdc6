"""Why a run is where it is, what would start it, and when it will. For people.

`why` answers for a run in any state, and never with "unknown": what the planner has to
do with is asked of the planner, everything else stands in the run's row and its events.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from agents import live_config
from agents.http import iso
from agents.models import Event
from agents.priority import Priority
from scheduling import (
    deadline_views,
    lines,
    queue_view,
    why_reader,
    why_words,
    window_bars,
)
from scheduling.models import Run
from scheduling.planner.admission import Decision, plan
from scheduling.planner.changes import Change
from scheduling.planner.forward import Forecast, find
from scheduling.planner.why import Answer, Blocker, explain_run, told
from scheduling.run_state import FINAL, RunState
from scheduling.why_reader import Outlook

S = RunState
FEW = 5  # of those ahead that are named
FARTHEST = 10_000  # a place in line further back is not counted out
LATE_S = 1.0
MOST_EVENTS = 20
WAITS = ("run.waiting", "run.held", "run.released", "run.boosted", "run.reordered")
Told = dict[str, Any]


def why(run: Run, *, now: datetime) -> Told:
    """{state, code, text, blockers, smallest_change, position, expected_start, …}, and
    what becomes of its deadlines."""
    found = _why(run, now=now)
    if said := deadline_views.words(run, now):
        found["text"] = f"{found['text']}; {said}" if found["text"] else said
    return {**found, **deadline_views.of_run(run)}


def _why(run: Run, *, now: datetime) -> Told:
    if run.state != S.QUEUED:
        return _begun_or_over(run)
    if lines.is_held(run.queue_class):
        return _held(run)
    if run.due_at > now:
        return _not_due(run)
    if bar := window_bars.bar_on(run.agent_id, run.priority, now):
        return _barred(run, bar)
    outlook = why_reader.read(now, run=run)
    try:
        find(outlook.snapshot, run.pk)
    except KeyError:
        return _as_noted(run, now)
    return _waiting(run, outlook)


def answer(state: str, code: str, text: str, **also: Any) -> Told:
    return {
        "state": state,
        "code": code,
        "text": text,
        "blockers": [],
        "smallest_change": None,
        "position": None,
        "expected_start": None,
        "confidence": None,
        "basis": None,
        **also,
    }


def blocker(kind: str, text: str, **also: Any) -> Told:
    base = {"kind": kind, "text": text, "node": None}
    return {**base, "need": None, "have": None, "short_by": None, **also}


# --- not in the planner's hands ----------------------------------------------------


def _held(run: Run) -> Told:
    change = {"kind": "release", "text": "release it", "release": run.uid}
    return answer(
        "held",
        "held",
        run.reason,
        blockers=[blocker("held", run.reason)],
        smallest_change=change,
        basis="it does not start before it is released",
    )


def _not_due(run: Run) -> Told:
    at = iso(run.due_at)
    text = f"{run.reason}; due at {at}" if run.reason else f"due at {at}"
    change = {"kind": "wait", "text": f"nothing: it is due at {at}", "wait_until": at}
    return answer(
        "not_due",
        "not_due",
        text,
        blockers=[blocker("window", text)],
        smallest_change=change,
        expected_start=at,
        confidence="medium",
        basis="it is due then, and starts then if there is room",
    )


def _barred(run: Run, bar: window_bars.Bar) -> Told:
    """A window of time holds it back; the text says until when."""
    change = {"kind": "wait", "text": "nothing: the window ends by itself"}
    return answer(
        "waiting",
        "window",
        bar.text,
        blockers=[blocker("window", bar.text)],
        smallest_change=change,
        basis=f"it {bar.text}" if bar.text.startswith("waits") else bar.text,
    )


def _as_noted(run: Run, now: datetime) -> Told:
    """The planner is not shown it: something before the planner keeps it back."""
    code = run.reason_code or "pending"
    text = run.reason or "the scheduler looks at it in a moment"
    wait = {"kind": "wait", "text": "nothing: it is looked at again by itself"}
    return answer(
        "waiting",
        code,
        text,
        blockers=[blocker(code.partition(":")[0], text)],
        smallest_change=wait,
        position=position(run, now),
        basis=text,
    )


def _begun_or_over(run: Run) -> Told:
    found = answer(str(run.state), str(run.state), why_words.of_state(run))
    found["waited_for"] = waited_for(run)
    if run.started_at is not None:
        found["late_s"] = late_s = (run.started_at - run.due_at).total_seconds()
        if late_s > LATE_S:
            found["text"] += why_words.late(late_s, found["waited_for"])
    if run.state == S.SUSPENDED:
        found["blockers"] = [blocker("preempting", found["text"])]
    if run.state not in FINAL:
        moment = "nothing: it goes on by itself"
        found["smallest_change"] = {"kind": "wait", "text": moment}
        if run.started_at is None:
            found["expected_start"] = iso(run.state_since)
            found |= {"confidence": "high", "basis": "its node has it"}
    elif run.state != S.SUCCEEDED:
        again = {"kind": "retry", "text": "run it again", "retry": run.uid}
        found["smallest_change"] = again
    return found


def waited_for(run: Run) -> list[Told]:
    """What it was told while it waited, oldest first."""
    events = Event.objects.filter(subject=f"run:{run.uid}", kind__in=WAITS)
    return [
        {"at": iso(at), "code": data.get("code") or kind[4:], "text": data["reason"]}
        for at, kind, data in events.order_by("id").values_list("at", "kind", "data")[
            :MOST_EVENTS
        ]
        if data.get("reason")
    ]


# --- in the planner's hands ---------------------------------------------------------


def _waiting(run: Run, outlook: Outlook) -> Told:
    found = explain_run(outlook.case(run.pk))
    why_now = told(found.decision, _behind(run, outlook))
    text = why_now.text
    if found.blockers and found.decision is None:
        text = "; ".join(one.text for one in found.blockers)
    return answer(
        "waiting",
        why_now.code,
        text,
        blockers=[_blocker(one) for one in found.blockers],
        smallest_change=_change(run, found, outlook),
        position=position(run, outlook.now),
        **_when(run, found, outlook),
    )


def _behind(run: Run, outlook: Outlook) -> Decision | None:
    """What was decided of the one of its class it stands behind."""
    line, _ = find(outlook.snapshot, run.pk)
    mine = {one.id for one in line.first}
    decided = [d for d in plan(outlook.snapshot) if d.run.id in mine]
    return decided[-1] if decided else None


def _blocker(one: Blocker) -> Told:
    return blocker(
        one.kind,
        one.text,
        node=one.node or None,
        need=one.need,
        have=one.have,
        short_by=one.short_by,
    )


def _change(run: Run, found: Answer, outlook: Outlook) -> Told:
    if not found.changes:
        return {"kind": "wait", "text": "nothing: it starts in a moment"}
    pks = {pk for change in found.changes for pk in change.runs}
    uids = dict(Run.objects.filter(pk__in=pks).values_list("pk", "uid"))
    merged: Told = {"kind": "+".join(change.kind for change in found.changes)}
    merged["text"] = " and ".join(_said(one, found) for one in found.changes)
    for change in found.changes:
        merged |= _to_do(change, run, outlook, uids)
    if outlook.case(run.pk).starts_after(found.changes):
        merged["starts_at"] = iso(outlook.now)
    return merged


def _said(change: Change, found: Answer) -> str:
    theirs = any(one.kind == "preempting" for one in found.blockers)
    return why_words.of_change(change, by_itself=theirs)


def _to_do(change: Change, run: Run, outlook: Outlook, uids: dict[int, str]) -> Told:
    """The change as a program may carry it out."""
    match change.kind:
        case "boost":
            return {"boost": run.uid}
        case "config":
            slots = outlook.snapshot.slots + change.slots
            return {"config": {"max_concurrent_agents": slots}}
        case "stop" | "hold":
            return {change.kind: [uids[pk] for pk in change.runs if pk in uids]}
        case "open":
            return {"node": f"uncordon {change.node}"}
        case "wait":
            return {}
    need = {"cpu_millis": change.amount.cpu_millis}
    need |= {"memory_bytes": change.amount.memory_bytes, "gpus": change.amount.gpus}
    asked = {"on": change.node, **{k: v for k, v in need.items() if v}}
    if change.environment:
        asked["environment"] = change.environment
    return {change.kind: asked}


def _when(run: Run, found: Answer, outlook: Outlook) -> Told:
    """When it will start as things stand, and what that rests on."""
    seen = outlook.forecast(until=[run.pk])
    at = seen.starts.get(run.pk)
    if at is None:
        return {"basis": _never_because(found, seen)}
    line, _ = find(outlook.snapshot, run.pk)
    further = _further_back(run, len(line.first))
    if further and len(seen.starts) > 1:
        pace = (at - outlook.now) / len(line.first)
        at += further * pace
    if at <= outlook.now:
        there = {"confidence": "high", "basis": "there is room for it now"}
        return {"expected_start": iso(at), **there}
    guessed = sum(1 for pk in outlook.unknown if pk in outlook.running)
    guessed += sum(1 for pk in outlook.unknown if pk in seen.starts and pk != run.pk)
    basis = "the expected ends of what runs and goes before it"
    basis += ", by the median of the recent runs of each agent"
    if guessed:
        basis += f"; {guessed} of them have no history and count as a minute"
    if further:
        basis += f"; {further} more like it are ahead, taken at the same pace"
    sure = "low" if guessed or further else "medium"
    return {"expected_start": iso(at), "confidence": sure, "basis": basis}


def _further_back(run: Run, shown: int) -> int:
    """How many of its class go before it beyond those that were looked at."""
    if shown <= why_reader.PER_CLASS:
        return 0
    came = run.line_at or run.due_at
    mode = live_config.current().scheduler_mode
    return max(queue_view.count_ahead(run, came, mode) - shown + 1, 0)


def _never_because(found: Answer, seen: Forecast) -> str:
    blockers = "; ".join(one.text for one in found.blockers)
    if seen.complete:
        return f"it does not start by itself: {blockers}"
    return f"not within what can be foreseen: {blockers}"


def position(run: Run, now: datetime) -> Told | None:
    """Its place in the whole line, and who is right before it in that order."""
    mode = live_config.current().scheduler_mode
    ahead: Sequence[int] = []
    for place, one in enumerate(islice(queue_view.in_line(mode, now), FARTHEST), 1):
        if one.id == run.pk:
            few = list(ahead)
            return {
                "in_queue": place,
                "of": queue_view.waiting_count(now),
                "ahead_of_it": _named(few),
            }
        if len(ahead) < FEW:
            ahead = [*ahead, one.id]
    return None


def _named(pks: Sequence[int]) -> list[Told]:
    rows = Run.objects.filter(pk__in=pks).values(
        "pk", "uid", "agent__agent_id", "priority"
    )
    by_pk = {row["pk"]: row for row in rows}
    return [
        {
            "uid": by_pk[pk]["uid"],
            "agent": by_pk[pk]["agent__agent_id"],
            "priority": Priority(by_pk[pk]["priority"]).word,
        }
        for pk in pks
        if pk in by_pk
    ]
