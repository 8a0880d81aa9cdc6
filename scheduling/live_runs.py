"""Runs that are not over, found by their partial indexes.

SQLite uses a partial index only where the query says the index's condition in the
same literal words: `state__in` with its parameters reads the whole table. So the
words are here, once, and everybody who looks for live runs asks here.
"""

from __future__ import annotations

from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL

from scheduling.models import Run
from scheduling.run_state import FINAL, RunState


def listed(states: frozenset[RunState]) -> str:
    """States as SQL writes a list of texts."""
    return ", ".join(f"'{state}'" for state in sorted(states))


def began_sql(table: str = Run._meta.db_table) -> str:
    """The condition of the index run_live: neither waiting nor over."""
    return f"NOT ({table}.state IN ({listed(FINAL | {RunState.QUEUED})}))"


def began() -> QuerySet[Run]:
    """Runs from ADMITTED on that are not over: those that hold resources."""
    return Run.objects.filter(RawSQL(began_sql(), [], output_field=BooleanField()))


def queued() -> QuerySet[Run]:
    """Runs that wait, due or not."""
    said = f"{Run._meta.db_table}.state = '{RunState.QUEUED}'"
    return Run.objects.filter(RawSQL(said, [], output_field=BooleanField()))


def programs() -> QuerySet[Run]:
    """Runs that may have a program: their node has them."""
    return began().exclude(state=RunState.ADMITTED)
