"""The sealed journal as people look for things in it: filtered, paged, exported."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from django.db.models import Max, Q, QuerySet

from agents.http import Query, wrong
from agents.models import Event

COLUMNS = ("seq", "at", "kind", "subject", "actor", "data")
FILTERS = ("subject", "actor", "kind", "object", "way", "q", "from", "to")
SPAN = 200_000  # events one page looks through for what fits
PIECE = 500  # rows of one piece of an export
WAYS: Mapping[str, Q] = {
    "page": Q(actor__startswith="user:") & ~Q(data__has_key="via"),
    "admin": Q(actor__startswith="user:", data__via="admin"),
    "api": Q(actor__startswith="token:") & ~Q(data__has_key="via"),
    "voice": Q(data__via="voice") | Q(actor__startswith="voice:"),
    "command": Q(actor__startswith="command:") | Q(actor="user:console"),
    "system": ~Q(actor__startswith="user:")
    & ~Q(actor__startswith="token:")
    & ~Q(actor__startswith="voice:")
    & ~Q(actor__startswith="command:"),
}
RISKY = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would compute what follows
Row = dict[str, Any]


def filtered(query: Query) -> QuerySet[Event]:
    """What the query asks for. Raises Invalid naming the filter at fault."""
    found = Event.objects.filter(seq__gt=0)
    start, end = query.instant("from"), query.instant("to")
    if start is not None and end is not None and end <= start:
        raise wrong("to", "must come after from")
    if start is not None:
        found = found.filter(at__gte=start)
    if end is not None:
        found = found.filter(at__lt=end)
    if subject := query.text("subject"):
        found = found.filter(subject=subject)
    if family := query.text("object"):
        found = found.filter(subject__startswith=f"{family}:")
    if kind := query.text("kind"):
        found = found.filter(kind__startswith=kind)
    if actor := query.text("actor"):
        found = found.filter(actor__icontains=actor)
    if way := query.choice("way", WAYS):
        found = found.filter(WAYS[way])
    if q := query.text("q"):
        said = Q(subject__icontains=q) | Q(actor__icontains=q) | Q(kind__icontains=q)
        found = found.filter(said)
    return found


def page_of(query: Query) -> tuple[list[Row], int | None]:
    """One page, and where the next goes on. A page looks through so much at most: it
    may be short, or empty, and yet not the last."""
    newest_first = query.choice("order", ("oldest", "newest")) == "newest"
    since = query.integer("since", 0) or 0
    last = Event.objects.aggregate(last=Max("seq"))["last"] or 0
    before = query.integer("before", last + 1) or 0
    low, high = since, min(before, last + 1)  # between them, both left out
    if not query.text("subject"):  # an index finds those
        if newest_first:
            low = max(low, high - SPAN - 1)
        else:
            high = min(high, low + SPAN + 1)
    rows = filtered(query).filter(seq__gt=low, seq__lt=high)
    rows = rows.order_by("-seq" if newest_first else "seq")
    found: list[Row] = list(rows.values(*COLUMNS)[: query.limit])  # type: ignore[arg-type]
    if len(found) == query.limit:
        following = found[-1]["seq"]
    elif newest_first:
        following = low + 1 if low > since else None
    else:
        following = high - 1 if high <= min(before - 1, last) else None
    return [{**row, "way": way_of(row)} for row in found], following


def way_of(row: Mapping[str, Any]) -> str:
    """By which way it came: a page, the admin, the API, a command, voice, or the
    system itself."""
    data = row["data"]
    told = data.get("via") if isinstance(data, dict) else None
    if told in ("admin", "voice"):
        return str(told)
    family, _, name = row["actor"].partition(":")
    if row["actor"] == "user:console":
        return "command"
    known = {"user": "page", "token": "api", "command": "command", "voice": "voice"}
    return known.get(family, "system") if name else "system"


# -- as a file to keep ----------------------------------------------------------------


def pieces(rows: QuerySet[Event]) -> Iterator[list[Row]]:
    """All of it, oldest first, some at a time."""
    after = 0
    while True:
        rest = rows.filter(seq__gt=after).order_by("seq")
        some: list[Row] = list(rest.values(*COLUMNS)[:PIECE])  # type: ignore[arg-type]
        if not some:
            return
        yield [{**row, "way": way_of(row)} for row in some]
        after = some[-1]["seq"]


def as_json(rows: QuerySet[Event]) -> Iterator[bytes]:
    """One array."""
    yield b"["
    is_first = True
    for some in pieces(rows):
        listed = orjson.dumps(some, option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC)
        yield (b"" if is_first else b",\n") + listed[1:-1]
        is_first = False
    yield b"]\n"


def as_csv(rows: QuerySet[Event]) -> Iterator[bytes]:
    yield _csv([["seq", "at", "actor", "way", "kind", "subject", "data"]])
    for some in pieces(rows):
        yield _csv(
            [
                row["seq"],
                row["at"].isoformat().replace("+00:00", "Z"),
                *(_plain(row[name]) for name in ("actor", "way", "kind", "subject")),
                orjson.dumps(row["data"]).decode(),
            ]
            for row in some
        )


def _csv(lines: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return text.getvalue().encode()


def _plain(cell: str) -> str:
    return f"'{cell}" if cell.startswith(RISKY) else cell
