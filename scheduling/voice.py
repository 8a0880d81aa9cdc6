"""What an utterance asks for: "run the prompt optimizer at five", and no more.

Pure: names of agents, the instant and the zone are given; nothing is looked up or done.
The times and rules in it are those of human rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from difflib import get_close_matches
from typing import Literal, NoReturn
from zoneinfo import ZoneInfo

import orjson

from scheduling.triggers.human import Clock
from scheduling.triggers.human_clocks import Said, point, span
from scheduling.triggers.human_parser import parse_rest
from scheduling.triggers.human_print import to_text
from scheduling.triggers.human_tokens import Cursor, RuleError, Token, tokens
from scheduling.triggers.human_words import WEEKDAY
from scheduling.triggers.zones import first_instant, local

Act = Literal["start", "stop", "schedule", "pause", "resume", "move", "when", "running"]
MAX_CHARS = 300
MAX_NAME_WORDS = 8
HALF_DAY, ONE = timedelta(hours=12), timedelta(days=1)
EXAMPLE = "start the report now"
VERBS: Mapping[str, Act] = {
    **dict.fromkeys(("run", "start", "launch", "execute"), "start"),
    **dict.fromkeys(("stop", "end", "kill", "halt", "cancel"), "stop"),
    "schedule": "schedule",
    **dict.fromkeys(("pause", "hold", "suspend"), "pause"),
    **dict.fromkeys(("resume", "unpause", "continue"), "resume"),
    **dict.fromkeys(("move", "shift", "reschedule", "postpone"), "move"),
}
POLITE = ("please", "hey", "ok", "okay", "kindly", "just", "now")
COULD = ("could", "can", "would", "will")
FILLERS = ("the", "my", "our", "agent", "all", "a", "an")
RULE_STARTS = (
    *("every", "each", "daily", "weekly", "monthly", "hourly", "on", "weekdays"),
    *("quarterly", "yearly", "twice", "once", "fortnightly"),
)


@dataclass(frozen=True, slots=True)
class Understood:
    act: Act
    agent: str = ""  # an agent_id
    rule: str = ""  # canonical
    at: datetime | None = None  # when to start, to move to, or a pause ends


def understand(
    text: str, names: Mapping[str, str], *, now: datetime, zone: ZoneInfo
) -> Understood:
    """What the utterance asks for. `names`: what agents are called -> their ids.

    Raises RuleError pointing at the word that is not understood.
    """
    if len(text) > MAX_CHARS:
        raise RuleError(f"longer than {MAX_CHARS} characters", "", MAX_CHARS + 1)
    plain = text.replace("_", " ").replace("?", " ")
    hearing = Hearing(Cursor(plain), names, now, zone)
    hearing.cursor.example = EXAMPLE
    return hearing.understood()


@dataclass
class Hearing:
    cursor: Cursor
    names: Mapping[str, str]
    now: datetime
    zone: ZoneInfo

    def understood(self) -> Understood:
        cursor = self.cursor
        while cursor.take(",", *POLITE):
            pass
        if cursor.take(*COULD):
            cursor.take("you")
            cursor.take("please")
        if cursor.sees("when", "what", "what's", "which", "next", "show"):
            return self._question()
        verb = cursor.here
        if verb.text not in VERBS:
            self._unknown_verb(verb)
        cursor.step()
        act = VERBS[verb.text]
        agent = self._agent()
        found = getattr(self, f"_{act}")(agent)
        while cursor.take("please", ",", "now"):
            pass
        if not cursor.done:
            cursor.fail()
        assert isinstance(found, Understood), "each act gives one"
        return found

    def _unknown_verb(self, verb: Token) -> NoReturn:
        near = get_close_matches(verb.text, [*VERBS, "when", "what"], n=1, cutoff=0.7)
        meant = f'; did you mean "{near[0]}"?' if near else ""
        known = "start, stop, schedule, pause, resume, move, when, what is running"
        if self.cursor.done:
            self.cursor.fail(f"say what to do: {known}")
        self.cursor.fail(f"is not understood here; there are {known}{meant}", verb)

    def _question(self) -> Understood:
        cursor = self.cursor
        if cursor.take("when"):
            cursor.take("does", "will", "is", "do")
        elif cursor.take("next"):
            if cursor.take("run"):
                cursor.take("of")
        else:
            return self._what_runs()
        agent = self._agent()
        while cursor.take("run", "runs", "start", "starts", "next", "due", "again"):
            pass
        if not cursor.done:
            cursor.fail()
        return Understood("when", agent)

    def _what_runs(self) -> Understood:
        cursor = self.cursor
        cursor.step()
        cursor.take("agents", "agent", "me")
        cursor.take("is", "are", "what", "what's")
        cursor.take("is", "currently")
        if not cursor.take("running", "active", "live"):
            cursor.fail('is not understood here; write "what is running"')
        while cursor.take("now", "right", "currently"):
            pass
        if not cursor.done:
            cursor.fail()
        return Understood("running")

    def _agent(self) -> str:
        """The longest name of an agent that stands here."""
        cursor = self.cursor
        while cursor.take(*FILLERS):
            pass
        said: list[str] = []
        best, end = "", cursor.place
        for at in range(cursor.place, min(len(cursor.tokens), cursor.place + 16)):
            token = cursor.tokens[at]
            if token.kind == "end" or len(said) == MAX_NAME_WORDS:
                break
            if token.text == "-":
                continue
            said.append(token.text)
            name = self._named(" ".join(said))
            if name:
                best, end = name, at + 1
        if not best:
            self._nobody()
        cursor.place = end
        cursor.take("agent")
        return best

    def _named(self, said: str) -> str:
        known = {words(name): agent for name, agent in self.names.items()}
        for form in (said, said.removesuffix("s"), f"{said}s"):
            if form in known:
                return known[form]
        return ""

    def _nobody(self) -> NoReturn:
        cursor = self.cursor
        if cursor.done:
            cursor.fail("which agent?")
        rest = " ".join(t.text for t in cursor.tokens[cursor.place :][:3]).strip()
        near = get_close_matches(rest, self.names, n=1, cutoff=0.5)
        near = near or get_close_matches(cursor.here.text, self.names, n=1, cutoff=0.6)
        meant = f'; did you mean "{near[0]}"?' if near else ""
        cursor.fail(f"is no agent's name or synonym{meant}")

    def _start(self, agent: str) -> Understood:
        cursor = self.cursor
        if cursor.take("now"):
            return Understood("start", agent)
        if cursor.done or cursor.sees("please"):
            return Understood("start", agent)
        if cursor.sees(*RULE_STARTS) and cursor.ahead().text not in WEEKDAY:
            return self._schedule(agent)
        place = cursor.place
        try:
            return Understood("start", agent, at=self._moment())
        except RuleError:
            cursor.place = place
            if cursor.sees(*RULE_STARTS):
                return self._schedule(agent)
            raise

    def _stop(self, agent: str) -> Understood:
        return Understood("stop", agent)

    def _schedule(self, agent: str) -> Understood:
        self.cursor.take("to")
        self.cursor.take("run")
        return Understood("schedule", agent, rule=to_text(parse_rest(self.cursor)))

    def _pause(self, agent: str) -> Understood:
        cursor = self.cursor
        if cursor.take("until", "till"):
            return Understood("pause", agent, at=self._moment())
        if cursor.take("for"):
            length = span(cursor)
            if length is None:
                cursor.fail('is no length of time such as "2 hours"')
            return Understood("pause", agent, at=self._soon(length))
        return Understood("pause", agent)

    def _resume(self, agent: str) -> Understood:
        return Understood("resume", agent)

    def _move(self, agent: str) -> Understood:
        if not self.cursor.take("to"):
            self.cursor.fail('expected "to" and a time')
        return Understood("move", agent, at=self._moment())

    def _moment(self) -> datetime:
        """ "at five", "tomorrow 8am", "friday at 9", "in 20 minutes": the next such."""
        cursor = self.cursor
        if cursor.take("in"):
            length = span(cursor)
            if length is None:
                cursor.fail('is no length of time such as "20 minutes"')
            return self._soon(length)
        day = self._day()
        cursor.take("at", "@")
        if day is not None and cursor.done:
            return first_instant(self.zone, datetime.combine(day, time()))
        said = point(cursor)
        if day is None:
            day = self._day()
        return self._next(said, day)

    def _soon(self, length: int) -> datetime:
        return self.now.replace(microsecond=0) + timedelta(seconds=length)

    def _day(self) -> date | None:
        cursor = self.cursor
        today = local(self.zone, self.now).date()
        if cursor.take("today", "tonight"):
            return today
        if cursor.take("tomorrow"):
            return today + ONE
        cursor.take("on", "next") if cursor.ahead().text in WEEKDAY else None
        if cursor.here.text in WEEKDAY:
            ahead = (WEEKDAY[cursor.step().text] - today.weekday()) % 7 or 7
            return today + ahead * ONE
        return None

    def _next(self, said: Said, day: date | None) -> datetime:
        """The first instant after now; a bare hour may be either half of the day."""
        if not isinstance(said.point, Clock):
            self.cursor.fail("is not a time by the clock", said.token)
        first = local(self.zone, self.now).date()
        days = [day] if day is not None else [first, first + ONE]
        seconds = timedelta(seconds=said.point.second)
        shown = [datetime.combine(each, time()) + seconds for each in days]
        if said.bare:
            shown = sorted([*shown, *(each + HALF_DAY for each in shown)])
        for each in shown:
            at = first_instant(self.zone, each)
            if at > self.now:
                return at
        self.cursor.fail("is in the past", said.token)


def words(name: str) -> str:
    """A name as it would be heard: its words, without dashes."""
    return " ".join(t.text for t in tokens(name.replace("_", " ")) if t.text not in "-")


def hermes(payload: bytes) -> str:
    """The utterance in a Hermes message: `hermes/intent/#` carries it as `input`,
    `hermes/asr/textCaptured` as `text`.

    Raises ValueError for what is no such message.
    """
    try:
        body = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    found = isinstance(body, dict) and (body.get("input") or body.get("text"))
    if not isinstance(found, str) or not found.strip():
        raise ValueError("a Hermes message without input or text")
    return found.strip()
