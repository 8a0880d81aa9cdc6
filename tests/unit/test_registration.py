"""A registration: what is accepted, how it is normalised, how each fault is told."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from agents.errors import Invalid
from agents.registration import cascade_cycles, definition_of, parse_agent

CORPUS = Path(__file__).resolve().parents[1] / "corpus"
SAMPLE = {
    "agent_id": "prompt_optimizer",
    "capabilities": ["prompt_analysis"],
    "exec_env": "docker",
    "entry_point": "/app/start.sh",
    "priority": "high",
    "tags": ["llm"],
    "cpu": 2,
    "gpu": 1,
    "memory": "4GB",
}
PLAIN = {"agent_id": "a", "exec_env": "subprocess", "entry_point": "/bin/true"}
BOX = {"exec_env": "sandbox"}


def at(target: str) -> dict[str, str]:
    return {"source": "/srv/data", "target": target}


def faults(**changed: Any) -> dict[str, list[str]]:
    """What is said about the plain registration with these keys changed."""
    with pytest.raises(Invalid) as refused:
        parse_agent({**PLAIN, **changed})
    return refused.value.fields


def test_the_seeds_sample_is_accepted_as_it_stands() -> None:
    spec = parse_agent(SAMPLE)
    assert spec["docker"]["image"] == "kos/prompt_optimizer"
    assert (spec["cpu_millis"], spec["gpus"], spec["memory_bytes"]) == (
        2000,
        1,
        4 * 10**9,
    )
    assert (spec["kind"], spec["assumed"], spec["args"]) == ("ephemeral", [], [])
    assert definition_of(spec) == SAMPLE


def test_needs_that_are_not_stated_are_small_and_marked_as_assumed() -> None:
    spec = parse_agent(PLAIN)
    assert (spec["cpu_millis"], spec["memory_bytes"]) == (100, 128 * 10**6)
    assert spec["assumed"] == ["cpu", "memory"]
    assert parse_agent({**PLAIN, "cpu": 0.1})["assumed"] == ["memory"]


def test_every_spec_has_the_same_keys() -> None:
    assert parse_agent(PLAIN).keys() == parse_agent(SAMPLE).keys()


def test_short_forms_are_widened() -> None:
    spec = parse_agent(
        {
            **PLAIN,
            "retries": 3,
            "restart_backoff": "5s",
            "cascades": ["b", {"agent": "c", "on": "failure"}],
            "ports": [8080, "9000-9010"],
            "hooks": [{"when": "pre-start", "run": ["/bin/true"], "timeout": "1m"}],
        }
    )
    assert spec["retries"]["limit"] == 3
    assert spec["restart"]["delay_s"] == 5
    assert spec["cascades"] == [
        {"agent": "b", "on": "success"},
        {"agent": "c", "on": "failure"},
    ]
    assert spec["ports"] == {"8080": [8080, 8080], "9000-9010": [9000, 9010]}
    step = {"run": ["/bin/true"], "timeout_s": 60.0, "on_failure": "fail"}
    assert spec["hooks"] == {"pre_start": [step]}


def test_a_persistent_agent_is_restarted_always_unless_it_says_otherwise() -> None:
    assert parse_agent({**PLAIN, "kind": "persistent"})["restart"]["policy"] == "always"
    assert parse_agent(PLAIN)["restart"]["policy"] == "never"


def test_all_faults_are_told_at_once() -> None:
    told = faults(memory="4Gb", cpu="two", entry_point="/tmp", priorty="high", gpu=-1)
    assert told.keys() == {"memory", "cpu", "entry_point", "priorty", "gpu"}
    assert told["priorty"] == ["is not a known key; did you mean priority?"]


@pytest.mark.parametrize(
    ("changed", "field", "said"),
    [
        ({"agent_id": 5}, "agent_id", "must be a string"),
        ({"agent_id": "parse-command"}, "agent_id", "word of the API"),
        ({"agent_id": "a\n"}, "agent_id", "must be 1 to 64 ASCII"),
        ({"args": [1]}, "args", "item 1: must be a string"),
        ({"env": {"A": 1}}, "env", "A: must be a string"),
        ({"env": {"LD_PRELOAD": "x"}}, "env", "may not be set"),
        ({"env": {"KOS_TOKEN": "x"}}, "env", "may not be set"),
        ({"docker": {"image": "x"}}, "docker", "goes with exec_env docker"),
        ({"restart": "always"}, "restart", "use retries instead"),
        ({"kind": "persistent", "retries": 1}, "retries", "use restart instead"),
        ({"run_as": "Root"}, "run_as", "not the name of a user"),
        ({"retries": {"on": ["SIGNOPE"]}}, "retries", "neither an exit code"),
        ({"retries": {"on": [0]}}, "retries", "neither an exit code"),
        ({"ports": [80, "79-81"]}, "ports", "port 80 is named twice"),
        ({"ports": {"a-b": 80, "a_b": 81}}, "ports", "share one variable"),
        ({"ports": ["auto", "auto"]}, "ports", "named twice"),
        ({"ports": {"a": "any"}}, "ports", "not a port"),
        ({"ports": [80], "exec_env": "sandbox"}, "ports", "has no network"),
        ({"gpu": 1, "exec_env": "sandbox"}, "gpu", "has no devices"),
        ({"sandbox": {}}, "sandbox", "goes with exec_env sandbox"),
        (
            {**BOX, "sandbox": {"network": "lan"}},
            "sandbox",
            "must be one of none or host",
        ),
        ({**BOX, "sandbox": {"mounts": [at("/usr/x")]}}, "sandbox", "has itself"),
        ({**BOX, "sandbox": {"mounts": [at("/")]}}, "sandbox", "has itself"),
        ({**BOX, "sandbox": {"mounts": [at("/a")] * 2}}, "sandbox", "two mounts"),
        ({"requires": [{"file": "x"}]}, "requires", "item 1, file: "),
        ({"requires": [{"reachable": "db"}]}, "requires", "a host and a port"),
        ({"requires": [{"port_free": 0}]}, "requires", "at least 1"),
        ({"requires": [{"within": "1s"}]}, "requires", "exactly one of"),
        ({"requires": [{"agent": "a"}]}, "requires", "wait for itself"),
        ({"requires": ["x", {"capability": "x"}]}, "requires", "named twice"),
        ({"depends_on": ["x-y", "x_y"]}, "depends_on", "would share variables"),
        ({"cascades": ["b", "b"]}, "cascades", "named twice"),
        ({"entry_point": "python x.py"}, "entry_point", "not the name of one program"),
        ({"entry_point": "/bin/sh -c id"}, "entry_point", "not a command line"),
        ({"entry_point": "/bin/true;id"}, "entry_point", "not a command line"),
        ({"entry_point": "bin/x"}, "entry_point", "absolute path"),
        ({"memory": None}, "memory", "must not be null"),
        ({"tags": ["a\u202eb"]}, "tags", "invisible character"),
        ({"enabled": "no"}, "enabled", "must be true or false"),
        ({"args": ["x" * 131_072]}, "args", "longer than 131071"),
        ({"timeout": "400d"}, "timeout", "between 0.001s and 366d"),
        ({"readiness": {}}, "readiness", "must name exactly one of notify, port"),
        ({"readiness": "yes"}, "readiness", "must be an object"),
        ({"readiness": {"notify": False}}, "readiness", "notify: must be"),
        ({"readiness": {"port": 1, "http": "http://[::1]/"}}, "readiness", "exactly"),
        ({"readiness": {"port": 0}}, "readiness", "between 1 and 65535"),
        ({"readiness": {"port": True}}, "readiness", "port"),
        ({"readiness": {"port": "api"}}, "readiness", "not the name of one of its"),
        ({"readiness": {"http": "http://10.0.0.1/"}}, "readiness", "on 127.0.0.1"),
        ({"readiness": {"http": "file:///etc"}}, "readiness", "is not a plain http"),
        ({"readiness": {"http": "http://a@[::1]/"}}, "readiness", "not a plain http"),
        ({"readiness": {"http": "http://localhost:99999/"}}, "readiness", "not a URL"),
        ({"readiness": {"command": []}}, "readiness", "at least 1 entries"),
        ({"readiness": {"command": ["a b"]}}, "readiness", "not the name of one"),
        ({"readiness": {"notify": True, "within": "2d"}}, "readiness", "within:"),
        ({"liveness": {"notify": True}}, "liveness", "use watchdog"),
        ({"liveness": {"port": 1, "failures": 0}}, "liveness", "at least 1"),
        ({"watchdog": "1ms"}, "watchdog", "must be between 0.5s and"),
        ({"env": {"WATCHDOG_PID": "1"}}, "env", "may not be set"),
        ({"restart_backoff": {"crash_loop": -1}}, "restart_backoff", "at least 0"),
    ],
)
def test_a_fault_is_told_in_one_sentence_under_its_field(changed, field, said) -> None:
    told = faults(**changed)
    assert list(told) == [field]
    assert said in told[field][0]


@pytest.mark.parametrize("raw", [None, [], "x", 5])
def test_what_is_not_an_object_is_refused(raw: object) -> None:
    with pytest.raises(Invalid, match="JSON object"):
        parse_agent(raw)


def test_a_structure_nested_too_deep_is_refused_before_it_is_looked_at() -> None:
    deep: Any = "x"
    for _ in range(60):
        deep = [deep]
    assert "nested more than 8 levels" in faults(args=deep)["args"][0]


def test_a_thousand_unknown_keys_get_a_bounded_answer() -> None:
    assert len(faults(**{f"k{i}": 1 for i in range(1000)})) <= 60


@pytest.mark.parametrize(
    ("image", "is_good"),
    [
        ("alpine", True),
        ("kos/prompt_optimizer:1.2", True),
        ("ghcr.io/org/tool:v1@sha256:" + "0" * 64, True),
        ("localhost:5000/tool", True),
        ("docker.io/library/alpine", True),
        ("Alpine", False),
        ("alpine@sha256:xyz", False),
        ("evil.example/x", False),
        ("-v/x", False),
        ("-v.x/y", False),
        ("Evil/x", False),
        ("evil:80/x", False),
        ("evil.example", True),
        ("a//b", False),
    ],
)
def test_an_image_is_a_plain_reference_from_a_known_registry(
    image: str, is_good: bool
) -> None:
    raw = {**PLAIN, "exec_env": "docker", "docker": {"image": image}}
    if is_good:
        assert parse_agent(raw)["docker"]["image"] == image
    else:
        with pytest.raises(Invalid, match="docker"):
            parse_agent(raw)


def test_an_id_that_cannot_name_an_image_asks_for_one() -> None:
    assert "name an image" in faults(agent_id="a..b", exec_env="docker")["docker"][0]
    raw = {**PLAIN, "agent_id": "Tool", "exec_env": "docker"}
    assert parse_agent(raw)["docker"]["image"] == "kos/tool"


@pytest.mark.parametrize(
    "source", ["/", "/etc", "/proc/1", "/run/docker.sock", "/a/.."]
)
def test_a_container_sees_nothing_of_the_hosts_own_folders(source: str) -> None:
    mounts = [{"source": source, "target": "/data"}]
    assert "docker" in faults(exec_env="docker", docker={"mounts": mounts})


def test_a_folder_may_have_a_space_in_its_name() -> None:
    path = "/opt/my agents/bin/run"
    assert parse_agent({**PLAIN, "entry_point": path})["entry_point"] == path


def test_every_argument_that_linux_takes_is_kept_byte_for_byte() -> None:
    hostile = ["; rm -rf /", "$(id)", "\u202e", "--help", "", "a\nb", "\t", "*", "é"]
    assert parse_agent({**PLAIN, "args": hostile})["args"] == hostile


PROBES: list[dict[str, Any]] = [
    {"port": 8080},
    {"port": "api", "timeout": "500ms"},
    {"http": "http://127.0.0.1:8080/health?x=1", "every": "3s"},
    {"command": ["pg_isready", "-q"]},
]


@pytest.mark.parametrize("probe", PROBES)
def test_each_way_to_look_comes_back_as_it_was_said(probe: dict[str, Any]) -> None:
    raw = {**PLAIN, "ports": {"api": 8080}, "readiness": {**probe, "within": 5.0}}
    raw["liveness"] = {**probe, "after": 3.0, "failures": 5}
    spec = parse_agent(raw)
    assert spec["readiness"]["within_s"] == 5
    assert spec["liveness"]["by"] == next(iter(probe))
    assert parse_agent(definition_of(spec)) == spec


@pytest.mark.parametrize(
    ("where", "probe", "said"),
    [
        ({"exec_env": "sandbox"}, PROBES[0], "no network to probe; use notify"),
        ({"exec_env": "docker"}, PROBES[0], "only the ports it names"),
        ({"exec_env": "docker"}, PROBES[3], "runs in the node"),
        ({"exec_env": "systemd"}, PROBES[3], "runs in the node"),
        ({"run_as": "worker"}, PROBES[3], "not as run_as"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(where, probe, said) -> None:
    assert said in faults(**where, readiness=probe)["readiness"][0]
    assert said in faults(**where, liveness=probe)["liveness"][0]


def test_a_container_is_probed_on_the_ports_it_names() -> None:
    where = {"exec_env": "docker", "docker": {"image": "alpine:3"}, "ports": [8080]}
    for probe in (PROBES[0], PROBES[2]):
        assert parse_agent({**PLAIN, **where, "readiness": probe})["readiness"]


def test_a_spec_of_before_has_no_probes() -> None:
    spec = parse_agent(PLAIN)
    for key in ("readiness", "liveness", "watchdog_s"):
        del spec[key]
    del spec["restart"]["crash_loop"]
    assert definition_of(spec) == definition_of(parse_agent(PLAIN))


# --- circles of triggers ----------------------------------------------------------


def linked(**targets: str) -> list[dict[str, Any]]:
    return [
        {"agent_id": name, "cascades": [{"agent": to} for to in tos]}
        for name, tos in targets.items()
    ]


def test_a_circle_of_cascades_is_named_once_from_its_first_agent() -> None:
    assert cascade_cycles(linked(a="b", b="c", c="a", d="a")) == [["a", "b", "c"]]


def test_a_tree_or_a_diamond_of_cascades_is_no_circle() -> None:
    assert cascade_cycles(linked(a="bc", b="d", c="d", d="")) == []


def test_a_long_chain_is_walked_without_recursion() -> None:
    chain = {f"n{i}": [f"n{i + 1}"] for i in range(1_500)}
    specs = [
        {"agent_id": n, "cascades": [{"agent": t} for t in ts]}
        for n, ts in chain.items()
    ]
    assert cascade_cycles(specs) == []


# --- the open corpus --------------------------------------------------------------

sys.path.append(str(CORPUS))
from expand import expand  # noqa: E402

STATEFUL = {"AR037", "AR038", "AR039", "AR086", "AR185", "AR186"}  # tests/db has them


def corpus() -> list[Any]:
    cases = json.loads((CORPUS / "bad_inputs_open.json").read_text())
    surfaces = ("agent_registration", "argv_verbatim")
    return [
        pytest.param(case, id=case["id"])
        for case in cases
        if case["surface"] in surfaces and case["id"] not in STATEFUL
    ]


@pytest.mark.parametrize("case", corpus())
def test_each_open_case_comes_out_as_expected(case: dict[str, Any]) -> None:
    raw = json.loads(expand(case["payload"]))
    if 201 in case["expect_status"]:
        assert parse_agent(raw)["args"] == raw["args"]
        return
    with pytest.raises(Invalid) as refused:
        parse_agent(raw)
    assert case.get("expect_field") in (None, *refused.value.fields)
