"""Topics, paths and payloads: what is taken, and what is refused with a reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from aiomqtt import Topic, Wildcard
from hypothesis import given
from hypothesis import strategies as st

from scheduling.sensor_values import (
    Unfit,
    check_filter,
    child_name,
    matcher,
    meets,
    not_ahead,
    steps,
    taken,
    typed,
)

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
LEVELS = st.sampled_from(["a", "b", "home", "", "+", "#", "x y"])
TOPICS = st.lists(st.sampled_from(["a", "b", "home", "x y"]), min_size=1, max_size=5)


def read(payload: Any, **how: Any) -> Any:
    raw = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    how = {"kind": "number", "path": "", "at_path": "", **how}
    how["path"], how["at_path"] = steps(how["path"]), steps(how["at_path"])
    return taken(raw, now=NOW, **how)


@given(st.lists(LEVELS, min_size=1, max_size=4), TOPICS)
def test_filters_meet_the_topics_the_protocol_says(
    levels: list[str], topic: list[str]
) -> None:
    wanted, name = "/".join(levels), "/".join(topic)
    try:
        check_filter(wanted)
    except ValueError:
        assert wanted == "" or "#" in levels[:-1]
        return
    expected = Topic(name).matches(Wildcard(wanted))
    assert (meets(matcher(wanted), name) is not None) == expected


def test_what_differs_names_the_sensor_of_a_topic() -> None:
    met = meets(matcher("home/+/floor/#"), "home/Living Room/floor/2/west")
    assert met == ("Living Room", "2/west")
    assert child_name("t", met) == "t_living_room_2_west"


def test_a_wildcard_at_the_front_leaves_the_brokers_own_topics_out() -> None:
    assert meets(matcher("#"), "$SYS/uptime") is None
    assert meets(matcher("+/uptime"), "$SYS/uptime") is None


@pytest.mark.parametrize(
    ("path", "value"),
    [("a.b[1].c", 7), ("list[0]", 1), ("", None), ("a", None), ("a.b[9].c", None)],
)
def test_a_path_leads_to_a_value_or_says_where_it_ends(path: str, value: Any) -> None:
    document = {"a": {"b": [{}, {"c": 7}]}, "list": [1]}
    if value is None:
        with pytest.raises(Unfit):
            read(document, path=path)
    else:
        assert read(document, path=path).value == value


@pytest.mark.parametrize(
    "path", ["a..b", ".a", "a[", "a[x]", "a b", "a" * 70, "a." * 9]
)
def test_a_path_of_another_form_is_refused(path: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the sentence is for people
        steps(path)


@given(st.binary(max_size=60))
def test_no_payload_breaks_anything(payload: bytes) -> None:
    for kind in ("number", "boolean", "text"):
        try:
            value = read(payload, kind=kind).value
        except Unfit:
            continue
        assert typed(value, kind) == value


def test_a_text_without_a_path_is_the_payload_itself() -> None:
    assert read(b"off, really", kind="text").value == "off, really"


def test_a_time_in_the_payload_counts() -> None:
    came = read({"v": 1, "t": "2027-03-01T11:00:00Z"}, path="v", at_path="t")
    assert came.at == NOW - timedelta(hours=1)
    seconds = (NOW - timedelta(hours=2)).timestamp()
    came = read({"v": 1, "t": seconds}, path="v", at_path="t")
    assert came.at == NOW - timedelta(hours=2)


def test_a_clock_a_little_ahead_is_ours_and_one_far_ahead_is_refused() -> None:
    assert not_ahead(NOW + timedelta(seconds=4), NOW) == NOW
    with pytest.raises(Unfit):
        not_ahead(NOW + timedelta(seconds=6), NOW)
