"""Queries whose SQL is made once.

The ORM compiles a query anew each time it is asked, which costs several times what the
database and the objects do. What every request or every step asks for is worth this;
all else stays with the ORM.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar, cast

from django.db import connection, models

Row = TypeVar("Row", bound=models.Model)
Converters = list[tuple[int, Callable[[Any], Any]]]


@dataclass(frozen=True, slots=True)
class Part:
    """One of the objects a result row is made of, and where its columns stand."""

    path: str  # "" the row itself, "agent", "agent__current"
    alias: str
    model: type[models.Model]
    attributes: list[str]
    start: int


class Prepared(Generic[Row]):
    """Rows of `model` with the foreign keys of `follow` fetched along, as
    `select_related(*follow)` has them.

    `rest` is SQL behind the FROM, where the model is `t0` and what is followed is t1,
    t2 … in the order of `follow`. A path must come after the one it goes on from.
    """

    def __init__(self, model: type[Row], *follow: str, rest: str) -> None:
        self.model, self.follow, self.rest = model, follow, rest

    def all(self, parameters: Sequence[Any]) -> list[Row]:
        with connection.cursor() as cursor:
            cursor.execute(self.sql, list(parameters))
            return [self._made(list(found)) for found in cursor.fetchall()]

    def first(self, *parameters: Any) -> Row | None:
        found = self.all(parameters)
        return found[0] if found else None

    def _made(self, values: list[Any]) -> Row:
        for index, convert in self.converters:
            values[index] = convert(values[index])
        made: dict[str, models.Model | None] = {}
        for part in self.parts:
            own = values[part.start : part.start + len(part.attributes)]
            before, _, name = part.path.rpartition("__")
            parent = made.get(before) if part.path else None
            if part.path and (parent is None or own[0] is None):
                made[part.path] = None
            else:
                alias = connection.alias
                made[part.path] = part.model.from_db(alias, part.attributes, own)
            if parent is not None:
                setattr(parent, name, made[part.path])
        return cast(Row, made[""])

    @cached_property
    def parts(self) -> list[Part]:
        parts = [_part("", "t0", self.model, 0)]
        for number, path in enumerate(self.follow, 1):
            before, _, name = path.rpartition("__")
            above = next(part for part in parts if part.path == before)
            model = above.model._meta.get_field(name).related_model
            start = parts[-1].start + len(parts[-1].attributes)
            parts.append(_part(path, f"t{number}", cast(Any, model), start))
        return parts

    @cached_property
    def sql(self) -> str:
        columns, joins = [], []
        for part in self.parts:
            fields = part.model._meta.concrete_fields
            columns += [f"{part.alias}.{field.column}" for field in fields]
            if part.path:
                before, _, name = part.path.rpartition("__")
                above = next(p.alias for p in self.parts if p.path == before)
                table = part.model._meta.db_table
                joins.append(
                    f"LEFT JOIN {table} {part.alias} "
                    f"ON {part.alias}.id = {above}.{name}_id"
                )
        table = f"{self.model._meta.db_table} t0"
        return f"SELECT {', '.join(columns)} FROM {table} {' '.join(joins)} {self.rest}"

    @cached_property
    def converters(self) -> Converters:
        """What the ORM would do to each column's value as the database gives it."""
        fields = [f for part in self.parts for f in part.model._meta.concrete_fields]
        found: Converters = []
        for index, field in enumerate(fields):
            column = field.get_col("")
            ours = [
                *connection.ops.get_db_converters(column),
                *field.get_db_converters(connection),
            ]
            found += [(index, _bound(convert, column)) for convert in ours]
        return found


def _part(path: str, alias: str, model: type[models.Model], start: int) -> Part:
    fields = model._meta.concrete_fields
    assert fields[0].primary_key, "a null there says that nothing was joined"
    return Part(path, alias, model, [f.attname for f in fields], start)


def _bound(convert: Callable[..., Any], column: Any) -> Callable[[Any], Any]:
    return lambda value: convert(value, column, connection)
