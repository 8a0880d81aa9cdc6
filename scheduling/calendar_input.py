"""The `calendar` and the `place` of a schedule as people send them. Pure.

A calendar may be an object {on, except, shift} or a text: "business_days",
"weekdays except holidays", "except holidays, shift next".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MOST_NAMES = 20
SHIFTS = ("skip", "next", "previous")
KEYS = ("on", "except", "shift")
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
TEXT = re.compile(
    r"(?:on +)?(?P<on>(?!except\b)[a-z0-9_, -]+?)?"
    r"(?:\bexcept +(?P<out>[a-z0-9_, -]+?))?"
    r"(?:,? *shift +(?P<shift>[a-z]+))?",
    re.ASCII,
)
FORM = 'expected e.g. {"on": ["weekdays"], "except": ["holidays"], "shift": "next"}'


def read_calendar(value: object) -> dict[str, Any] | None:
    """In the form that is kept; None when it chooses nothing. Raises ValueError."""
    if isinstance(value, str):
        value = _of_text(value)
    if not isinstance(value, Mapping):
        raise ValueError(FORM)
    for key in value:
        if key not in KEYS:
            raise ValueError(f"{str(key)[:40]}: expected {', '.join(KEYS)}")
    on, without = _names(value, "on"), _names(value, "except")
    shift = value.get("shift") or "skip"
    if shift not in SHIFTS:
        raise ValueError(f"shift: expected one of {', '.join(SHIFTS)}")
    if not on and not without:
        return None
    return {"on": on, "except": without, "shift": shift}


def _of_text(text: str) -> dict[str, Any]:
    match = TEXT.fullmatch(text.strip().lower()) if len(text) <= 1000 else None
    if match is None:
        raise ValueError('expected e.g. "weekdays except holidays, shift next"')
    return {
        "on": re.split(r"[ ,]+", match["on"].strip(" ,")) if match["on"] else [],
        "except": re.split(r"[ ,]+", match["out"].strip(" ,")) if match["out"] else [],
        "shift": match["shift"],
    }


def _names(value: Mapping[Any, Any], key: str) -> list[str]:
    given = value.get(key)
    names = [given] if isinstance(given, str) else given or []
    if not isinstance(names, list) or len(names) > MOST_NAMES:
        raise ValueError(f"{key}: expected a list of at most {MOST_NAMES} names")
    found = [check_name(name, key) for name in names if name != ""]
    return list(dict.fromkeys(found))


def check_name(name: object, where: str) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        said = "expected a name of small letters, digits, - and _"
        raise ValueError(f"{where}: {said}")
    return name


def read_place(value: object) -> dict[str, float]:
    """Raises ValueError with a sentence."""
    if not isinstance(value, Mapping) or set(value) != {"latitude", "longitude"}:
        raise ValueError('expected {"latitude": 52.52, "longitude": 13.405}')
    return {
        "latitude": degrees(value["latitude"], 90, "latitude"),
        "longitude": degrees(value["longitude"], 180, "longitude"),
    }


def degrees(value: object, most: int, name: str) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not -most <= value <= most:  # type: ignore[operator]
        raise ValueError(f"{name}: expected degrees from -{most} to {most}")
    return round(float(value), 6)  # type: ignore[arg-type]
