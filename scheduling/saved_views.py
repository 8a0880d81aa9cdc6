"""Saved views: a page's address under a name. The only writer of SavedView rows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from agents.errors import AlreadyExists, Invalid, NotAllowedNow, NotFound
from agents.http import fields_of, iso
from agents.text import unstorable
from scheduling.feed_models import SavedView
from scheduling.feeds import name_of

KEYS = ("name", "path", "query", "shared")
PATH = re.compile(r"/[a-z0-9][A-Za-z0-9/._@:-]{0,198}", re.ASCII)
LONGEST_NAME, LONGEST_QUERY = 80, 2000
MOST_VIEWS = 100  # of one person


def seen_by(owner: str, path: str | None) -> QuerySet[SavedView]:
    """Their own and those that are shared; of one page when `path` names it."""
    seen = SavedView.objects.filter(Q(owner=owner) | Q(shared=True))
    return seen.filter(path=path[:200]) if path else seen


def create(raw: object, *, owner: str, now: datetime) -> SavedView:
    """Raises Invalid naming every fault, AlreadyExists, NotAllowedNow."""
    given = fields_of(raw, allowed=KEYS, required=["name", "path"])
    columns = _columns(given)
    with transaction.atomic():
        if SavedView.objects.filter(owner=owner).count() >= MOST_VIEWS:
            raise NotAllowedNow(f"you have {MOST_VIEWS} views already; delete some")
        row = SavedView(owner=owner, created_at=now, changed_at=now, **columns)
        return _save(row)


def change(pk: int, raw: object, *, owner: str, now: datetime) -> SavedView:
    """Raises Invalid, AlreadyExists, NotFound."""
    columns = _columns(fields_of(raw, allowed=KEYS))
    with transaction.atomic():
        row = _own(pk, owner)
        for name, value in columns.items():
            setattr(row, name, value)
        row.changed_at = now
        return _save(row)


def delete(pk: int, *, owner: str) -> None:
    """Raises NotFound."""
    _own(pk, owner).delete()


def _own(pk: int, owner: str) -> SavedView:
    row = SavedView.objects.filter(pk=pk, owner=owner).first()
    if row is None:
        raise NotFound(f"you have no view {pk}")
    return row


def _save(row: SavedView) -> SavedView:
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise AlreadyExists(f'you have a view "{row.name}" already') from None
    return row


def _columns(given: Mapping[str, Any]) -> dict[str, Any]:
    faults: dict[str, list[str]] = {}
    found: dict[str, Any] = {}
    for key, value in given.items():
        try:
            found[key] = READ[key](value)
        except Invalid as error:
            faults |= error.fields
        except ValueError as error:
            faults[key] = [str(error)]
    if faults:
        field, said = next(iter(faults.items()))
        raise Invalid(f"{field}: {said[0]}", faults)
    return found


def _path(value: object) -> str:
    if not isinstance(value, str) or not PATH.fullmatch(value) or "//" in value:
        raise ValueError('expected the path of a page, such as "/schedule"')
    return value


def _query(value: object) -> str:
    text = value.removeprefix("?") if isinstance(value, str) else None
    if text is None or len(text) > LONGEST_QUERY or not text.isprintable():
        raise ValueError(f"expected a text of at most {LONGEST_QUERY} characters")
    if unstorable(text):
        raise ValueError("holds characters that cannot be stored")
    return text


def _shared(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


READ = {
    "name": lambda value: name_of(value, LONGEST_NAME),
    "path": _path,
    "query": _query,
    "shared": _shared,
}


def shape(row: SavedView, owner: str) -> dict[str, Any]:
    return {
        "id": row.pk,
        "name": row.name,
        "path": row.path,
        "query": row.query,
        "shared": row.shared,
        "mine": row.owner == owner,
        "owner": row.owner.partition(":")[2],
        "changed_at": iso(row.changed_at),
    }
