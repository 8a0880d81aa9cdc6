"""What is asked of a run while it lives, besides to end: to be frozen, to give back
memory, to go on.

A wish is a column, so that it outlives everybody; its node carries it out and then
moves the run, see scheduling.suspending. Beside `runs` and `tellings` the only module
that writes Run rows, and a state only by `runs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from django.db import connection, transaction

from agents import journal
from agents.errors import ChangedMeanwhile, NotAllowedNow
from scheduling import nodes, runs
from scheduling.models import Run
from scheduling.run_state import RunState

S = RunState
FREEZE, RECLAIM, THAW, CHECKPOINT = "freeze", "reclaim", "thaw", "checkpoint"
SLOW = "slow"  # to live with `slowed_millis` of CPU, or with its own again
REFUSED = "refused"  # its node could not freeze it: nobody asks again
SCHEDULER, OPERATOR, REBALANCING = "scheduler", "operator", "rebalance"
LONGEST_REASON = 300  # the column's width


@transaction.atomic
def freeze(
    run: Run, *, by: str, reason: str, actor: str, now: datetime, reclaim: bool = False
) -> None:
    """Ask that the run be frozen (and its memory written out). What is frozen already
    is from now on as `by` wants it.

    Raises NotAllowedNow, ChangedMeanwhile.
    """
    can = can_yield(run)
    if run.state not in (S.RUNNING, S.SUSPENDED):
        raise NotAllowedNow(f"the run is {run.state}; only a running one is frozen")
    if not can.get("freeze"):
        why = can.get("why", {}).get("freeze") or "its node has not said how"
        raise NotAllowedNow(f"it cannot be frozen: {why}")
    want = RECLAIM if reclaim else FREEZE
    if run.state == S.SUSPENDED and not reclaim:
        want = ""
    rung = RECLAIM if reclaim else FREEZE
    asked = {"wish": want, "suspended_by": by}
    if by != OPERATOR:
        asked["rung"] = rung
    _ask(run, {**asked, "suspended_reason": reason[:LONGEST_REASON]})
    _tell(run, f"run.{FREEZE}_asked", actor, now, rung=rung, reason=reason, by=by)


@transaction.atomic
def thaw(run: Run, *, actor: str, now: datetime, reason: str = "") -> None:
    """Let a frozen run go on as soon as there is room: the planner admits it. One that
    is only about to be frozen goes on at once. Raises NotAllowedNow, ChangedMeanwhile.
    """
    if run.state == S.SUSPENDED:
        wish = run.wish if run.wish == THAW else ""
        _ask(run, {"suspended_by": SCHEDULER, "wish": wish})
    elif run.state == S.RUNNING and run.wish in (FREEZE, RECLAIM):
        _ask(run, {"wish": THAW})
    else:
        raise NotAllowedNow(f"the run is {run.state}; only a frozen one is thawed")
    _tell(run, "run.thaw_asked", actor, now, reason=reason)
    runs.wake_on_commit("thaw")


@transaction.atomic
def slow(
    run: Run, millis: int | None, *, reason: str, actor: str, now: datetime
) -> None:
    """Let a running program use only so much CPU; None: as much as its agent says.
    Raises NotAllowedNow, ChangedMeanwhile."""
    if run.state != S.RUNNING or run.wish not in ("", REFUSED, SLOW):
        raise NotAllowedNow(f"the run is {run.state}; only a running one is slowed")
    _ask(run, {"wish": SLOW, "slowed_millis": millis})
    kind = "run.slowed" if millis else "run.unslowed"
    _tell(run, kind, actor, now, reason=reason, cpu_millis=millis)


def admit_thaw(run_id: int, token: int, *, actor: str, now: datetime) -> bool:
    """There is room for it to go on: reserve it and ask its node. Inside the caller's
    transaction; False when it is no longer as the planner saw it."""
    waits = Run.objects.filter(
        pk=run_id,
        token=token,
        state=S.SUSPENDED,
        wish="",
        suspended_by=SCHEDULER,
    )
    if not waits.update(wish=THAW):
        return False
    run = Run.objects.select_related("agent", "node").get(pk=run_id)
    _tell(run, "run.thaw_asked", actor, now, reason="there is room for it again")
    return True


@transaction.atomic
def carried_out(
    run_id: int,
    token: int,
    wish: str,
    facts: Mapping[str, Any],
    *,
    actor: str,
    now: datetime,
) -> bool:
    """The node has done it: move the run, unless the wish has changed meanwhile.
    Whoever is waiting for the room is told."""
    run = _locked(run_id, token)
    if run is None or run.wish != wish:
        return False
    state = S(run.state)
    if wish == SLOW:
        return bool(Run.objects.filter(pk=run_id).update(wish=""))
    if wish == THAW:
        return _goes_on(run, actor, now)
    if state == S.RUNNING:
        also = {"wish": "", "suspended_at": now, **facts}
        reason = run.suspended_reason
        runs.move(run, S.SUSPENDED, actor=actor, now=now, reason=reason, **also)
    elif state == S.SUSPENDED:
        Run.objects.filter(pk=run_id).update(wish="", **facts)
        _tell(run, "run.reclaimed", actor, now, **facts)
    else:
        return False
    runs.wake_on_commit("suspended")
    return True


def _goes_on(run: Run, actor: str, now: datetime) -> bool:
    if run.state == S.RUNNING:  # it was to be frozen, and then was not
        Run.objects.filter(pk=run.pk).update(wish="", suspended_reason="")
        return True
    if run.state != S.SUSPENDED or run.suspended_at is None:
        return False
    rested_s = max(0.0, (now - run.suspended_at).total_seconds())
    also = {
        "wish": "",
        "suspended_at": None,
        "suspended_by": "",
        "suspended_reason": "",
        "frozen_s": round(run.frozen_s + rested_s, 3),
        "reclaimed_bytes": None,
    }
    reason = f"goes on after {rested_s:.0f} s frozen"
    runs.move(run, S.RUNNING, actor=actor, now=now, reason=reason, **also)
    return True


@transaction.atomic
def refused(run_id: int, token: int, why: str, *, actor: str, now: datetime) -> None:
    """Its node could not: the ladder goes on with the next rung."""
    run = _locked(run_id, token)
    if run is None or run.wish not in (FREEZE, RECLAIM, SLOW):
        return
    if run.wish == SLOW:
        Run.objects.filter(pk=run_id).update(wish="", slowed_millis=None)
        return
    if run.state == S.SUSPENDED:  # frozen it is, its memory stays
        Run.objects.filter(pk=run_id).update(wish="", reclaimed_bytes=0)
    else:
        Run.objects.filter(pk=run_id).update(wish=REFUSED)
    _tell(run, "run.freeze_refused", actor, now, reason=why[:LONGEST_REASON])
    runs.wake_on_commit("refused")


def saved(run_id: int) -> None:
    """It has saved its work, or could not: its stop may go on."""
    saves = Run.objects.filter(pk=run_id, state=S.STOPPING, wish=CHECKPOINT)
    saves.update(wish="")


def can_yield(run: Run) -> Mapping[str, Any]:
    """What its node says of its environment: {"freeze", "reclaim", "why"}."""
    told: Mapping[str, Mapping[str, Any]] = run.node.yields if run.node else {}
    return told.get(run.exec_env, {})


def _locked(run_id: int, token: int) -> Run | None:
    rows = Run.objects.filter(pk=run_id, token=token).select_related("agent", "node")
    if connection.features.has_select_for_update:
        rows = rows.select_for_update(of=("self",))
    return rows.first()


def _ask(run: Run, wanted: Mapping[str, Any]) -> None:
    seen = {"state": run.state, "token": run.token, "wish": run.wish}
    if not Run.objects.filter(pk=run.pk, **seen).update(**wanted):
        raise ChangedMeanwhile(f"the run is no longer {run.state}")


def _tell(run: Run, kind: str, actor: str, now: datetime, **facts: Any) -> None:
    journal.record(
        kind, f"run:{run.uid}", actor=actor, at=now, agent=run.agent.agent_id, **facts
    )
    if run.node is not None and not kind.endswith(("reclaimed", "refused")):
        told = partial(nodes.tell, run.node.name, "wish")
        transaction.on_commit(told, robust=True)
