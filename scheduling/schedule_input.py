"""A schedule as people send it, checked: the HTTP shape into the columns of a row.

Strict, and every fault is told at once under the name of its field. Whether the agent
exists, and what the change does, is for schedules.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from agents.errors import Invalid
from agents.http import instant, iso, unknown_key
from agents.priority import Priority
from agents.quantities import QuantityError, parse_duration
from agents.text import fault_in, unreadable
from scheduling.triggers import cron_rule
from scheduling.triggers.interval import LEAST_S, MOST_S

TRIGGERS = ("cron", "interval", "run_at")
NOT_BUILT = ("rrule", "rule", "solar", "condition", "calendar")
HOST_ZONES = {"localtime", "posixrules", "Factory"}  # mean another thing per machine
MAX_EXDATES = 1_000
MAX_PARAMS_BYTES = 16_384  # they travel in the environment of the program
MAX_JITTER_S = 86_400
MAX_CATCHUP_S = 366 * 86_400
MAX_RUNS = 1_000_000_000
MAX_ZONE_CHARS = 64
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
ISO_LENGTH = re.compile(
    r"P(?:(?P<weeks>\d{1,4})W)?(?:(?P<days>\d{1,5})D)?"
    r"(?:T(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,8})M)?"
    r"(?:(?P<seconds>\d{1,9}(?:\.\d{1,3})?)S)?)?",
    re.ASCII,
)
INTERVAL_FORM = 'expected seconds, "5m", "1h30m" or "PT5M"'


def _cron(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError('expected a string such as "0 9 * * MON-FRI"')
    rule = cron_rule.parse(value)  # CronError is a ValueError with the sentence
    return (
        value.strip()
        if value.strip().startswith("@")
        else cron_rule.join(_typed(value, rule.fields))
    )


def _typed(value: str, fields: tuple[str, ...]) -> tuple[str, ...]:
    """The fields as they were typed, without the spaces between."""
    typed = tuple(value.split())
    return typed if len(typed) == 6 else (fields[0], *typed)


def _interval(value: object) -> float:
    try:
        seconds = _iso_length(value) or parse_duration(value, least_s=0, most_s=MOST_S)
    except QuantityError:
        raise ValueError(INTERVAL_FORM) from None
    if not LEAST_S <= seconds <= MOST_S:
        raise ValueError(f"must be at least {LEAST_S} second and at most ten years")
    return seconds


def _iso_length(value: object) -> float:
    """Seconds of "PT5M"; 0 for what is not such a text."""
    match = ISO_LENGTH.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return 0
    parts = {unit: float(n) for unit, n in match.groupdict(default="0").items()}
    return timedelta(**parts).total_seconds()


def _instant(value: object) -> datetime:
    try:
        return instant(value)
    except Invalid as error:
        raise ValueError(next(iter(error.fields["instant"]))) from None


def _seconds(value: object, most_s: int) -> int:
    try:
        seconds = parse_duration(value, least_s=0, most_s=most_s)
    except QuantityError as error:
        raise ValueError(str(error)) from None
    if seconds != int(seconds):
        raise ValueError("expected whole seconds")
    return int(seconds)


def _jitter(value: object) -> int:
    return _seconds(value, MAX_JITTER_S)


def _catchup(value: object) -> int:
    return _seconds(value, MAX_CATCHUP_S)


def _zone(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError('expected the name of a zone such as "Europe/Berlin"')
    if len(value) > MAX_ZONE_CHARS or value not in zones():
        raise ValueError(
            'is not a zone of the time zone database; expected e.g. "Europe/Berlin"'
        )
    return value


@cache
def zones() -> frozenset[str]:
    return frozenset(available_timezones() - HOST_ZONES)


def _exdate(value: object) -> str:
    """A local day as it is, an instant in one form."""
    if isinstance(value, str) and DAY.fullmatch(value):
        return date.fromisoformat(value).isoformat()
    return str(iso(_instant(value)))


def _params(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("expected an object")
    if said := fault_in(value):
        raise ValueError(said)
    if len(orjson.dumps(value)) > MAX_PARAMS_BYTES:
        raise ValueError(f"larger than {MAX_PARAMS_BYTES} bytes")
    return value


def _priority(value: object) -> int:
    words = [p.word for p in Priority]
    if not isinstance(value, str) or value not in words:
        raise ValueError(f"expected one of {', '.join(words)}")
    return Priority.from_word(value)


class Form(BaseModel):
    """The keys of a schedule and their bounds. None stands for "not given"."""

    model_config = ConfigDict(strict=True, extra="forbid")

    agent: Annotated[str, Field(min_length=1, max_length=64)]
    cron: Annotated[str, BeforeValidator(_cron)] | None = None
    interval: Annotated[float, BeforeValidator(_interval)] | None = None
    run_at: Annotated[datetime, BeforeValidator(_instant)] | None = None
    timezone: Annotated[str, BeforeValidator(_zone)]
    start_at: Annotated[datetime, BeforeValidator(_instant)] | None = None
    end_at: Annotated[datetime, BeforeValidator(_instant)] | None = None
    jitter: Annotated[int, BeforeValidator(_jitter)] = 0
    exdates: Annotated[
        list[Annotated[str, BeforeValidator(_exdate)]], Field(max_length=MAX_EXDATES)
    ] = []
    overlap: Literal[
        "skip",
        "buffer_one",
        "buffer_all",
        "cancel_other",
        "terminate_other",
        "allow_all",
    ] = "skip"
    missed: Literal["skip", "latest", "all"] = "latest"
    catchup_window: Annotated[int, BeforeValidator(_catchup)] = 3600
    max_runs: Annotated[int, Field(ge=1, le=MAX_RUNS)] | None = None
    params: Annotated[dict[str, Any], BeforeValidator(_params)] = {}
    priority: Annotated[int, BeforeValidator(_priority)] | None = None
    dst: Literal["once", "both", "skip"] | None = None
    enabled: bool = True


KEYS = (*Form.model_fields, *NOT_BUILT)


@dataclass(frozen=True, slots=True)
class Checked:
    agent_id: str
    columns: dict[str, Any]  # of Schedule; what concerns its rule and policies


def parse_schedule(raw: Mapping[str, Any], *, default_zone: str) -> Checked:
    """Check everything that can be told without looking at state.

    Raises Invalid naming every fault under its field.
    """
    if not isinstance(raw, Mapping):
        raise Invalid("expected a JSON object with a schedule")
    given = {key: value for key, value in raw.items() if value is not None}
    faults = unfit(given)
    given = {"timezone": default_zone, **given}
    try:
        form = Form.model_validate({k: v for k, v in given.items() if k not in faults})
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            add(faults, detail)
        raise refusal(faults) from None
    if faults:
        raise refusal(faults)
    return Checked(form.agent, columns_of(form))


def unfit(given: Mapping[str, Any]) -> dict[str, list[str]]:
    """Keys we do not know or have not built, no trigger, or more than one."""
    faults: dict[str, list[str]] = {}
    for key in list(given)[:100]:
        if key in NOT_BUILT:
            faults[key] = [f"{key} is not built yet; use {', '.join(TRIGGERS)}"]
        elif key not in KEYS:
            faults[str(key)[:80]] = [unknown_key(str(key), KEYS)]
    named = [t for t in TRIGGERS if t in given]
    if len(named) > 1:
        for extra in named[1:]:
            faults[extra] = [f"give exactly one of {', '.join(TRIGGERS)}"]
    if not named and not faults.keys() & set(NOT_BUILT):
        faults["cron"] = [f"give exactly one of {', '.join(TRIGGERS)}"]
    if isinstance(given.get("agent"), str) and (said := unreadable(given["agent"])):
        faults["agent"] = [said]
    return faults


def add(faults: dict[str, list[str]], detail: ErrorDetails) -> None:
    """Note one fault a field; an item of a list is named by its place."""
    field, *inner = detail["loc"] or ("",)
    place = next((f"item {i + 1}: " for i in inner if isinstance(i, int)), "")
    faults.setdefault(str(field), [place + sentence(detail)])


def sentence(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    match detail["type"]:
        case "missing":
            return "is required"
        case "value_error":
            return str(context["error"])
        case "literal_error":
            return f"expected one of {context['expected']}".replace("'", "")
        case "too_long":
            return f"more than {context['max_length']} entries"
        case "bool_type":
            return "expected true or false"
        case _:
            return detail["msg"]


def refusal(faults: Mapping[str, list[str]]) -> Invalid:
    first, said = next(iter(faults.items()))
    return Invalid(f"{first}: {said[0]}", faults)


def columns_of(form: Form) -> dict[str, Any]:
    if form.start_at and form.end_at and form.end_at <= form.start_at:
        raise Invalid("end_at: not after start_at", {"end_at": ["not after start_at"]})
    kind, rule = rule_of(form)
    return {
        "kind": kind,
        "rule": rule,
        "timezone": form.timezone,
        "dst": form.dst or "",
        "start_at": form.start_at,
        "end_at": form.end_at,
        "jitter_s": form.jitter,
        "exdates": sorted(set(form.exdates)),
        "overlap": form.overlap,
        "missed": form.missed,
        "catchup_window_s": form.catchup_window,
        "max_runs": form.max_runs,
        "params": form.params,
        "priority": form.priority,
        "enabled": form.enabled,
    }


def rule_of(form: Form) -> tuple[str, str]:
    if form.cron is not None:
        return "cron", form.cron
    if form.interval is not None:
        return "interval", seconds_text(form.interval)
    assert form.run_at is not None, "exactly one trigger was given"
    return "run_at", form.run_at.astimezone(UTC).isoformat()


def seconds_text(seconds: float) -> str:
    return str(int(seconds)) if seconds == int(seconds) else repr(seconds)


def shape_of(row: Mapping[str, Any], agent_id: str) -> dict[str, Any]:
    """The HTTP shape that gives these columns again; the start of every PATCH."""
    return {
        "agent": agent_id,
        row["kind"]: trigger_value(row["kind"], row["rule"]),
        "timezone": row["timezone"],
        "start_at": iso(row["start_at"]),
        "end_at": iso(row["end_at"]),
        "jitter": row["jitter_s"],
        "exdates": list(row["exdates"]),
        "overlap": row["overlap"],
        "missed": row["missed"],
        "catchup_window": row["catchup_window_s"],
        "max_runs": row["max_runs"],
        "params": row["params"],
        "priority": None if row["priority"] is None else Priority(row["priority"]).word,
        "dst": row["dst"] or None,
        "enabled": row["enabled"],
    }


def trigger_value(kind: str, rule: str) -> str | float | None:
    """What stands under "cron", "interval" or "run_at"."""
    if kind == "interval":
        return float(rule) if "." in rule else int(rule)
    return iso(datetime.fromisoformat(rule)) if kind == "run_at" else rule
