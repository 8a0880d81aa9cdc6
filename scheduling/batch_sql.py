"""One statement that moves many runs: a compare-and-set on state and fencing token.

Each row says what its caller saw. Of two callers who saw the same, one wins; who
lost simply does not come back in the answer. SQLite and PostgreSQL both read the
rows from one JSON parameter, so a batch of a thousand costs one round trip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

import orjson
from django.db import connection
from django.db.models import Field, JSONField, Model

from scheduling.models import Run
from scheduling.run_state import RunState

MOST_NAMED = 500  # primary keys in one statement
TABLE = Run._meta.db_table
JSON_COLUMNS = {f.name for f in Run._meta.fields if isinstance(f, JSONField)}
NAME_OF = {
    "agent": "(SELECT agent_id FROM agents_agent a WHERE a.id = {t}.agent_id)",
    "node": "(SELECT name FROM agents_node n WHERE n.id = {t}.node_id)",
}
ANSWER = (
    *("id", "uid", "agent_id", "version_id", "priority", "token", "reason"),
    *("occurrence_key", "due_at", "queued_at", "started_at", "ended_at"),
    *("exit_code", "signal"),
)


def compare_and_set(
    rows: Sequence[Mapping[str, Any]],
    *,
    before: str,
    columns: Sequence[str],
    also_answer: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Set `columns` of each row's run where its state is `before` and its token the
    row's `token`. Rows carry "id", "token" and every column.

    Returns the runs that did move, with the columns of ANSWER and `also_answer` and
    the names of agent and node.
    """
    answer = ", ".join(
        [f"{TABLE}.{name}" for name in (*ANSWER, *also_answer)]
        + [f"{sql.format(t=TABLE)} AS {name}" for name, sql in NAME_OF.items()]
    )
    sql = (
        f"UPDATE {TABLE} SET {_assignments(columns)} FROM {_source(columns)} "
        f"WHERE {TABLE}.id = {_field('id')} AND {TABLE}.state = %s "
        f"AND {TABLE}.token = {_field('token')} RETURNING {answer}"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [_packed(rows), before])
        names = (*ANSWER, *also_answer, *NAME_OF)
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def insert(
    model: type[Model], fresh: Sequence[Model], *, known_by: tuple[str, ...]
) -> None:
    """Store fresh objects of a model with one statement and give each its primary key.
    `known_by`: columns that tell them apart.

    Raises IntegrityError as a plain insert does.
    """
    if not fresh:
        return
    columns = [f.attname for f in model._meta.concrete_fields if not f.primary_key]
    rows = [{name: getattr(one, name) for name in columns} for one in fresh]
    with connection.cursor() as cursor:
        sql = _insertion(model, known_by, connection.vendor)
        cursor.execute(sql, [_packed(rows)])
        keys = {row[1:]: row[0] for row in cursor.fetchall()}
    for one in fresh:
        one.pk = keys[tuple(getattr(one, name) for name in known_by)]
        one._state.adding = False


@cache
def _insertion(model: type[Model], known_by: tuple[str, ...], vendor: str) -> str:
    fields = [f for f in model._meta.concrete_fields if not f.primary_key]
    columns = [f.attname for f in fields]
    if vendor == "sqlite":
        source = "json_each(%s) AS j"
    else:
        types = ", ".join(f"{f.attname} {_type(f)}" for f in fields)
        source = f"json_to_recordset(%s) AS j({types})"
    values = ", ".join(_value(f.attname, isinstance(f, JSONField)) for f in fields)
    return (
        f"INSERT INTO {model._meta.db_table} ({', '.join(columns)}) "
        f"SELECT {values} FROM {source} WHERE true RETURNING id, {', '.join(known_by)}"
    )


def rename_classes(changes: Sequence[tuple[int, str]]) -> int:
    """Put waiting runs, by their primary keys, into classes of other names."""
    by_name: dict[str, list[int]] = {}
    for pk, name in changes:
        by_name.setdefault(name, []).append(pk)
    waiting = Run.objects.filter(state=RunState.QUEUED)
    return sum(
        waiting.filter(pk__in=pks[first : first + MOST_NAMED]).update(queue_class=name)
        for name, pks in by_name.items()
        for first in range(0, len(pks), MOST_NAMED)
    )


def _packed(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as the one JSON parameter of a statement."""
    return orjson.dumps(
        list(rows), default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME
    ).decode()


def _assignments(columns: Sequence[str]) -> str:
    new_token = "token = {t}.token + 1" if "+token" in columns else ""
    plain = [f"{c} = {_field(c)}" for c in columns if c != "+token"]
    return ", ".join(plain + ([new_token.format(t=TABLE)] if new_token else []))


def _field(name: str) -> str:
    """The row's value of a column of runs."""
    return _value(name, name in JSON_COLUMNS)


def _value(name: str, is_json: bool) -> str:
    """The row's value of a column. A JSON column keeps JSON, whatever it holds."""
    if connection.vendor != "sqlite":
        return f"j.{name}"
    if is_json:
        return f"nullif(j.value -> '{name}', 'null')"
    return f"j.value ->> '{name}'"


def _source(columns: Sequence[str]) -> str:
    if connection.vendor == "sqlite":
        return "json_each(%s) AS j"
    wanted = ["id", "token", *(c for c in columns if c not in ("+token", "token"))]
    fields = [Run._meta.get_field(c.removesuffix("_id")) for c in wanted]
    types = ", ".join(f"{c} {_type(f)}" for c, f in zip(wanted, fields, strict=True))
    return f"json_to_recordset(%s) AS j({types})"


def _type(field: Any) -> str:
    assert isinstance(field, Field)
    kind = field.db_type(connection)
    assert kind is not None
    return kind.split(" CHECK")[0].replace("serial", "int")


def _plain(value: object) -> str:
    assert isinstance(value, datetime), "rows hold JSON values and instants"
    return database_instant(value)


def database_instant(value: datetime) -> str:
    """The text Django itself stores, so that texts compare as instants do."""
    if connection.vendor == "sqlite":
        return str(connection.ops.adapt_datetimefield_value(value))
    return value.astimezone(UTC).isoformat()


def as_instant(value: Any) -> datetime | None:
    """What a cursor gives for an instant, as an aware one.

    SQLite gives UTC without saying so: as text, or as a naive value where it knows
    the column.
    """
    if value is None:
        return None
    at = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def iso(value: Any) -> str | None:
    """An instant as it came from a cursor, as ISO 8601 UTC."""
    if value is None:
        return None
    if isinstance(value, str):  # SQLite's text is UTC already
        return f"{value.replace(' ', 'T')}Z"
    at = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    return f"{at.isoformat()}Z"
