"""What an understood utterance will do, told in full sentences; and doing it.

Nothing that starts, stops or changes is done before the same person has sent back the
token of what was told. Tokens live in Redis for two minutes and count once.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from agents import agent_registry, redis
from agents.definition_synonyms import names_of
from agents.errors import Forbidden, Invalid, NotAllowedNow, Refused, Unavailable
from agents.http import iso
from agents.models import Agent
from scheduling import agent_control, moves, previews, schedules
from scheduling.models import Occurrence, Run, Schedule
from scheduling.move_input import parse_wish
from scheduling.run_state import RunState
from scheduling.timetables import timetable_of
from scheduling.triggers.base import key_of
from scheduling.triggers.human_tokens import RuleError
from scheduling.triggers.spans import plural
from scheduling.triggers.words import day_and_time
from scheduling.triggers.zones import local
from scheduling.voice import Act, Understood, understand

TOKEN_S = 120
QUESTIONS: tuple[Act, ...] = ("when", "running")
DIRECT: tuple[Act, ...] = ("start", "stop")  # may be told and confirmed in one go
ALLOWED = {  # the roles that may do it; questions are for everybody
    "operator": ("start", "stop", "move"),
    "editor": ("start", "stop", "move", "schedule", "pause", "resume"),
    "admin": ("start", "stop", "move", "schedule", "pause", "resume"),
}
MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Speaker:
    actor: str
    role: str
    zone: ZoneInfo


def hear(text: str, who: Speaker, *, now: datetime) -> Understood:
    """Raises Invalid pointing at the word that is not understood."""
    try:
        return understand(text, agent_names(), now=now, zone=who.zone)
    except RuleError as error:
        raise Invalid(f"text: {error}", {"text": [str(error)]}) from None


def agent_names() -> dict[str, str]:
    """What agents are called -> their ids; an id goes before another's synonym."""
    known = Agent.objects.filter(retired_at__isnull=True).select_related("current")
    specs = [agent.spec for agent in known]
    found = {n: spec["agent_id"] for spec in specs for n in names_of(spec)[1:]}
    return found | {names_of(spec)[0]: spec["agent_id"] for spec in specs}


def answer(
    understood: Understood, who: Speaker, *, now: datetime, at_once: bool = False
) -> dict[str, Any]:
    """What will happen, in words; and the token that makes it happen. A question is
    answered; `at_once`: starting and stopping are done without being asked back.

    Raises Forbidden, Refused when it cannot be done, and what the act itself raises.
    """
    if understood.act in QUESTIONS:
        return _told(understood, _answered(understood, who, now))
    _check_may(understood, who)
    said = _will(understood, who, now)
    if at_once and understood.act in DIRECT and understood.at is None:
        return {**_told(understood, said), "done": _act(understood, who, now)}
    which = _next_occurrence(understood.agent, now) if understood.act == "move" else ""
    token = _keep(understood, said, who, which)
    told = _told(understood, f"{said} Confirm?")
    return {**told, "needs_confirmation": True, "confirm": token}


def confirm(token: str, who: Speaker, *, now: datetime) -> dict[str, Any]:
    """Do what the token was given for. Raises Invalid for one that is not this
    person's, was used, or is older than two minutes."""
    kept = _taken(token)
    if kept is None or kept["actor"] != who.actor:
        said = "is not known, was used already, or is older than two minutes"
        raise Invalid(f"confirm: {said}", {"confirm": [said]})
    wish = kept["understood"]
    at = wish["at"] and datetime.fromisoformat(wish["at"])
    understood = Understood(**{**wish, "at": at})
    _check_may(understood, who)
    done = _act(understood, who, now, kept["which"])
    return {**_told(understood, kept["said"]), "done": done}


def _told(understood: Understood, said: str) -> dict[str, Any]:
    shape = {
        "act": understood.act,
        "agent": understood.agent or None,
        "rule": understood.rule or None,
        "at": iso(understood.at),
    }
    return {
        "said": said,
        "understood": shape,
        "needs_confirmation": False,
        "confirm": None,
        "done": None,
    }


def _keep(understood: Understood, said: str, who: Speaker, which: str) -> str:
    """`which`: the occurrence that is to be moved; it stays that one."""
    token = secrets.token_urlsafe(18)
    wish = asdict(understood)
    kept = {"actor": who.actor, "said": said, "understood": wish, "which": which}
    try:
        redis.connection().set(_key(token), orjson.dumps(kept), ex=TOKEN_S)
    except redis.RedisError:
        raise Unavailable("Redis is away; nothing was done; say it again") from None
    return token


def _taken(token: str) -> Any:
    try:
        kept = redis.connection().getdel(_key(token))
    except redis.RedisError:
        raise Unavailable("Redis is away; nothing was done; say it again") from None
    return None if kept is None else orjson.loads(kept)  # type: ignore[arg-type]


def _key(token: str) -> str:
    return f"kos:voice:{token[:64]}"


def _check_may(understood: Understood, who: Speaker) -> None:
    if understood.act == "start" and understood.at is not None:
        needed: str = "schedule"
    else:
        needed = understood.act
    if needed not in ALLOWED.get(who.role, ()):
        raise Forbidden(f"as {who.role or 'nobody'} you may not {needed} agents")


def full(at: datetime, who: Speaker, now: datetime) -> str:
    """ "today at 17:00 (Europe/Berlin)", "on Fri 27 Nov 2026 at 09:00 (…)"."""
    day, today = local(who.zone, at).date(), local(who.zone, now).date()
    text = day_and_time(at, who.zone)
    near = {today: "today", today + timedelta(days=1): "tomorrow"}.get(day)
    return f"{near} at {text.split(' at ', 1)[1]}" if near else f"on {text}"


def _answered(understood: Understood, who: Speaker, now: datetime) -> str:
    if understood.act == "running":
        return _running()
    dues = _next_runs(understood.agent, now)
    if not dues:
        return f"{understood.agent} has no run ahead."
    return f"{understood.agent} runs next {full(dues[0][0], who, now)}."


def _running() -> str:
    live = Run.objects.filter(state=RunState.RUNNING).order_by("agent__agent_id")
    names = list(live.values_list("agent__agent_id", flat=True).distinct())
    if not names:
        return "Nothing is running."
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    verb = "is" if len(names) == 1 else "are"
    return f"{', '.join(names[:MOST_NAMED])}{more} {verb} running."


def _next_runs(agent_id: str, now: datetime) -> list[tuple[datetime, Schedule]]:
    found = [
        (ahead[0], schedule)
        for schedule in _schedules(agent_id)
        if (ahead := previews.preview(schedule, after=now, count=1).firings)
    ]
    return sorted(found, key=lambda pair: pair[0])


def _schedules(agent_id: str) -> list[Schedule]:
    live = Schedule.objects.filter(
        agent__agent_id=agent_id, graph="", ended_at__isnull=True
    )
    return list(live.select_related("agent").order_by("pk"))


def _will(understood: Understood, who: Speaker, now: datetime) -> str:
    """The sentence on what will happen. Raises Refused where nothing could."""
    return WILL[understood.act](understood, who, now)


def _will_start(u: Understood, who: Speaker, now: datetime) -> str:
    when = "now" if u.at is None else f"once, {full(u.at, who, now)}"
    return f"This runs {u.agent} {when}."


def _will_stop(u: Understood, who: Speaker, now: datetime) -> str:
    live = agent_control.live_runs(agent_registry.resolve(u.agent))
    return f"This stops {u.agent}: {plural(len(live), 'live run')}."


def _will_schedule(u: Understood, who: Speaker, now: datetime) -> str:
    raw = {"rule": u.rule, "timezone": who.zone.key}
    found = previews.preview_unsaved(raw, after=now, count=1, now=now)
    if not found.firings:
        raise Refused(f'"{u.rule}" never fires from now on')
    first = full(found.firings[0], who, now)
    rule = found.human[0].lower() + found.human[1:]
    return f"This schedules {u.agent} {rule}; the first run is {first}."


def _will_pause(u: Understood, who: Speaker, now: datetime) -> str:
    running = [s for s in _schedules(u.agent) if s.paused_at is None]
    if not running:
        raise Refused(f"{u.agent} has no schedule that could be paused")
    until = f"until {full(u.at, who, now)}" if u.at else "until it is resumed"
    return f"This pauses {plural(len(running), 'schedule')} of {u.agent} {until}."


def _will_resume(u: Understood, who: Speaker, now: datetime) -> str:
    paused = [s for s in _schedules(u.agent) if s.paused_at is not None]
    if not paused:
        raise Refused(f"no schedule of {u.agent} is paused")
    return f"This resumes {plural(len(paused), 'schedule')} of {u.agent}."


def _will_move(u: Understood, who: Speaker, now: datetime) -> str:
    which = _next_occurrence(u.agent, now)
    due = _next_runs(u.agent, now)[0][0]
    told = _moved(u, who, now, which, dry_run=True)
    conflicts = told.get("conflicts") or []
    note = f" {plural(len(conflicts), 'conflict')}." if conflicts else ""
    assert u.at is not None, "a move has its time"
    old, new = (full(at, who, now) for at in (due, u.at))
    return (
        f"This moves the next run of {u.agent}, {old}, to {new}; only this one.{note}"
    )


WILL: Mapping[Act, Callable[[Understood, Speaker, datetime], str]] = {
    "start": _will_start,
    "stop": _will_stop,
    "schedule": _will_schedule,
    "pause": _will_pause,
    "resume": _will_resume,
    "move": _will_move,
}


def _moved(
    u: Understood, who: Speaker, now: datetime, which: str, *, dry_run: bool
) -> dict[str, Any]:
    wish = parse_wish({"start": iso(u.at), "scope": "this", "dry_run": dry_run})
    may_edit = "schedule" in ALLOWED.get(who.role, ())
    return moves.move(which, wish, actor=who.actor, now=now, may_edit=may_edit)


def _next_occurrence(agent_id: str, now: datetime) -> str:
    """The id of the agent's next occurrence. Raises Refused when none is ahead."""
    dues = _next_runs(agent_id, now)
    if not dues:
        raise Refused(f"{agent_id} has no run ahead that could be moved")
    due, schedule = dues[0]
    rows = Occurrence.objects.filter(schedule=schedule, state="planned", due_at=due)
    row = rows.first()
    if row is not None:
        return f"{schedule.uid}@{row.key}"
    timetable = timetable_of(schedule)
    early = due - timedelta(seconds=timetable.jitter_s + 1)
    nominals = timetable.between(early, due, at_most=timetable.jitter_s + 2)
    nominal = next(n for n in nominals if timetable.due(n) == due)
    return f"{schedule.uid}@{key_of(nominal)}"


def _act(u: Understood, who: Speaker, now: datetime, which: str = "") -> dict[str, Any]:
    """Do it; what was made or changed, by id."""
    agent = agent_registry.resolve(u.agent)
    if u.act == "start" and u.at is None:
        run = agent_control.start_agent(agent, actor=who.actor, now=now)
        return {"runs": [run.uid]}
    if u.act == "stop":
        stopped = agent_control.stop_agent(agent, actor=who.actor, now=now)
        return {"runs": [run.uid for run in stopped]}
    if u.act in ("start", "schedule"):
        rule = {"rule": u.rule} if u.rule else {"run_at": iso(u.at)}
        raw = {**rule, "timezone": who.zone.key}
        made = schedules.create(agent, raw, actor=who.actor, now=now)
        return {"schedules": [made.uid]}
    if u.act == "move":
        told = _moved(u, who, now, which, dry_run=False)
        return {"undo_token": told["undo_token"]}
    return {"schedules": _pause_or_resume(u, who, now)}


def _pause_or_resume(u: Understood, who: Speaker, now: datetime) -> list[str]:
    done = []
    for schedule in _schedules(u.agent):
        if u.act == "pause" and schedule.paused_at is None:
            note = "by voice"
            schedules.pause(schedule, actor=who.actor, now=now, note=note, until=u.at)
            done.append(schedule.uid)
        elif u.act == "resume" and schedule.paused_at is not None:
            schedules.resume(schedule, actor=who.actor, now=now)
            done.append(schedule.uid)
    if not done:
        raise NotAllowedNow(f"nothing of {u.agent} is left to {u.act}")
    return done
