"""`results`, `secrets`, `artefacts` of a definition: their forms and their faults."""

from __future__ import annotations

from typing import Any

import pytest

from agents.errors import Invalid
from agents.registration import definition_of, parse_agent
from agents.secret_uses import named_in, uses_of

LEAST = {"agent_id": "a", "exec_env": "subprocess", "entry_point": "true"}


def parsed(**more: Any) -> dict[str, Any]:
    return parse_agent({**LEAST, **more})


def test_short_forms_mean_what_the_long_ones_say() -> None:
    short = parsed(results=["https://h/p", "/srv/all.jsonl"], secrets=["db-key"])
    results = [{"webhook": "https://h/p"}, {"file": "/srv/all.jsonl", "on": "finish"}]
    secrets = [{"name": "db-key", "as": "env", "env": "DB_KEY"}]
    assert short == parsed(results=results, secrets=secrets)


def test_a_definition_with_all_of_it_comes_back_as_it_was() -> None:
    spec = parsed(
        results=[{"webhook": "https://h/", "secret": "sign"}, {"stream": "s:1"}],
        secrets=["k", {"name": "f", "as": "file"}, {"name": "v", "env": "OTHER"}],
        artefacts=True,
    )
    assert parse_agent(definition_of(spec)) == spec
    assert [(u.name, u.form, u.env) for u in uses_of(spec)] == [
        ("k", "env", "K"),
        ("f", "file", ""),
        ("v", "env", "OTHER"),
    ]
    assert named_in(spec) == {"k", "f", "v", "sign"}


def test_a_definition_of_before_has_none_of_it() -> None:
    spec = parsed()
    old = {k: v for k, v in spec.items() if k not in ("results", "artefacts")}
    assert definition_of({**old, "secrets": ["k"]})["secrets"] == ["k"]
    assert definition_of(old) == definition_of(spec)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("results", "https://h/"),
        ("results", [None]),
        ("results", [7]),
        ("results", [{}]),
        ("results", ["ftp://h/"]),
        ("results", ["http://u:p@h/"]),
        ("results", [{"webhook": "http://h/", "stream": "s"}]),
        ("results", [{"stream": "a b"}]),
        ("results", [{"stream": "s", "secret": "k"}]),
        ("results", [{"stream": "s", "on": "never"}]),
        ("results", [{"stream": "s"}, {"stream": "s", "on": "failure"}]),
        ("results", [{"file": "relative"}]),
        ("results", [{"file": "/a/../b"}]),
        ("results", [{"stream": f"s{n}"} for n in range(17)]),
        ("secrets", [7]),
        ("secrets", ["a b"]),
        ("secrets", [{"as": "file"}]),
        ("secrets", [{"name": "k", "as": "pipe"}]),
        ("secrets", [{"name": "k", "form": "file"}]),
        ("secrets", [{"name": "k", "as": "file", "env": "K"}]),
        ("secrets", [{"name": "k", "env": "LD_PRELOAD"}]),
        ("secrets", ["ld-preload"]),
        ("secrets", ["k", "k"]),
        ("secrets", ["k", {"name": "z", "env": "K"}]),
        ("artefacts", "yes"),
    ],
)
def test_a_fault_names_its_field(field, value) -> None:
    with pytest.raises(Invalid) as caught:
        parsed(**{field: value})
    assert set(caught.value.fields) == {field}


def test_a_variable_is_not_set_twice() -> None:
    with pytest.raises(Invalid, match="is set by env as well"):
        parsed(env={"K": "1"}, secrets=["k"])
