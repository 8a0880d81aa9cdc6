"""Start, stop and restart an agent, as people mean it.

A persistent agent that is stopped stays stopped until somebody starts it: that wish
is `Agent.held`. For the other kinds, starting means one run now and stopping means
ending the live ones.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from agents import journal, redis
from agents.errors import NotAllowedNow
from agents.models import Agent
from scheduling import crash_loops, runs
from scheduling.firing_facts import not_over
from scheduling.models import Run
from scheduling.run_state import RunState


def start_agent(agent: Agent, *, actor: str, now: datetime) -> Run:
    """Run the agent now. Raises NotAllowedNow if it is disabled, retired or, being
    persistent, already runs."""
    with transaction.atomic():
        _hold(agent, False, actor=actor, now=now)
        return runs.request_run(agent, actor=actor, now=now)


def stop_agent(
    agent: Agent, *, actor: str, now: datetime, grace_s: float | None = None
) -> list[Run]:
    """End every live run of the agent; a persistent one stays stopped.

    Raises NotAllowedNow if nothing of it is live.
    """
    live = live_runs(agent)
    if not live and (agent.kind != "persistent" or agent.held):
        raise NotAllowedNow(f"{agent.agent_id} is not running")
    with transaction.atomic():
        _hold(agent, True, actor=actor, now=now)
    return [runs.stop(run, actor=actor, now=now, grace_s=grace_s) for run in live]


def restart_agent(agent: Agent, *, actor: str, now: datetime) -> Run | None:
    """End what runs and run it again. A persistent agent comes back by itself as soon
    as its run has ended; the answer is then None."""
    live = live_runs(agent)
    reason = f"restarted by {actor}"
    for run in live:
        runs.stop(run, actor=actor, now=now, reason=reason)
    if agent.kind == "persistent" and live:
        with transaction.atomic():
            _hold(agent, False, actor=actor, now=now)
        return None
    return start_agent(agent, actor=actor, now=now)


def reset_agent(agent: Agent, *, actor: str, now: datetime) -> Run:
    """Take the agent out of its crash loop: run it again, counting anew.

    Raises NotAllowedNow if it is in none, or may not run.
    """
    if crash_loops.of(agent.runs.order_by("-pk").first()) is None:
        raise NotAllowedNow(f"{agent.agent_id} is not in a crash loop")
    with transaction.atomic():
        subject = f"agent:{agent.agent_id}"
        journal.record(
            "agent.reset", subject, actor=actor, at=now, agent=agent.agent_id
        )
        return start_agent(agent, actor=actor, now=now)


def live_runs(agent: Agent) -> list[Run]:
    """Runs of the agent that are not over, oldest first."""
    unfinished = not_over([agent.pk]).exclude(state=RunState.STOPPING)
    return list(unfinished.select_related("version", "node", "agent").order_by("pk"))


def _hold(agent: Agent, held: bool, *, actor: str, now: datetime) -> None:
    if agent.kind != "persistent" or agent.held == held:
        return
    agent.held = held
    agent.save(update_fields=["held"])
    kind = "agent.stopped" if held else "agent.started"
    subject = f"agent:{agent.agent_id}"
    journal.record(kind, subject, actor=actor, at=now, agent=agent.agent_id)
    transaction.on_commit(redis.wake, robust=True)


def want_persistent(*, now: datetime, reschedule_on_crash: bool) -> list[Run]:
    """Queue a run for each persistent agent that should run and has none.

    A run waiting for its back-off counts as one.
    """
    wanted = Agent.objects.filter(
        kind="persistent", enabled=True, held=False, retired_at__isnull=True
    ).select_related("current")
    pks = [agent.pk for agent in wanted]
    live = set(not_over(pks).values_list("agent_id", flat=True))
    started = []
    for agent in wanted:
        if agent.pk in live:
            continue
        last = agent.runs.order_by("-pk").first()
        if last is not None and _gave_up(last, reschedule_on_crash):
            continue
        started.append(runs.request_run(agent, actor="scheduler", now=now))
    return started


def _gave_up(last: Run, reschedule_on_crash: bool) -> bool:
    """Whether the restart policy ended it: then only a person starts it again."""
    policy = last.version.spec["restart"]["policy"]
    if crash_loops.of(last) is not None:
        return True
    if last.state == RunState.CANCELLED:
        return False  # stopped for a restart, or released by start
    if last.state == RunState.LOST:
        return not reschedule_on_crash
    if last.state == RunState.SUCCEEDED:
        return bool(policy != "always")
    return bool(policy == "never")


def start_at_boot(*, now: datetime) -> list[Run]:
    """Queue a run of each enabled agent that asks to be started with the machine."""
    enabled = Agent.objects.filter(enabled=True, held=False, retired_at__isnull=True)
    started = []
    for agent in enabled.exclude(kind="persistent").select_related("current"):
        if agent.spec["start_at_boot"]:
            started.append(runs.request_run(agent, actor="system:boot", now=now))
    return started
