"""What every API view needs of HTTP: strict query strings and bodies, pages, instants.

What the caller sent is refused when it is not understood: an unknown key, a repeated
one, bytes that are not UTF-8, a number out of range. Nothing here touches a model.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote_to_bytes

import orjson
from django.core import signing
from django.db.models import Q, QuerySet
from django.http import HttpResponse, StreamingHttpResponse

from agents.errors import Invalid

MAX_LIMIT = 500  # rows of one page, whatever the caller asks for
DEFAULT_LIMIT = 100
MAX_QUERY_BYTES = 8_000  # longer than any honest filter
MAX_QUERY_KEYS = 40
MAX_VALUE_CHARS = 1_000
LARGEST_INT = 2**63 - 1  # what both databases can compare with
EARLIEST, LATEST = 1970, 2999  # years; room on both sides for arithmetic

INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?(Z|[+-]\d\d:\d\d)",
    re.ASCII,
)
INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)


WAITED = "kos.waited"  # in the scope of a request: what it waited for in vain or not
Row = TypeVar("Row")


class HasMeta(Protocol):
    """A Django or a DRF request."""

    @property
    def META(self) -> Mapping[str, Any]: ...


class Query:
    """The query string of a request, each key at most once and only known ones.

    Raises Invalid naming the key at fault, on construction and from every getter.
    `limit` and `cursor` are always known.
    """

    def __init__(self, request: HasMeta, *, allowed: Iterable[str] = ()) -> None:
        known = {*allowed, "limit", "cursor"}
        self.values = parse_query(str(request.META.get("QUERY_STRING", "")))
        refuse_unknown(self.values, known, what="filter")

    def text(self, name: str, default: str | None = None) -> str | None:
        """The value as sent, without outer space; "" counts as not sent."""
        return self.values.get(name, "").strip() or default

    def words(self, name: str) -> list[str]:
        """A comma-separated list; [] when not sent."""
        return [w.strip() for w in self.values.get(name, "").split(",") if w.strip()]

    def integer(
        self,
        name: str,
        default: int | None = None,
        *,
        minimum: int = 0,
        maximum: int = LARGEST_INT,
    ) -> int | None:
        text = self.text(name)
        if text is None:
            return default
        number = int(text) if INTEGER.fullmatch(text) else None
        if number is None or not minimum <= number <= maximum:
            raise wrong(name, f"expected a whole number from {minimum} to {maximum}")
        return number

    def boolean(self, name: str, default: bool | None = None) -> bool | None:
        text = self.text(name)
        if text is None:
            return default
        if text not in ("true", "false"):
            raise wrong(name, "expected true or false")
        return text == "true"

    def instant(self, name: str, default: datetime | None = None) -> datetime | None:
        text = self.text(name)
        return default if text is None else instant(text, field=name)

    def choice(
        self, name: str, allowed: Collection[str], default: str | None = None
    ) -> str | None:
        text = self.text(name)
        if text is not None and text not in allowed:
            raise wrong(name, f"expected one of {', '.join(allowed)}")
        return text if text is not None else default

    def choices(self, name: str, allowed: Collection[str]) -> list[str]:
        """A comma-separated list of allowed words; [] when not sent."""
        words = self.words(name)
        if not set(words) <= set(allowed):
            raise wrong(name, f"expected some of {', '.join(allowed)}")
        return words

    @property
    def limit(self) -> int:
        """How many rows to answer with; asking for more than the cap gets the cap."""
        asked = self.integer("limit", DEFAULT_LIMIT, minimum=1)
        return min(asked or DEFAULT_LIMIT, MAX_LIMIT)


def may_wait(request: Any) -> bool:
    """Whether a view may answer with `comes_after`: not a second time, and only where
    a handler is there that awaits it."""
    scope = getattr(request, "scope", None)
    return scope is not None and WAITED not in scope


def waited_for(request: Any) -> Any:
    """What `comes_after` answered, when the request comes back from it."""
    scope = getattr(request, "scope", None)
    return scope.get(WAITED) if scope is not None else None


def parse_query(raw: str) -> dict[str, str]:
    """The keys and values of a query string. Raises Invalid where it is not clean."""
    if len(raw) > MAX_QUERY_BYTES:
        raise Invalid(f"the query string is longer than {MAX_QUERY_BYTES} bytes")
    parts = [p for p in raw.split("&") if p]
    if len(parts) > MAX_QUERY_KEYS:
        raise Invalid(f"the query string has more than {MAX_QUERY_KEYS} keys")
    found: dict[str, str] = {}
    for part in parts:
        raw_name, _, raw_value = part.partition("=")
        name = decoded(raw_name, field="query")
        value = decoded(raw_value, field=name)
        if name in found:
            raise wrong(name, "sent more than once")
        if len(value) > MAX_VALUE_CHARS:
            raise wrong(name, f"longer than {MAX_VALUE_CHARS} characters")
        found[name] = value
    return found


def decoded(raw: str, *, field: str) -> str:
    try:
        text = unquote_to_bytes(raw.replace("+", " ")).decode("utf-8")
    except UnicodeError:
        raise wrong(field, "not UTF-8") from None
    if "\0" in text:
        raise wrong(field, "contains a NUL character")
    return text


def fields_of(
    data: object, *, allowed: Collection[str], required: Collection[str] = ()
) -> dict[str, Any]:
    """A request body as a dict with only known keys. None (no body) counts as {}.

    Raises Invalid for anything but an object, naming every unknown or missing key.
    """
    if data is None:
        data = {}
    if not isinstance(data, Mapping):
        raise Invalid("expected a JSON object")
    refuse_unknown(data, allowed, what="key")
    missing = [name for name in required if name not in data]
    if missing:
        raise Invalid(
            f"{missing[0]} is required", {name: ["required"] for name in missing}
        )
    return dict(data)


def refuse_unknown(given: Iterable[str], known: Collection[str], *, what: str) -> None:
    """Raises Invalid naming every key that is not known, with the one perhaps meant."""
    unknown = {key: unknown_key(key, known, what) for key in given if key not in known}
    if unknown:
        raise Invalid(
            next(iter(unknown.values())), {k: [v] for k, v in unknown.items()}
        )


def unknown_key(key: str, known: Collection[str], what: str = "key") -> str:
    close = difflib.get_close_matches(key[:80], known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"unknown {what} {key[:80]!r}{hint}"


def wrong(field: str, said: str) -> Invalid:
    """An Invalid about one field."""
    return Invalid(f"{field}: {said}", {field: [said]})


def instant(text: object, *, field: str = "instant") -> datetime:
    """An aware UTC instant from ISO 8601 with a zone ("Z" or "+01:00").

    Raises Invalid for anything else: no zone, another calendar, years outside
    1970-2999, a day that does not exist.
    """
    said = 'expected an instant with a zone, such as "2027-01-31T09:00:00Z"'
    match = INSTANT.fullmatch(text) if isinstance(text, str) else None
    if not isinstance(text, str) or match is None:
        raise wrong(field, said)
    try:
        at = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise wrong(field, f"{said} ({error})") from None
    if not EARLIEST <= at.year <= LATEST:
        raise wrong(field, f"expected a year from {EARLIEST} to {LATEST}")
    return at


def iso(at: datetime | None) -> str | None:
    """ "2027-01-31T09:00:00Z"; microseconds only where there are any."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def paginate(
    rows: QuerySet[Any, Row], query: Query, order: Sequence[str]
) -> tuple[list[Row], str | None]:
    """One page of `rows` (instances or `.values()`) and the cursor of the next.

    `order` names columns that are never null, the last of them unique ("-id"); a
    leading "-" turns one round. Raises Invalid for a cursor that is not ours.
    """
    salt = "cursor:" + ",".join(order)
    ordered = rows.order_by(*order)
    if cursor := query.text("cursor"):
        ordered = ordered.filter(after(order, opened(cursor, salt, len(order))))
    found = list(ordered[: query.limit + 1])
    if len(found) <= query.limit:
        return found, None
    page_rows = found[: query.limit]
    marks = [mark(page_rows[-1], name.removeprefix("-")) for name in order]
    return page_rows, signing.dumps(marks, salt=salt)


def opened(cursor: str, salt: str, length: int) -> list[Any]:
    try:
        marks = signing.loads(cursor, salt=salt)
    except signing.BadSignature:
        raise wrong("cursor", "not a cursor of this list") from None
    if not isinstance(marks, list) or len(marks) != length:
        raise wrong("cursor", "not a cursor of this list")
    return marks


def after(order: Sequence[str], marks: Sequence[Any]) -> Q:
    """Rows that come later than the marks: (a > x) or (a = x and b > y) or …"""
    later, equal = Q(), Q()
    for name, value in zip(order, marks, strict=True):
        column = name.removeprefix("-")
        turn = "lt" if name.startswith("-") else "gt"
        later |= equal & Q(**{f"{column}__{turn}": value})
        equal &= Q(**{column: value})
    return later


def mark(row: object, column: str) -> Any:
    value = row[column] if isinstance(row, Mapping) else getattr(row, column)
    return value.isoformat() if isinstance(value, date) else value


def page(
    items: Sequence[object], next_cursor: str | None, total: int | None = None
) -> dict[str, Any]:
    """The shape of every list: {"items", "next", "total"?}."""
    body: dict[str, Any] = {"items": items, "next": next_cursor}
    return body if total is None else {**body, "total": total}


def orjson_response(data: object, status: int = 200) -> HttpResponse:
    """JSON without a serializer, for hot lists; instants come out with "Z"."""
    return HttpResponse(
        orjson.dumps(data, option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC),
        status=status,
        content_type="application/json",
    )


class LongAnswer(StreamingHttpResponse):
    """An answer of any length, made piece by piece as the client takes it: never in
    memory as a whole. Each piece is made on a request thread, so keep it short."""
