"""Times of the day as a rule says them: 9am, half past nine, an hour after dusk.

A bare hour is read by 24 hours ("at 9" is 09:00). Where people would also mean the
afternoon ("from 9 to 5") it is refused: the rule must say which.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from scheduling.triggers.human import DAY_S, Clock, Point, Solar
from scheduling.triggers.human_tokens import Cursor, Token
from scheduling.triggers.human_words import (
    GOLDEN,
    NUMBER,
    SOLAR,
    SOLAR_NOON,
    STEPS,
    TENS,
)

NOON_S = 43_200
MOST_OFFSET_S = 43_200
CLOCK_WORDS = {"noon": NOON_S, "midday": NOON_S, "midnight": 0}
IN_THE = {"morning": "am", "afternoon": "pm", "evening": "pm"}
Half = Literal["", "am", "pm"]


@dataclass(frozen=True, slots=True)
class Said:
    """A point as it was said. `bare`: an hour from 1 to 11 that could be either half
    of the day; `half`: am or pm stood with it."""

    token: Token
    point: Point
    bare: bool = False
    half: Half = ""

    @property
    def second(self) -> int | None:
        return self.point.second if isinstance(self.point, Clock) else None


def has_minutes(said: Said) -> bool:
    """It looks like a time by itself, as "9:00" and "nine thirty" do."""
    return said.token.kind == "time" or bool((said.second or 0) % 3600)


def starts_point(cursor: Cursor) -> bool:
    """Whether a time stands here (an ordinal is a day of the month)."""
    here = cursor.here
    if here.kind == "time":
        return True
    if here.kind == "number" or here.text in NUMBER or here.text in TENS:
        place = cursor.place
        is_day = cursor.ordinal() is not None
        cursor.place = place
        return not is_day
    if here.text in GOLDEN:
        return cursor.ahead().text == "golden"
    return here.text in (
        *CLOCK_WORDS,
        *SOLAR,
        *("solar", "golden", "half", "quarter", "an", "a"),
    )


def point(cursor: Cursor, *, opens: bool = False) -> Said:
    """The time that stands here. Fails at the word that is none. `opens`: it begins a
    window, so a "to" behind it leads to the window's end."""
    token = cursor.here
    if cursor.here.text in CLOCK_WORDS:
        return Said(token, Clock(CLOCK_WORDS[cursor.step().text]))
    if (event := _event(cursor)) is not None:
        return Said(token, Solar(event))
    if (spoken := _spoken(cursor, opens)) is not None:
        return spoken
    place = cursor.place
    if (length := span(cursor)) is not None and cursor.sees("before", "after"):
        return Said(token, _off_the_sun(cursor, length, token))
    cursor.place = place
    return _clock(cursor)


def _event(cursor: Cursor) -> str | None:
    if cursor.here.text in SOLAR:
        return SOLAR[cursor.step().text]
    if cursor.take("solar"):
        if not cursor.take("noon"):
            cursor.fail('does not fit here; the sun has a "solar noon"')
        return SOLAR_NOON
    part = "evening"
    if cursor.here.text in GOLDEN and cursor.ahead().text == "golden":
        part = cursor.step().text
    if not cursor.take("golden"):
        return None
    if not cursor.take("hour"):
        cursor.fail('does not fit here; the sun has a "golden hour"')
    return GOLDEN[part]


def _off_the_sun(cursor: Cursor, length: int, token: Token) -> Solar:
    sign = -1 if cursor.step().text == "before" else 1
    cursor.skip_articles()
    event = _event(cursor)
    if event is None:
        known = ", ".join(sorted({*SOLAR, "golden hour", "solar noon"}))
        cursor.fail(f"is not one of {known}")
    if length > MOST_OFFSET_S:
        cursor.fail("is more than 12 hours from the sun's event", token)
    return Solar(event, sign * length)


def span(cursor: Cursor) -> int | None:
    """Seconds of "30 minutes", "an hour", "1 hour and 15 minutes"; None: no length."""
    total, found = 0, False
    while (part := _span_part(cursor)) is not None:
        total, found = total + part, True
        place = cursor.place
        cursor.take("and")
        if cursor.here.kind != "number" and cursor.here.text not in NUMBER:
            cursor.place = place
            break
    return total if found else None


def _span_part(cursor: Cursor) -> int | None:
    place = cursor.place
    if cursor.take("half"):
        cursor.take("an", "a")
        number: float | None = 0.5
    elif cursor.sees("quarter") and cursor.ahead().text == "of":
        cursor.step()
        cursor.step()
        cursor.take("an")
        number = 0.25
    else:
        number = 1 if cursor.take("a", "an") else cursor.number()
    unit = STEPS.get(cursor.here.text)
    if number is None or unit is None or (number < 1 and unit != 3600):
        cursor.place = place
        return None
    cursor.step()
    return int(number * unit)


def _spoken(cursor: Cursor, opens: bool) -> Said | None:
    """ "half past nine", "quarter to five pm", "ten past 8"."""
    token, place = cursor.here, cursor.place
    minutes: int | None
    if cursor.take("half"):
        minutes = 30
    elif cursor.take("a", "quarter"):
        minutes = 15 if cursor.last.text == "quarter" or cursor.take("quarter") else 0
    else:
        minutes = cursor.number()
        cursor.take("minutes", "minute")
    if not minutes or minutes > 59 or not cursor.take("past", "to"):
        cursor.place = place
        return None
    sign = 1 if cursor.last.text == "past" else -1
    by_number = token.kind == "number" or (opens and token.text not in ("quarter", "a"))
    if not starts_point(cursor) or (sign < 0 and by_number):
        cursor.place = place  # "10 to 5" is a window
        return None
    hour = point(cursor, opens=opens)
    if hour.second is None or hour.second % 3600 or (sign < 0 and minutes == 30):
        cursor.fail("is not an hour", hour.token)
    second = (hour.second + sign * minutes * 60) % DAY_S
    return replace(hour, token=token, point=Clock(second))


def _clock(cursor: Cursor) -> Said:
    token = cursor.here
    if token.kind == "time":
        cursor.step()
        hour, minute, second = ([*map(int, token.text.split(":")), 0])[:3]
        told = len(token.text.partition(":")[0]) == 2 and hour < 12
    else:
        hour, minute, second = cursor.number(), 0, 0  # type: ignore[assignment]
        if hour is None:
            cursor.fail("is not a time of day" if token.kind != "end" else "a time")
        told = token.kind == "number" and token.raw.startswith("0")
        if token.kind == "word" and (cursor.here.text in {**NUMBER, **TENS}):
            minute = cursor.number() or 0  # "nine thirty"
    if minute > 59 or second > 59 or hour > 24:
        cursor.fail("is not a time of day", token)
    cursor.take("o'clock", "oclock")
    half = _half(cursor)
    if half:
        hour = _by_half(cursor, token, hour, half)
    elif hour == 12 and cursor.take("noon", "midday", "midnight"):
        hour = 0 if cursor.last.text == "midnight" else 12
    if (hour, minute + second) > (24, 0):
        cursor.fail("is not a time of day", token)
    bare = not half and not told and 1 <= hour <= 11
    return Said(token, Clock(hour * 3600 + minute * 60 + second), bare, half)


def _half(cursor: Cursor) -> Half:
    if cursor.take("am"):
        return "am"
    if cursor.take("pm"):
        return "pm"
    if cursor.sees("in"):
        by = 2 if cursor.ahead().text == "the" else 1
        half = IN_THE.get(cursor.ahead(by).text)
        if half:
            cursor.place += by + 1
            return "am" if half == "am" else "pm"
    return ""


def _by_half(cursor: Cursor, token: Token, hour: int, half: Half) -> int:
    if not 1 <= hour <= 12:
        cursor.fail(f"has no {half}: it is a time by 24 hours already", token)
    return hour % 12 + (12 if half == "pm" else 0)


def in_part(cursor: Cursor, said: Said, part: str) -> Said:
    """The same time of a morning, afternoon, evening or night."""
    second = said.second
    if isinstance(said.point, Solar) and part and "golden" in said.point.event:
        return _golden_in(cursor, said, said.point, part)
    if second is None or not part:
        return said
    if said.half:
        if part != "night" and (said.half == "am") != (part == "morning"):
            cursor.fail(f"is not in the {part}", said.token)
        return said
    hour = second // 3600
    if not said.bare:
        fits = {
            "morning": hour < 12,
            "afternoon": 12 <= hour < 18,
            "evening": hour >= 16,
            "night": hour >= 18 or hour < 6,
        }
        if not fits[part]:
            cursor.fail(f"is not in the {part}", said.token)
        return said
    later = part in ("afternoon", "evening") or (part == "night" and hour >= 6)
    by = NOON_S if later else 0
    return replace(said, point=Clock(second + by), bare=False)


def _golden_in(cursor: Cursor, said: Said, point: Solar, part: str) -> Said:
    """ "every morning at golden hour" is that of the morning."""
    event = GOLDEN.get(part)
    if event is None or (event != point.event and said.token.text != "golden"):
        cursor.fail(f"is not in the {part}", said.token)
    return replace(said, point=Solar(event, point.offset_s))


def check_list(cursor: Cursor, points: list[Said]) -> None:
    """Fails at a bare hour that could be meant for the other half of the day."""
    for n, said in enumerate(points):
        if said.second == DAY_S:
            cursor.fail('is the next day; write "midnight" or 00:00', said.token)
        if not said.bare or said.second is None:
            continue
        before = points[n - 1].second if n else None
        if before is not None and before > said.second:
            _two_readings(cursor, said)
        if n and points[n - 1].half == "pm":
            _two_readings(cursor, said)
        after = points[n + 1] if n + 1 < len(points) else None
        if after is not None and _may_share_pm(said, after):
            _two_readings(cursor, said)


def check_window(cursor: Cursor, start: Said, end: Said) -> None:
    """The same for "from … to …"."""
    if start.bare and _may_share_pm(start, end):
        _two_readings(cursor, start)
    if not end.bare or start.second is None or end.second is None:
        return
    by_24_hours = start.second >= NOON_S + 3600 and not start.half
    if start.half == "pm" or (end.second <= start.second and not by_24_hours):
        _two_readings(cursor, end)


def _may_share_pm(said: Said, after: Said) -> bool:
    """ "from 1 to 5pm": the pm may stand for both."""
    if after.half != "pm" or said.second is None or after.second is None:
        return False
    return said.second + NOON_S < after.second


def _two_readings(cursor: Cursor, said: Said) -> None:
    second = said.second or 0
    morning, evening = (clock_text(Clock(s)) for s in (second, second + NOON_S))
    cursor.fail(f"could be {morning} or {evening}; write which", said.token)


def clock_text(clock: Clock) -> str:
    hour, rest = divmod(clock.second, 3600)
    minute, second = divmod(rest, 60)
    return f"{hour:02}:{minute:02}" + (f":{second:02}" if second else "")
