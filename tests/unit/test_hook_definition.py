"""What a registration may say of hooks, and that it comes back as it was said."""

from __future__ import annotations

from typing import Any

import pytest

from agents import agent_lifecycle_hooks as hooks
from agents.errors import Invalid
from agents.registration import definition_of, parse_agent

PLAIN = {"agent_id": "a", "exec_env": "subprocess", "entry_point": "/bin/true"}
SHA = "0" * 64
SOUND: list[dict[str, Any]] = [
    {"when": "pre-start", "run": ["/bin/true"]},
    {"when": "pre-start", "preload": {"from": "https://a.example/x", "to": "m/x"}},
    {
        "when": "pre-start",
        "preload": {
            "from": "http://a.example/x",
            "to": "x",
            "sha256": SHA,
            "unpack": True,
            "cache": False,
        },
        "timeout": 5.0,
        "on_failure": "ignore",
    },
    {"when": "post-start", "warm_up": {"command": ["true"], "every": 0.5}},
    {"when": "post-start", "warm_up": {"http": "http://[::1]:80/", "expect": 204}},
    {"when": "post-start", "run": ["/bin/true"], "on_failure": "fail"},
    {"when": "checkpoint", "signal": "SIGUSR1"},
    {"when": "checkpoint", "run": ["/bin/true"], "on_failure": "ignore"},
    {"when": "on-shutdown", "archive": {"to": "/srv/a", "what": ["logs", "x/**"]}},
    {"when": "on-shutdown", "dispatch": {"stream": "scores", "on": "success"}},
    {"when": "on-shutdown", "run": ["/bin/true"]},
]


def test_hooks_come_back_as_they_were_said() -> None:
    spec = parse_agent({**PLAIN, "hooks": SOUND})
    again = definition_of(spec)["hooks"]
    assert again == [{"timeout": 30.0, **hook} for hook in SOUND]
    assert parse_agent({**PLAIN, "hooks": again}) == spec


def preload(**said: Any) -> dict[str, Any]:
    return {"when": "pre-start", "preload": {"from": "a", "to": "b", **said}}


def warm_up(**said: Any) -> dict[str, Any]:
    return {"when": "post-start", "warm_up": said}


def archive(**said: Any) -> dict[str, Any]:
    return {"when": "on-shutdown", "archive": {"to": "/srv", **said}}


BAD: list[tuple[dict[str, Any], str]] = [
    ({"when": "pre-start"}, "exactly one of run, preload, warm_up, signal, archive"),
    ({**preload(), "run": ["true"]}, "exactly one of"),
    ({**preload(), "when": "post-start"}, "preload goes with pre-start"),
    ({**preload(), "when": "checkpoint"}, "preload goes with pre-start"),
    ({"when": "pre-start", "signal": "SIGUSR1"}, "signal goes with checkpoint"),
    ({"when": "checkpoint", "signal": "SIGKILL"}, "expected one of SIGUSR1"),
    (
        {"when": "checkpoint", "run": ["true"], "on_failure": "fail"},
        "yields whether it was saved or not",
    ),
    ({**warm_up(command=["true"]), "when": "pre-start"}, "goes with post-start"),
    ({**archive(), "when": "pre-start"}, "archive goes with on-shutdown"),
    ({**archive(), "on_failure": "fail"}, "cannot fail"),
    ({"when": "pre-start", "launch": {}}, "not a known key"),
    ({"when": "on-shutdown", "dispatch": {}}, "exactly one of webhook"),
    ({"when": "pre-start", "dispatch": {"stream": "s"}}, "goes with on-shutdown"),
    (preload(to="../x"), "goes up"),
    (preload(to="/x"), "is absolute"),
    (preload(to="."), "must name a file"),
    (preload(**{"from": "file:///etc/passwd"}), "neither a URL of https"),
    (preload(**{"from": "ftp://a/b"}), "neither a URL of https"),
    (preload(**{"from": "https://u:p@a.example/b"}), "password"),
    (preload(**{"from": "https:///b"}), "neither a URL"),
    (preload(**{"from": "http://a.example/b"}), "needs its sha256"),
    (preload(**{"from": "/a/../b"}), '".."'),
    (preload(**{"from": "{{ x }}"}), "templates"),
    (preload(sha256="abc"), "64 hexadecimal"),
    (preload(cache=True), "cache needs the sha256"),
    (warm_up(), "exactly one of http and command"),
    (warm_up(http="http://10.0.0.1/"), "own node"),
    (warm_up(http="http://localhost.example/"), "own node"),
    (warm_up(http="https://localhost/"), "own node"),
    (warm_up(command=[]), "1 to 100"),
    (warm_up(command=["true"], expect=200), "goes with http"),
    (warm_up(http="http://localhost/", every=0), "every"),
    (archive(to="srv"), "absolute"),
    (archive(name="../x.tar.gz"), "plain name"),
    (archive(name="x.zip"), "plain name"),
    (archive(what=["../x"]), "goes up"),
    (archive(what=[]), "at least 1"),
]


@pytest.mark.parametrize(("hook", "why"), BAD)
def test_a_hook_that_cannot_be_is_refused_by_name(
    hook: dict[str, Any], why: str
) -> None:
    with pytest.raises(Invalid) as refused:
        parse_agent({**PLAIN, "hooks": [hook]})
    (said,) = refused.value.fields["hooks"]
    assert said.startswith("item 1")
    assert why in said


@pytest.mark.parametrize(
    ("definition", "why"),
    [
        ({"exec_env": "sandbox"}, "cannot reach into a sandbox"),
        ({"exec_env": "docker"}, "only those ports of a container that it names"),
        (
            {"exec_env": "docker", "docker": {"network": "bridge"}, "ports": [8080]},
            "only those ports of a container that it names",
        ),
    ],
)
def test_what_an_environment_cannot_do_is_refused_at_registration(
    definition: dict[str, Any], why: str
) -> None:
    hook = warm_up(http="http://localhost:1/")
    with pytest.raises(Invalid, match=why):
        parse_agent({**PLAIN, **definition, "hooks": [hook]})
    served = {"exec_env": "docker", "ports": {"http": "1-9"}}
    parse_agent({**PLAIN, **served, "hooks": [hook]})


def test_steps_of_a_spec_from_before_are_read_with_their_usual_rule() -> None:
    spec = {
        "pre_start": [{"run": ["/bin/true"], "timeout_s": 5}],
        "post_start": [{"run": ["/bin/true"], "timeout_s": 5}],
    }
    (before,) = hooks.steps_of(spec, "pre_start")
    (beside,) = hooks.steps_of(spec, "post_start")
    assert (before.does, before.on_failure, before.name) == ("run", "fail", "/bin/true")
    assert beside.on_failure == "warn"
    assert definition_of({**parse_agent(PLAIN), "hooks": spec})["hooks"] == [
        {"when": "pre-start", "run": ["/bin/true"], "timeout": 5},
        {"when": "post-start", "run": ["/bin/true"], "timeout": 5},
    ]


def test_a_helper_is_told_from_a_run_and_finds_its_step() -> None:
    spec = {"pre_start": [{"run": ["true"], "timeout_s": 5}] * 2}
    step = hooks.steps_of(spec, "pre_start")[1]
    uid = hooks.helper_uid("abc123", step)
    assert hooks.is_helper(uid)
    assert not hooks.is_helper("abc123")
    assert hooks.step_of(uid) == ("abc123", "pre_start", 2)
    assert hooks.step_of(hooks.helper_uid("abc123", step, "17")) is None
