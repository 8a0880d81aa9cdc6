"""An RRULE as text: RRULE, DTSTART, EXDATE and RDATE lines, read and written.

The form that is kept has one line for each property and no zone: the schedule has
one, and what DTSTART names becomes it. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from scheduling.triggers.rrule import Recurrence, RruleRule
from scheduling.triggers.rrule_parts import Parts, parse_parts
from scheduling.triggers.zones import local

LONGEST = 4_000  # characters, as stored
MOST_DATES = 500  # of RDATE and EXDATE
PROPERTIES = ("DTSTART", "RRULE", "RDATE", "EXDATE")
LINE = re.compile(r"([A-Za-z]+)((?:;[^:]*)?):(.*)", re.ASCII)
STAMP = re.compile(r"(\d{8})(?:T(\d{6})(Z?))?", re.ASCII)
FOLDED = re.compile(r"\r?\n[ \t]")


@dataclass(frozen=True, slots=True)
class Stamp:
    """A date or a time as a line writes it."""

    shown: datetime
    zone: str = ""  # "": of no zone
    is_day: bool = False

    def in_zone(self, zone: ZoneInfo) -> datetime:
        """What the clocks of the zone show."""
        if not self.zone or self.zone == zone.key:
            return self.shown
        own = UTC if self.zone == "UTC" else ZoneInfo(self.zone)
        return local(zone, self.shown.replace(tzinfo=own))

    def text(self) -> str:
        if self.is_day:
            return f"{self.shown:%Y%m%d}"
        return f"{self.shown:%Y%m%dT%H%M%S}" + ("Z" if self.zone == "UTC" else "")


@dataclass(frozen=True, slots=True)
class Said:
    """The lines, read."""

    rule: str
    parts: Parts
    start: Stamp | None = None
    also: tuple[Stamp, ...] = ()
    without: tuple[Stamp, ...] = ()

    @property
    def zone(self) -> str | None:
        """The zone the text names; None: none."""
        return self.start.zone or None if self.start is not None else None

    def text(self) -> str:
        """The form that is kept."""
        lines = [f"RRULE:{self.rule}"]
        if self.start is not None:
            shown = replace(self.start, zone="", is_day=False)
            lines.insert(0, f"DTSTART:{shown.text()}")
        for name, stamps in (("RDATE", self.also), ("EXDATE", self.without)):
            if stamps:
                lines.append(f"{name}:" + ",".join(s.text() for s in stamps))
        return "\n".join(lines)


def read_text(text: str) -> Said:
    """Raises ValueError with a sentence that names the line or the part."""
    if len(text) > 8 * LONGEST:
        raise ValueError(f"longer than {8 * LONGEST} characters")
    found: dict[str, list[tuple[str, str]]] = {}
    for line in FOLDED.sub("", text).splitlines():
        if line.strip():
            name, params, value = _line(line.strip())
            found.setdefault(name, []).append((params, value))
    for name in ("DTSTART", "RRULE"):
        if len(found.get(name, ())) > 1:
            raise ValueError(f"{name} stands there twice; one is taken")
    if "RRULE" not in found:
        raise ValueError("there is no RRULE line; expected e.g. RRULE:FREQ=DAILY")
    rule = found["RRULE"][0][1].strip().strip(";").upper().replace(" ", "")
    starts = _stamps("DTSTART", found.get("DTSTART", []))
    if len(starts) > 1:
        raise ValueError("DTSTART: one time is expected")
    said = Said(
        rule,
        parse_parts(rule),
        starts[0] if starts else None,
        _stamps("RDATE", found.get("RDATE", [])),
        _stamps("EXDATE", found.get("EXDATE", [])),
    )
    return _checked(said)


def _checked(said: Said) -> Said:
    said = _in_one_zone(said)
    if len(said.also) + len(said.without) > MOST_DATES:
        raise ValueError(f"more than {MOST_DATES} dates in RDATE and EXDATE")
    if len(said.text()) > LONGEST:
        raise ValueError(f"longer than {LONGEST} characters")
    if said.start is not None and said.parts.until:
        until, start = until_of(said.parts, _zone(said.zone)), said.start.shown
        if until < start:
            raise ValueError("UNTIL lies before DTSTART: it never fires")
    return said


def _in_one_zone(said: Said) -> Said:
    """Times of another zone than DTSTART's are kept in UTC."""
    return replace(
        said,
        also=tuple(_plain(s, said.zone) for s in said.also),
        without=tuple(_plain(s, said.zone) for s in said.without),
    )


def _plain(stamp: Stamp, zone: str | None) -> Stamp:
    if stamp.is_day or stamp.zone in ("", "UTC"):
        return stamp
    if stamp.zone == zone:
        return replace(stamp, zone="")
    return Stamp(stamp.in_zone(ZoneInfo("UTC")), "UTC")


def _zone(name: str | None) -> ZoneInfo:
    return ZoneInfo(name or "UTC")


def _line(line: str) -> tuple[str, str, str]:
    if line.upper().startswith("FREQ=") or (":" not in line and "=" in line):
        return "RRULE", "", line
    match = LINE.fullmatch(line)
    if match is None:
        raise ValueError(f'"{line[:60]}" is not a line such as RRULE:FREQ=DAILY')
    name = match[1].upper()
    if name == "EXRULE":
        raise ValueError("EXRULE is no part of RFC 5545 any more; use EXDATE")
    if name not in PROPERTIES:
        raise ValueError(f"{name[:40]}: expected {', '.join(PROPERTIES)}")
    return name, match[2], match[3]


def _stamps(name: str, lines: list[tuple[str, str]]) -> tuple[Stamp, ...]:
    found = {}
    for params, value in lines:
        zone = _zone_of(name, params)
        for text in value.split(","):
            stamp = stamp_of(name, text.strip(), zone)
            found[stamp.text()] = stamp
    return tuple(sorted(found.values(), key=lambda s: s.shown))


def _zone_of(name: str, params: str) -> str:
    zone = ""
    for param in params.strip(";").split(";") if params else ():
        key, _, value = param.partition("=")
        match key.upper(), value.strip('"'):
            case "TZID", zone:
                _known_zone(name, zone)
            case "VALUE", "DATE" | "DATE-TIME":
                pass
            case _:
                raise ValueError(f"{name}: {param[:40]} is not understood")
    return zone


def _known_zone(name: str, zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, LookupError):
        said = "is not a zone of the time zone database"
        raise ValueError(f'{name}: TZID "{zone[:64]}" {said}') from None


def stamp_of(name: str, text: str, zone: str = "") -> Stamp:
    match = STAMP.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        shown = datetime.fromisoformat(f"{match[1]}T{match[2] or '000000'}")
    except ValueError:
        said = f'"{text[:40]}" is not a time such as 20261231T090000'
        raise ValueError(f"{name}: {said}") from None
    if not 1970 <= shown.year <= 2999:
        raise ValueError(f"{name}: the year must be from 1970 to 2999")
    return Stamp(shown, "UTC" if match[3] else zone, is_day=match[2] is None)


def until_of(parts: Parts, zone: ZoneInfo) -> datetime:
    """The last local time of UNTIL; a day counts to its end."""
    stamp = stamp_of("UNTIL", parts.until)
    if stamp.is_day:
        return stamp.shown + timedelta(days=1, seconds=-1)
    return stamp.in_zone(zone)


def rule_of(
    said: Said, zone: ZoneInfo, anchor_at: datetime | None, shift: timedelta
) -> RruleRule:
    """The rule in a zone. Without DTSTART it counts from the anchor."""
    start = said.start.shown if said.start is not None else None
    if start is None:
        if anchor_at is None:
            raise ValueError("an RRULE without DTSTART or an instant it counts from")
        start = default_start(said.parts, local(zone, anchor_at))
    also = {_in_day(s, start, zone) for s in said.also}
    days: frozenset[date] = frozenset(s.shown.date() for s in said.without if s.is_day)
    times = frozenset(s.in_zone(zone) for s in said.without if not s.is_day)
    until = until_of(said.parts, zone) if said.parts.until else None
    return RruleRule(
        Recurrence(start, said.parts, until, tuple(sorted(also)), times, days, shift)
    )


def _in_day(stamp: Stamp, start: datetime, zone: ZoneInfo) -> datetime:
    if stamp.is_day:
        return datetime.combine(stamp.shown.date(), start.time())
    return stamp.in_zone(zone)


def default_start(parts: Parts, anchor: datetime) -> datetime:
    """Of a rule that names none: the anchor's minute, and the full hour where the
    rule says hours but no minutes."""
    anchor = anchor.replace(second=0, microsecond=0)
    if parts.hours and not parts.minutes:
        anchor = anchor.replace(minute=0)
    return anchor


def moved_text(text: str, by_s: int) -> str | None:
    """The text for the same local times `by_s` seconds later; None: cannot be said."""
    said = read_text(text)
    by = timedelta(seconds=by_s)
    stamps = (*said.also, *said.without)
    if (
        said.start is None
        or said.parts.until
        or any(s.is_day or s.zone for s in stamps)
    ):
        return None
    later = replace(
        said,
        start=replace(said.start, shown=said.start.shown + by, is_day=False),
        also=tuple(replace(s, shown=s.shown + by) for s in said.also),
        without=tuple(replace(s, shown=s.shown + by) for s in said.without),
    )
    utc = ZoneInfo("UTC")
    new, wanted = (
        rule_of(later, utc, None, timedelta()),
        rule_of(said, utc, None, by),
    )
    return later.text() if _same(new, wanted, said.start.shown + by) else None


def _same(new: RruleRule, wanted: RruleRule, begin: datetime) -> bool:
    """The same first times of some years, and the same number of them."""
    at = datetime.combine(begin.date(), time()) - timedelta(days=1)
    far = at + timedelta(days=5 * 366)
    if new.count_local(at, far) != wanted.count_local(at, far):
        return False
    for _ in range(100):
        a, b = new.next_local(at), wanted.next_local(at)
        if a != b or a is None:
            return a == b
        at = a + timedelta(seconds=1)
    return True
