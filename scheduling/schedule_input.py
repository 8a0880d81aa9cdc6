"""A schedule as people send it, checked: the HTTP shape into the columns of a row.

Strict, and every fault is told at once under the name of its field. Whether the agent
exists, and what the change does, is for schedules.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from agents.definition_concurrency import Concurrency, concurrency_words
from agents.definition_deadlines import (
    OnMissedFinish,
    OnMissedStart,
    deadlines_spec,
    deadlines_words,
    misfit,
)
from agents.definition_gangs import Gang
from agents.definition_parts import Duration
from agents.errors import Invalid
from agents.http import instant, iso, unknown_key
from agents.priority import Priority
from agents.quantities import QuantityError, parse_duration
from agents.text import fault_in, unreadable
from scheduling.calendar_input import read_calendar, read_place
from scheduling.kinds import KINDS

NOT_BUILT: tuple[str, ...] = ()
HOST_ZONES = {"localtime", "posixrules", "Factory"}  # mean another thing per machine
MAX_EXDATES = 1_000
MAX_PARAMS_BYTES = 16_384  # they travel in the environment of the program
MAX_JITTER_S = 86_400
MAX_CATCHUP_S = 366 * 86_400
MAX_RUNS = 1_000_000_000
MAX_ZONE_CHARS = 64
NOT_OF_GRAPHS = ("cancel_other", "terminate_other")
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


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


def fit_params(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("expected an object")
    if said := fault_in(value):
        raise ValueError(said)
    if len(orjson.dumps(value)) > MAX_PARAMS_BYTES:
        raise ValueError(f"larger than {MAX_PARAMS_BYTES} bytes")
    return value


def params_of(value: object) -> dict[str, Any]:
    """Raises Invalid for what cannot be given to a program."""
    try:
        return fit_params(value)
    except ValueError as error:
        raise Invalid(f"params: {error}", {"params": [str(error)]}) from None


def _priority(value: object) -> int:
    words = [p.word for p in Priority]
    if not isinstance(value, str) or value not in words:
        raise ValueError(f"expected one of {', '.join(words)}")
    return Priority.from_word(value)


Params = Annotated[dict[str, Any], BeforeValidator(fit_params)]


def concurrency_of(value: object) -> dict[str, Any]:
    try:
        return Concurrency.model_validate(value).model_dump()
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False)[0]
        where = ", ".join(map(str, detail["loc"]))
        said = sentence(detail)
        raise ValueError(f"{where}: {said}" if where else said) from None


Group = Annotated[dict[str, Any], BeforeValidator(concurrency_of)]


class Form(BaseModel):
    """The keys of a schedule beside its rule, and their bounds. None stands for "not
    given"."""

    model_config = ConfigDict(strict=True, extra="forbid")

    agent: Annotated[str, Field(min_length=1, max_length=64)] = ""
    graph: Annotated[str, Field(min_length=1, max_length=64)] = ""
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
    timeout: Duration | None = None
    params: Params = {}
    gang: Gang | None = None
    priority: Annotated[int, BeforeValidator(_priority)] | None = None
    place: Annotated[dict[str, float], BeforeValidator(read_place)] | None = None
    calendar: Annotated[dict[str, Any] | None, BeforeValidator(read_calendar)] = None
    concurrency: Annotated[dict[str, Any], BeforeValidator(concurrency_of)] | None = (
        None
    )
    start_by: Duration | None = None
    finish_by: Duration | None = None
    on_missed_start: OnMissedStart | None = None
    on_missed_finish: OnMissedFinish | None = None
    dst: Literal["once", "both", "skip"] | None = None
    enabled: bool = True


KEYS = ("agent", *KINDS, *Form.model_fields, *NOT_BUILT)


@dataclass(frozen=True, slots=True)
class Checked:
    agent_id: str  # "" for a graph's
    columns: dict[str, Any]  # of Schedule; what concerns its rule and policies


def parse_schedule(raw: Mapping[str, Any], *, default_zone: str) -> Checked:
    """Check everything that can be told without looking at state.

    Raises Invalid naming every fault under its field.
    """
    if not isinstance(raw, Mapping):
        raise Invalid("expected a JSON object with a schedule")
    given = {key: value for key, value in raw.items() if value is not None}
    faults = unfit(given)
    rule = rule_in(given, faults)
    given = {"timezone": own_zone(given, faults) or default_zone, **given}
    rest = {k: v for k, v in given.items() if k not in faults and k not in KINDS}
    try:
        form = Form.model_validate(rest)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            add(faults, detail)
        raise refusal(faults) from None
    if faults or rule is None:
        raise refusal(faults)
    return Checked(form.agent, columns_of(form, rule))


def rule_in(
    given: Mapping[str, Any], faults: dict[str, list[str]]
) -> tuple[str, str] | None:
    """The kind and its rule as stored; None when `faults` says why not."""
    for name, kind in KINDS.items():
        if name in given and name not in faults:
            try:
                return name, kind.read(given[name])
            except ValueError as error:
                faults[name] = [str(error)]
    return None


def own_zone(given: Mapping[str, Any], faults: dict[str, list[str]]) -> str | None:
    """The zone that the rule itself names; a fault when another one was given."""
    for name, kind in KINDS.items():
        if name not in given or name in faults:
            continue
        own = kind.zone(given[name])
        if own is not None and given.get("timezone", own) != own:
            said = f"{name} names {own}; give the same, or leave one of them out"
            faults.setdefault("timezone", [said])
        return own
    return None


def unfit(given: Mapping[str, Any]) -> dict[str, list[str]]:
    """Keys we do not know or have not built, no trigger, or more than one."""
    faults: dict[str, list[str]] = {}
    for key in list(given)[:100]:
        if key in NOT_BUILT:
            faults[key] = [f"{key} is not built yet; use {', '.join(KINDS)}"]
        elif key not in KEYS:
            faults[str(key)[:80]] = [unknown_key(str(key), KEYS)]
    named = [t for t in KINDS if t in given]
    if len(named) > 1:
        for extra in named[1:]:
            faults[extra] = [f"give exactly one of {', '.join(KINDS)}"]
    if not named and not faults.keys() & set(NOT_BUILT):
        faults["cron"] = [f"give exactly one of {', '.join(KINDS)}"]
    for key in ("agent", "graph"):
        if isinstance(given.get(key), str) and (said := unreadable(given[key])):
            faults[key] = [said]
    check_what(given, faults)
    return faults


def check_what(given: Mapping[str, Any], faults: dict[str, list[str]]) -> None:
    """A schedule runs an agent or a graph; a graph's takes fewer keys."""
    if "graph" not in given:
        if "agent" not in given:
            faults.setdefault("agent", ["is required"])
        return
    if "agent" in given:
        faults.setdefault("graph", ["give an agent or a graph, not both"])
    if given.get("overlap") in NOT_OF_GRAPHS:
        said = "a graph is never cut short for the next; expected skip, buffer_one, "
        faults.setdefault("overlap", [f"{said}buffer_all, allow_all"])
    if "concurrency" in given:
        said = "is of agents; a graph says its own in its definition"
        faults.setdefault("concurrency", [said])
    if "timeout" in given:
        faults.setdefault("timeout", ["is of agents; a graph's nodes have their own"])
    if "gang" in given:
        faults.setdefault("gang", ["is of agents; a graph is started once"])


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


def columns_of(form: Form, rule: tuple[str, str]) -> dict[str, Any]:
    if form.start_at and form.end_at and form.end_at <= form.start_at:
        raise Invalid("end_at: not after start_at", {"end_at": ["not after start_at"]})
    if form.finish_by and (said := misfit(None, form.start_by, form.finish_by)):
        raise Invalid(f"finish_by: {said}", {"finish_by": [said]})
    return {
        "graph": form.graph,
        "kind": rule[0],
        "rule": rule[1],
        "timezone": form.timezone,
        "dst": form.dst or "",
        "place": form.place,
        "calendar": form.calendar,
        "start_at": form.start_at,
        "end_at": form.end_at,
        "jitter_s": form.jitter,
        "exdates": sorted(set(form.exdates)),
        "overlap": form.overlap,
        "missed": form.missed,
        "catchup_window_s": form.catchup_window,
        "max_runs": form.max_runs,
        "timeout_s": form.timeout,
        "params": form.params,
        "gang": form.gang or 0,
        "priority": form.priority,
        "concurrency": form.concurrency,
        "deadlines": deadlines_spec(form),
        "enabled": form.enabled,
    }


def shape_of(row: Mapping[str, Any], agent_id: str) -> dict[str, Any]:
    """The HTTP shape that gives these columns again; the start of every PATCH."""
    graph = row.get("graph") or None
    return {
        "agent": None if graph else agent_id,
        "graph": graph,
        row["kind"]: KINDS[row["kind"]].value(row["rule"]),
        "timezone": row["timezone"],
        "place": row["place"],
        "calendar": row["calendar"],
        "start_at": iso(row["start_at"]),
        "end_at": iso(row["end_at"]),
        "jitter": row["jitter_s"],
        "exdates": list(row["exdates"]),
        "overlap": row["overlap"],
        "missed": row["missed"],
        "catchup_window": row["catchup_window_s"],
        "max_runs": row["max_runs"],
        "timeout": row["timeout_s"],
        "params": row["params"],
        "gang": row.get("gang") or None,
        "priority": None if row["priority"] is None else Priority(row["priority"]).word,
        "concurrency": concurrency_words(row),
        **deadlines_words(row["deadlines"]),
        "dst": row["dst"] or None,
        "enabled": row["enabled"],
    }
