"""Say a human rule anew, so many seconds later, where its words can say it.

"every weekday at 9:00" an hour later is "every weekday at 10:00". Only for fixed local
times that stay on their day; otherwise there is none, and the caller keeps an offset.
"""

from __future__ import annotations

from dataclasses import replace

from scheduling.triggers.human import DAY_S, At, Clock, Every, Point, Times
from scheduling.triggers.human_parser import parse
from scheduling.triggers.human_print import to_text


def shifted(text: str, by_s: int) -> str | None:
    """The canonical text of the rule `by_s` seconds later; None: cannot be said."""
    rule = parse(text)
    times = _later(rule.times, by_s)
    return None if times is None else to_text(replace(rule, times=times))


def _later(times: Times, by_s: int) -> Times | None:
    if by_s == 0:
        return times
    if isinstance(times, Every):
        start = _point(times.start, by_s)
        end = None if times.end is None else _point(times.end, by_s)
        if start is None or end is None:
            return None
        return replace(times, start=start, end=end)
    moved = [_point(point, by_s) for point in times.points]
    found = [point for point in moved if point is not None]
    return At(tuple(found)) if len(found) == len(moved) else None


def _point(point: Point, by_s: int) -> Clock | None:
    if not isinstance(point, Clock) or not 0 <= point.second + by_s < DAY_S:
        return None
    return Clock(point.second + by_s)
