"""The one parser of request bodies: bounded, and refusing what JSON leaves open.

Duplicate keys, NaN and Infinity, numbers that overflow, lone surrogates and NUL in
any string or key, deep nesting and crowds of members are refused before a view sees
them, naming the top-level key at fault. SQLite would store some of these and fail on
every later list; PostgreSQL would fail at once.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser

from agents.errors import Invalid
from agents.http import wrong

MAX_DEPTH = 32  # ours need 5
MAX_MEMBERS = 50_000  # values in one document, keys counted
MAX_INT = 2**63 - 1  # what both databases store


class StrictJSONParser(BaseParser):
    """DRF's door to `parse`. Only UTF-8."""

    media_type = "application/json"

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Any = None
    ) -> Any:
        charset = charset_of(media_type or "")
        if charset not in ("", "utf-8", "utf8"):
            raise UnsupportedMediaType(media_type or "")
        return parse(stream.read())


class AlwaysJSON(BaseContentNegotiation):
    """What a client says it accepts is not a reason to refuse it."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        sent = (request.content_type or "").partition(";")[0].strip().lower()
        return next((p for p in parsers if p.media_type == sent), None)

    def select_renderer(
        self, request: Any, renderers: Any, format_suffix: str | None = None
    ) -> tuple[Any, str]:
        return renderers[0], renderers[0].media_type


def charset_of(content_type: str) -> str:
    for part in content_type.split(";")[1:]:
        name, _, value = part.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower()
    return ""


def parse(raw: bytes) -> Any:
    """The document. Raises Invalid naming the top-level key at fault, if any."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid(f"the body is not UTF-8 (byte {error.start})") from None
    try:
        document = json.loads(text, object_pairs_hook=Pairs)
    except RecursionError:
        raise Invalid(f"nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:
        raise Invalid(f"the body is not JSON: {error}") from None
    return checked(document)


class Pairs(list[tuple[str, Any]]):
    """An object as it was sent: duplicate keys are still there to be seen."""


def checked(document: Any) -> Any:
    if not isinstance(document, Pairs):
        return plain(document, Bounds(field=""), 1)
    whole = Bounds(field="")
    result: dict[str, Any] = {}
    for key, value in document:
        whole.field = shown(key)
        whole.string(key)
        if key in result:
            whole.refuse("sent more than once")
        result[key] = plain(value, whole, 2)
    return result


def shown(key: str) -> str:
    """A key that is safe to send back."""
    return key[:80].encode("ascii", "backslashreplace").decode().replace("\0", "\\0")


class Bounds:
    """Counts and checks what one document holds; lives for one parse."""

    def __init__(self, field: str) -> None:
        self.field = field
        self.members = 0

    def refuse(self, said: str) -> NoReturn:
        raise wrong(self.field, said) if self.field else Invalid(said)

    def member(self, depth: int) -> None:
        self.members += 1
        if self.members > MAX_MEMBERS:
            self.refuse(f"too much: the body may hold {MAX_MEMBERS} values")
        if depth > MAX_DEPTH:
            self.refuse(f"nested deeper than {MAX_DEPTH} levels")

    def string(self, text: str) -> None:
        if text.isascii():
            if "\0" in text:
                self.refuse("contains a NUL character")
            return
        if "\0" in text:
            self.refuse("contains a NUL character")
        if any("\ud800" <= c <= "\udfff" for c in text):
            self.refuse("contains half of a surrogate pair")

    def number(self, value: int | float) -> None:
        if (
            not math.isfinite(value)
            if isinstance(value, float)
            else abs(value) > MAX_INT
        ):
            self.refuse("a number out of range")


def plain(value: Any, bounds: Bounds, depth: int) -> Any:
    """The value with dicts for Pairs, every member checked."""
    bounds.member(depth)
    match value:
        case Pairs():
            return as_dict(value, bounds, depth)
        case list():
            return [plain(one, bounds, depth + 1) for one in value]
        case str():
            bounds.string(value)
        case bool() | None:
            pass
        case int() | float():
            bounds.number(value)
    return value


def as_dict(pairs: Pairs, bounds: Bounds, depth: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        bounds.string(key)
        if key in result:
            bounds.refuse(f"the key {shown(key)} is there more than once")
        result[key] = plain(value, bounds, depth + 1)
    return result
