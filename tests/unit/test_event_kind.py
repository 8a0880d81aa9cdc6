"""What a schedule may wait for: read strictly, kept in one form, said in words."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling.kinds import event
from scheduling.kinds.base import Context
from scheduling.run_events import fits
from scheduling.run_state import RunState

ZONE = ZoneInfo("UTC")
SAID = [
    ({"webhook": "deploy"}, "When the webhook deploy is called"),
    (
        {"webhook": "deploy", "match": {"a.b": True}},
        "When the webhook deploy is called and a.b is true",
    ),
    (
        {"run": {"agent": "etl", "states": ["lost", "failed", "failed"]}},
        "When a run of etl ends as failed or lost",
    ),
    (
        {"run": {"tag": "night", "states": ["timed_out"]}},
        "When a run of an agent tagged night ends as timed out",
    ),
    ({"node": {"states": ["down", "up"]}}, "When any node goes down or comes up"),
    ({"node": {"name": "a", "states": ["up"]}}, "When a comes up"),
    (
        {"file": {"path": "/data/in/*.csv", "node": "a", "stable_for": "5s"}},
        "When a file like /data/in/*.csv appears on a and keeps its size for 5 seconds",
    ),
    (
        {"file": {"path": "/data/x"}},
        "When /data/x appears and keeps its size for 2 seconds",
    ),
]


@pytest.mark.parametrize(("given", "words"), SAID, ids=lambda one: str(one)[:40])
def test_an_event_is_said_in_words(given: dict[str, Any], words: str) -> None:
    rule = event.read(given)
    assert event.words(event.trigger(rule, Context(ZONE)), ZONE) == words


@pytest.mark.parametrize("given", [given for given, _ in SAID], ids=str)
def test_what_is_kept_reads_back_as_itself(given: dict[str, Any]) -> None:
    rule = event.read(given)
    assert event.read(event.value(rule)) == rule


@pytest.mark.parametrize(
    "wrong",
    [
        *(None, 3, "webhook", [], {}, {"webhook": "a", "node": {"states": ["up"]}}),
        *({"webhook": ""}, {"webhook": 3}, {"webhook": "a b"}, {"sensor": "x"}),
        *({"webhook": "a", "match": {}}, {"webhook": "a", "match": {"a..b": 1}}),
        *({"webhook": "a", "match": {"a": [1]}}, {"webhook": "a", "extra": 1}),
        {"webhook": "a", "match": {f"k{n}": n for n in range(21)}},
        *({"run": {"states": ["failed"]}}, {"run": {"agent": "a"}}, {"run": 1}),
        {"run": {"agent": "a", "tag": "b", "states": ["failed"]}},
        *({"run": {"agent": "a", "states": []}}, {"run": {"agent": 1, "states": []}}),
        {"run": {"agent": "a", "states": ["running"]}},
        {"run": {"agent": "a", "states": [["failed"]]}},
        {"run": {"tag": "", "states": ["failed"]}},
        *({"node": {"states": ["gone"]}}, {"node": {"name": "", "states": ["up"]}}),
        {"node": {"states": ["up"]}, "match": {"a": 1}},
        *({"file": {"path": "in/x"}}, {"file": {"path": "/a/../b"}}, {"file": {}}),
        *({"file": {"path": "/a/**/b"}}, {"file": {"path": "/a/"}}),
        {"file": {"path": "/a", "stable_for": "2h"}},
        {"file": {"path": "/" + "a/" * 2100 + "b"}},
    ],
    ids=lambda one: str(one)[:50],
)
def test_what_cannot_be_waited_for_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        event.read(wrong)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*event.SOURCES, "match", "states", "agent", "path"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(JSON)
def test_whatever_is_sent_is_read_or_refused_with_a_sentence(value: Any) -> None:
    try:
        rule = event.read(value)
    except ValueError:
        return
    assert event.read(event.value(rule)) == rule


@pytest.mark.parametrize("kind", ["persistent", "ephemeral"])
@pytest.mark.parametrize("state", [s for s in RunState if s in event.RUN_STATES])
def test_finished_and_crashed_mean_ends_of_its_own(kind: str, state: RunState) -> None:
    spec = {"kind": kind, "tags": [], "capabilities": []}

    def is_meant(by: str) -> bool:
        return fits({"agent": "a", "states": [by]}, "a", spec, state)

    asked_for = state in ("cancelled", "preempted")
    assert is_meant("finished") != asked_for
    fault = not asked_for and state != "succeeded"
    assert is_meant("crashed") == (fault and kind == "persistent")
    assert is_meant(state)
