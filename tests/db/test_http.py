"""Query strings, bodies, instants and pages: what every view is given to work with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from agents.errors import Invalid
from agents.http import (
    MAX_LIMIT,
    Query,
    fields_of,
    instant,
    iso,
    orjson_response,
    paginate,
)
from agents.models import Event
from tests.conftest import NOON


def query(text: str, *allowed: str) -> Query:
    return Query(SimpleNamespace(META={"QUERY_STRING": text}), allowed=allowed)


def test_values_come_out_typed() -> None:
    text = "n=5&on=true&at=2027-01-01T01:00:00%2B01:00&s=a%20b&w=x,,y"
    found = query(text, "n", "on", "at", "s", "w")
    assert (found.integer("n"), found.words("w")) == (5, ["x", "y"])
    assert (found.boolean("on"), found.text("s")) == (True, "a b")
    assert found.instant("at") == datetime(2027, 1, 1, tzinfo=UTC)


def test_what_was_not_sent_is_the_default() -> None:
    found = query("s=", "s", "n", "on", "at")
    assert (found.text("s"), found.integer("n", 7), found.boolean("on", True)) == (
        None,
        7,
        True,
    )
    assert found.instant("at", NOON) == NOON
    assert found.choice("s", ("a",), "a") == "a"


@pytest.mark.parametrize(
    "text",
    [
        "x=1",
        "s=1&s=2",
        "s[]=1",
        "s=%ff",
        "s=%00",
        "%ff=1",
        "s=" + "x" * 1001,
        "&".join(f"k{n}=1" for n in range(41)),
        "s=" + "x" * 9000,
    ],
)
def test_an_unclean_query_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        query(text, "s")


@pytest.mark.parametrize("text", ["-1", "x", "1.0", "1e3", "\u0661", "9" * 30, " "])
def test_a_number_is_ascii_digits_in_range(text: str) -> None:
    found = query("", "n")
    found.values["n"] = text
    if not text.strip():
        assert found.integer("n") is None
        return
    with pytest.raises(Invalid) as caught:
        found.integer("n", minimum=0, maximum=100)
    assert list(caught.value.fields) == ["n"]


def test_a_limit_is_capped_and_never_zero() -> None:
    assert query("limit=1000000").limit == MAX_LIMIT
    for text in ("limit=0", "limit=-1", "limit=abc"):
        with pytest.raises(Invalid):
            _ = query(text).limit


def test_a_body_names_every_unknown_and_missing_key() -> None:
    assert fields_of(None, allowed=["a"]) == {}
    assert fields_of({"a": 1}, allowed=["a"]) == {"a": 1}
    with pytest.raises(Invalid) as caught:
        fields_of({"aa": 1, "b": 2}, allowed=["a"])
    assert set(caught.value.fields) == {"aa", "b"}
    assert "did you mean a?" in str(caught.value)
    with pytest.raises(Invalid) as caught:
        fields_of({}, allowed=["a", "b"], required=["a", "b"])
    assert set(caught.value.fields) == {"a", "b"}
    for wrong in ([], "x", 5, True):
        with pytest.raises(Invalid, match="expected a JSON object"):
            fields_of(wrong, allowed=["a"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2027-01-31T09:00:00Z", "2027-01-31T09:00:00Z"),
        ("2027-01-31T09:00Z", "2027-01-31T09:00:00Z"),
        ("2027-01-31T09:00:00.5+02:00", "2027-01-31T07:00:00.500000Z"),
        ("2024-02-29T23:59:59-12:00", "2024-03-01T11:59:59Z"),
    ],
)
def test_an_instant_is_read_and_written_in_utc(text: str, expected: str) -> None:
    assert iso(instant(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "2027-01-31T09:00:00",
        "2027-01-31",
        "2027-02-30T00:00:00Z",
        "2027-13-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "9999-12-31T23:59:59-12:00",
        "0001-01-01T00:00:00+12:00",
        "1969-12-31T23:59:59Z",
        "2027-W01-1",
        "2027-01-01T00:00:00Z; id",
        "\u0662027-01-01T00:00:00Z",
        "2027-01-01 00:00:00Z",
        "2027-01-01T24:00:00Z",
        "",
        -1,
        None,
        {},
        True,
    ],
)
def test_what_is_no_instant_with_a_zone_is_refused(text: Any) -> None:
    with pytest.raises(Invalid) as caught:
        instant(text, field="run_at")
    assert list(caught.value.fields) == ["run_at"]


def pages(order: list[str], values: bool) -> list[list[int]]:
    found, cursor = [], ""
    while cursor is not None:
        rows: Any = Event.objects.all()
        rows = rows.values("id", "at", "kind") if values else rows
        items, cursor = paginate(rows, query(f"limit=3&cursor={cursor}"), order)
        found.append([i["id"] if values else i.pk for i in items])
    return found


@pytest.mark.django_db
@pytest.mark.parametrize("values", [True, False])
@pytest.mark.parametrize("order", [["-id"], ["at", "-id"], ["-at", "kind", "id"]])
def test_pages_give_every_row_once_and_in_order(order: list[str], values: bool) -> None:
    for n in range(10):
        at = NOON + timedelta(microseconds=n % 4)
        Event.objects.create(at=at, kind=f"k{n % 3}", subject="s", actor="a")
    expected = list(Event.objects.order_by(*order).values_list("id", flat=True))
    got = pages(order, values)
    assert [len(page) for page in got] == [3, 3, 3, 1]
    assert [pk for page in got for pk in page] == expected


@pytest.mark.django_db
def test_a_cursor_of_another_list_or_of_nobody_is_refused() -> None:
    for n in range(3):
        Event.objects.create(at=NOON, kind=str(n), subject="s", actor="a")
    _, cursor = paginate(Event.objects.all(), query("limit=1"), ["-id"])
    for wrong in ("garbage", f"{cursor}x", "WzFd:1:x"):
        with pytest.raises(Invalid):
            paginate(Event.objects.all(), query(f"cursor={wrong}"), ["-id"])
    with pytest.raises(Invalid):
        paginate(Event.objects.all(), query(f"cursor={cursor}"), ["id"])


def test_hot_lists_write_instants_with_z() -> None:
    at = datetime(2027, 1, 1, tzinfo=UTC)
    assert orjson_response({"at": at}).content == b'{"at":"2027-01-01T00:00:00Z"}'
