"""One statement that moves many runs: a compare-and-set on state and fencing token.

Each row says what its caller saw. Of two callers who saw the same, one wins; who
lost simply does not come back in the answer. SQLite and PostgreSQL both read the
rows from one JSON parameter, so a batch of a thousand costs one round trip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from django.db import connection
from django.db.models import Field, JSONField

from scheduling.models import Run

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
    rows: Sequence[Mapping[str, Any]], *, before: str, columns: Sequence[str]
) -> list[dict[str, Any]]:
    """Set `columns` of each row's run where its state is `before` and its token the
    row's `token`. Rows carry "id", "token" and every column.

    Returns the runs that did move, with the columns of ANSWER and the names of agent
    and node.
    """
    answer = ", ".join(
        [f"{TABLE}.{name}" for name in ANSWER]
        + [f"{sql.format(t=TABLE)} AS {name}" for name, sql in NAME_OF.items()]
    )
    sql = (
        f"UPDATE {TABLE} SET {_assignments(columns)} FROM {_source(columns)} "
        f"WHERE {TABLE}.id = {_field('id')} AND {TABLE}.state = %s "
        f"AND {TABLE}.token = {_field('token')} RETURNING {answer}"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [_packed(rows), before])
        names = (*ANSWER, *NAME_OF)
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def insert(runs: Sequence[Run]) -> None:
    """Store fresh runs with one statement and give each its primary key.

    Raises IntegrityError as a plain insert does.
    """
    columns = [f.attname for f in Run._meta.concrete_fields if not f.primary_key]
    rows = [{name: getattr(run, name) for name in columns} for run in runs]
    sql = (
        f"INSERT INTO {TABLE} ({', '.join(columns)}) "
        f"SELECT {', '.join(map(_field, columns))} FROM {_source(columns)} "
        "WHERE true RETURNING uid, id"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [_packed(rows)])
        keys = dict(cursor.fetchall())
    for run in runs:
        run.pk = keys[run.uid]
        run._state.adding = False


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
    """The row's value of a column. A JSON column keeps JSON, whatever it holds."""
    if connection.vendor != "sqlite":
        return f"j.{name}"
    if name in JSON_COLUMNS:
        return f"nullif(j.value -> '{name}', 'null')"
    return f"j.value ->> '{name}'"


def _source(columns: Sequence[str]) -> str:
    if connection.vendor == "sqlite":
        return "json_each(%s) AS j"
    wanted = ["id", "token", *(c for c in columns if c not in ("+token", "token"))]
    types = ", ".join(f"{c} {_type(c)}" for c in wanted)
    return f"json_to_recordset(%s) AS j({types})"


def _type(column: str) -> str:
    field = Run._meta.get_field(column.removesuffix("_id"))
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
