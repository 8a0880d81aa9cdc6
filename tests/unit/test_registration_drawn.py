"""Registrations drawn at random: there and back again, or refused in words."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agents import names, requirements
from agents.errors import Invalid
from agents.registration import definition_of, parse_agent
from tests.unit.test_registration import PLAIN

ids = st.from_regex(r"\A[A-Za-z][A-Za-z0-9_-]{0,10}[A-Za-z0-9]\Z")
words = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"))
labels = st.lists(st.from_regex(r"\A[a-z][a-z0-9_.-]{0,8}\Z"), max_size=4, unique=True)
seconds = st.floats(0.001, 86_400, allow_nan=False)
optional: dict[str, st.SearchStrategy[Any]] = {
    "args": st.lists(words, max_size=4),
    "env": st.dictionaries(st.from_regex(r"\AMY_[A-Z]{1,5}\Z"), words, max_size=3),
    "priority": st.sampled_from(["critical", "high", "medium", "low", "background"]),
    "capabilities": labels,
    "tags": labels,
    "cpu": st.integers(1, 1_024_000).map(lambda millis: f"{millis}m"),
    "gpu": st.integers(0, 64),
    "memory": st.integers(10**6, 10**15),
    "bandwidth": st.integers(1, 10**13),
    "ports": st.one_of(
        st.lists(st.integers(1, 65_535), max_size=4, unique=True),
        st.just({"http": 8080, "debug": "9000-9010", "admin": "auto"}),
    ),
    "requires": st.lists(
        st.sampled_from(
            [
                "avx512",
                {"file": "/data/in.csv", "within": "10m"},
                {"command": "ffmpeg"},
                {"port_free": 8080},
                {"reachable": "db:5432"},
                {"agent": "z-other"},
                {"capability": "fast-disk", "within": 5},
            ]
        ),
        max_size=4,
        unique_by=str,
    ),
    "placement": st.sampled_from(
        [
            {"require": {"disk": "ssd", "zone": ["a", "b"], "fast": "exists"}},
            {"prefer": [{"labels": {"zone": "a"}}], "strategy": "pack"},
            {"with": ["z-other"], "apart": [{"tag": "noisy", "hard": False}]},
            {"tolerate": ["*"], "nodes": ["n1"]},
        ]
    ),
    "depends_on": st.lists(
        ids.map("x-{}".format), max_size=3, unique_by=requirements.slug
    ),
    "cascades": st.lists(ids.map("y-{}".format), max_size=3, unique=True),
    "hooks": st.lists(
        st.fixed_dictionaries(
            {
                "when": st.sampled_from(["pre-start", "post-start", "on-shutdown"]),
                "run": st.just(["/bin/echo", "x"]),
                "timeout": seconds,
            }
        ),
        max_size=3,
    ),
    "timeout": seconds,
    "restart_backoff": st.one_of(
        seconds,
        st.fixed_dictionaries({"factor": st.just(3.0)}),
        st.just({"crash_loop": 0}),
    ),
    "readiness": st.sampled_from(
        [
            {"notify": True},
            {"notify": True, "within": "5s", "every": 0.5},
        ]
    ),
    "watchdog": st.floats(0.5, 86_400),
    "concurrency": st.sampled_from(
        [
            {"limit": 1000},
            {"key": "db-{params.table}", "limit": 5000, "on_full": "cancel_oldest"},
        ]
    ),
    "grace_period": st.floats(0, 3600),
    "enabled": st.booleans(),
    "start_at_boot": st.booleans(),
    "synonyms": st.sampled_from([["night report"], ["a b", "writer 2"]]),
}
placed = st.one_of(
    st.just({"exec_env": "subprocess"}),
    st.fixed_dictionaries(
        {"exec_env": st.just("sandbox")},
        optional={
            "sandbox": st.sampled_from(
                [
                    {},
                    {"network": "host"},
                    {"mounts": [{"source": "/a", "target": "/b"}]},
                ]
            )
        },
    ),
    st.fixed_dictionaries(
        {"exec_env": st.just("docker")},
        optional={"docker": st.just({"image": "alpine:3", "user": "1000:1000"})},
    ),
    st.just({"exec_env": "systemd", "run_as": "worker"}),
)
kinds = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {"kind": st.sampled_from(["ephemeral", "cascading"])},
        optional={
            "retries": st.one_of(st.integers(0, 5), st.just({"on": [3, "SIGHUP"]})),
            "gang": st.integers(2, 1000),
        },
    ),
    st.fixed_dictionaries(
        {"kind": st.just("persistent")},
        optional={"restart": st.sampled_from(["always", "on-failure", "never"])},
    ),
)


def can_name_an_image(agent_id: str) -> bool:
    try:
        return bool(names.image(f"kos/{agent_id.lower()}"))
    except ValueError:
        return False


@settings(deadline=None)
@given(ids, placed, kinds, st.fixed_dictionaries({}, optional=optional))
def test_the_definition_of_a_spec_gives_the_same_spec_again(
    agent_id, where, kind, more
) -> None:
    if where["exec_env"] == "sandbox":  # it has neither
        more = {k: v for k, v in more.items() if k not in ("gpu", "ports")}
    if where["exec_env"] == "docker" and "docker" not in where:
        assume(can_name_an_image(agent_id))
    raw = {"agent_id": agent_id, "entry_point": "/bin/x", **where, **kind, **more}
    spec = parse_agent(raw)
    again = json.loads(json.dumps(definition_of(spec)))
    assert parse_agent(again) == spec
    assert definition_of(parse_agent(again)) == definition_of(spec)


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.sampled_from([*parse_agent(PLAIN), "docker", "timeout", "x"]), anything)
def test_whatever_is_sent_is_parsed_or_refused_with_printable_words(key, value) -> None:
    try:
        spec = parse_agent({**PLAIN, key: value})
    except Invalid as refusal:
        said = json.dumps(refusal.fields, ensure_ascii=False) + str(refusal)
        assert said.encode()
    else:
        assert json.dumps(spec, allow_nan=False).encode()
