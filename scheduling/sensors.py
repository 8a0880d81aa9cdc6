"""What may be done to a sensor. Values by MQTT come through scheduling.conditions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal

from django.db import transaction
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from agents import journal, live_config
from agents.errors import AlreadyExists, Invalid, NotAllowedNow, NotFound
from agents.http import iso, unknown_key, wrong
from agents.quantities import QuantityError, parse_duration, shown
from agents.text import unreadable
from scheduling import sensor_readings, sensor_values
from scheduling.conditions import uses
from scheduling.schedule_input import sentence
from scheduling.sensor_models import Reading, Sensor
from scheduling.sensor_values import Unfit

NAME = r"^[a-z][a-z0-9_]{0,63}$"
WORDS_OF_CEL = {
    *("as", "break", "const", "continue", "else", "false", "for", "function", "if"),
    *("import", "in", "let", "loop", "namespace", "null", "package", "return", "true"),
    *("var", "void", "while"),
}
MAX_SENSORS = 10_000
MAX_STALE_S = 366 * 86_400.0


def _name(name: str) -> str:
    if name in WORDS_OF_CEL:
        raise ValueError("is a word of the language of conditions")
    return name


def _path(path: str) -> str:
    sensor_values.steps(path)
    return path


def _topic(topic: str) -> str:
    if topic:
        sensor_values.check_filter(topic)
    return topic


def _text(text: str) -> str:
    if text and (said := unreadable(text)):
        raise ValueError(said)
    return text


def _stale(value: object) -> float | None:
    try:
        return parse_duration(value, least_s=0.1, most_s=MAX_STALE_S)
    except QuantityError as error:
        raise ValueError(str(error)) from None


Path = Annotated[str, Field(max_length=200), AfterValidator(_path)]


class Form(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    name: Annotated[str, Field(pattern=NAME), AfterValidator(_name)]
    source: Literal["mqtt", "rest"]
    topic: Annotated[str, AfterValidator(_topic)] = ""
    per_topic: bool = False
    path: Path = ""
    at_path: Path = ""
    type: Literal["number", "boolean", "text"] = "number"
    unit: Annotated[str, Field(max_length=32), AfterValidator(_text)] = ""
    stale_after: Annotated[Any, AfterValidator(_stale)] = None
    enabled: bool = True


KEYS = tuple(Form.model_fields)


def parse(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of a sensor from its HTTP shape. Raises Invalid naming every fault."""
    if not isinstance(raw, Mapping):
        raise Invalid("expected a JSON object with a sensor")
    faults = {
        str(k)[:80]: [unknown_key(str(k), KEYS)]
        for k in list(raw)[:100]
        if k not in KEYS
    }
    given = {k: v for k, v in raw.items() if k not in faults and v is not None}
    try:
        form = Form.model_validate(given)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            said = sentence(detail)
            if detail["type"] == "string_pattern_mismatch":
                said = "expected a small letter, then small letters, digits and _"
            faults.setdefault(str(detail["loc"][0]), [said])
        raise _refusal(faults) from None
    faults |= _together(form)
    if faults:
        raise _refusal(faults)
    columns = form.model_dump()
    columns["stale_after_s"] = columns.pop("stale_after")
    return columns


def _together(form: Form) -> dict[str, list[str]]:
    faults: dict[str, list[str]] = {}
    if form.source == "rest":
        for name in ("topic", "path", "at_path", "per_topic"):
            if getattr(form, name):
                faults[name] = ["only a sensor of source mqtt has it"]
    elif not form.topic:
        faults["topic"] = ["is required"]
    elif form.per_topic and not sensor_values.is_wild(form.topic):
        faults["per_topic"] = ["needs a topic with + or #"]
    return faults


def _refusal(faults: Mapping[str, list[str]]) -> Invalid:
    first, said = next(iter(faults.items()))
    return Invalid(f"{first}: {said[0]}", faults)


def find(name: str) -> Sensor:
    """Raises NotFound."""
    known = Sensor.objects.select_related("parent")
    found = known.filter(name=name[:65]).first() if name.isascii() else None
    if found is None:
        raise NotFound(f"there is no sensor {shown(name)}")
    return found


@transaction.atomic
def create(raw: Mapping[str, Any], *, actor: str, now: datetime) -> Sensor:
    """Raises Invalid naming every fault, AlreadyExists, NotAllowedNow at the limit."""
    columns = parse(raw)
    if Sensor.objects.filter(name=columns["name"]).exists():
        raise AlreadyExists(f"there is a sensor {columns['name']}")
    if Sensor.objects.count() >= MAX_SENSORS:
        raise NotAllowedNow(f"there are {MAX_SENSORS} sensors, and no more may be made")
    made = Sensor.objects.create(**columns, created_at=now, created_by=actor)
    _tell("sensor.created", made, actor, now, source=made.source, topic=made.topic)
    return made


@transaction.atomic
def change(
    sensor: Sensor, raw: Mapping[str, Any], *, actor: str, now: datetime
) -> Sensor:
    """Change some keys; a new type or source forgets the value. Raises Invalid, and
    NotAllowedNow where a condition would break."""
    if not isinstance(raw, Mapping):
        raise Invalid("expected a JSON object with what is to change")
    row = Sensor.objects.select_for_update().get(pk=sensor.pk)
    if row.parent_id is not None and set(raw) - {"enabled", "unit", "stale_after"}:
        raise NotAllowedNow("it follows its parent; change that one")
    if "name" in raw and raw["name"] != row.name:
        raise wrong("name", "a sensor keeps its name; make another one")
    columns = parse({**sent(row), **raw})
    new_kind = (columns["type"], columns["source"]) != (row.type, row.source)
    if (new_kind or columns["per_topic"] != row.per_topic) and (
        users := uses.schedules_of(row.name)
    ):
        raise NotAllowedNow(f"{row.name} is in a condition of {', '.join(users[:5])}")
    for name, value in columns.items():
        setattr(row, name, value)
    if new_kind:
        row.value = row.previous = row.at = None
        Reading.objects.filter(sensor=row).delete()
    row.version += 1
    row.save()
    _pass_on(row)
    _tell("sensor.changed", row, actor, now, changed=sorted(raw))
    return row


def _pass_on(row: Sensor) -> None:
    """What a filter's sensors share with it. A new filter lets go of the old ones."""
    children = Sensor.objects.filter(parent=row)
    pattern = sensor_values.matcher(row.topic)
    for child in children:
        if not row.per_topic or sensor_values.meets(pattern, child.topic) is None:
            child.delete()
            continue
        if child.type != row.type:
            child.value = child.previous = child.at = None
        child.type, child.path, child.at_path = row.type, row.path, row.at_path
        child.version += 1
        child.save()


@transaction.atomic
def delete(sensor: Sensor, *, actor: str, now: datetime) -> None:
    """With its readings. Raises NotAllowedNow while a condition names it."""
    names = [sensor.name, *sensor.sensor_set.values_list("name", flat=True)]
    for name in names:
        if users := uses.schedules_of(name):
            raise NotAllowedNow(f"{name} is in a condition of {', '.join(users[:5])}")
    _tell("sensor.deleted", sensor, actor, now)
    sensor.delete()


@transaction.atomic
def set_value(
    sensor: Sensor, value: object, *, at: datetime | None, now: datetime
) -> Sensor:
    """A value by HTTP becomes the current one. Raises Invalid for a wrong type and for
    a time in the future or before that of the value there is; nothing is stored then.
    The same value of the same time once more changes nothing.
    """
    row = Sensor.objects.select_for_update().get(pk=sensor.pk)
    if row.source != "rest":
        raise NotAllowedNow(f"{row.name} takes its values from {row.topic}")
    if not row.enabled:
        raise NotAllowedNow(f"{row.name} is disabled")
    try:
        new = sensor_values.typed(value, row.type)
    except Unfit as unfit:
        raise wrong("value", str(unfit)) from None
    try:
        moment = now if at is None else sensor_values.not_ahead(at, now)
    except Unfit:
        raise wrong("at", "is in the future") from None
    if row.at is not None and moment <= row.at:
        if at is None:
            moment = row.at + sensor_values.LEAST
        elif (moment, new) == (row.at, row.value):
            return row
        else:
            raise wrong("at", f"not after the value of {iso(row.at)}")
    reading = Reading.objects.create(sensor=row, at=moment, value=new)
    row.previous, row.value, row.at = row.value, new, moment
    row.received, row.newest_reading = row.received + 1, reading.pk
    row.save()
    _prune(row, reading.pk)
    transaction.on_commit(partial(sensor_readings.announce, row.name), robust=True)
    return row


def _prune(row: Sensor, newest: int) -> None:
    """Now and then: the table may be a tenth longer than it should be."""
    keep = live_config.current().sensors.readings
    if newest % max(1, keep // 10) == 0:
        sensor_readings.prune(row.pk, keep)


def _tell(kind: str, row: Sensor, actor: str, now: datetime, **data: Any) -> None:
    journal.record(kind, f"sensor:{row.name}", actor=actor, at=now, **data)


def sent(row: Sensor) -> dict[str, Any]:
    """The HTTP shape that gives these columns again."""
    return {
        "name": row.name,
        "source": row.source,
        "topic": row.topic,
        "per_topic": row.per_topic,
        "path": row.path,
        "at_path": row.at_path,
        "type": row.type,
        "unit": row.unit,
        "stale_after": row.stale_after_s,
        "enabled": row.enabled,
    }


def quality(row: Sensor, now: datetime) -> str:
    """good, stale or none."""
    if row.at is None:
        return "none"
    stale_s = row.stale_after_s
    is_stale = stale_s is not None and (now - row.at).total_seconds() > stale_s
    return "stale" if is_stale else "good"


def shape(row: Sensor, now: datetime) -> dict[str, Any]:
    return {
        **sent(row),
        "parent": row.parent.name if row.parent is not None else None,
        "value": row.value,
        "previous": row.previous,
        "at": iso(row.at),
        "quality": quality(row, now),
        "retained": row.retained,
        "received": row.received,
        "rejected": row.rejected,
        "last_error": row.last_error or None,
        "last_error_at": iso(row.last_error_at),
        "created_at": iso(row.created_at),
        "created_by": row.created_by,
        "version": row.version,
    }
