"""Which schedules have a condition, and on which sensors they hang."""

from __future__ import annotations

from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL

from scheduling.conditions import rules
from scheduling.models import Schedule


def conditional() -> QuerySet[Schedule]:
    """Schedules with a condition that have not ended, by their partial index: in its
    own words, or SQLite reads the whole table."""
    table = Schedule._meta.db_table
    said = f"({table}.kind = 'condition' AND {table}.ended_at IS NULL)"
    return Schedule.objects.filter(RawSQL(said, [], output_field=BooleanField()))


def schedules_of(sensor: str) -> list[str]:
    """The agents whose schedules name the sensor in a condition."""
    found = []
    rows = conditional().filter(rule__contains=sensor)
    for agent, rule in rows.values_list("agent__agent_id", "rule"):
        if sensor in rules.names_of(rules.parse(rule), "sensors"):
            found.append(agent)
    return sorted(set(found))
