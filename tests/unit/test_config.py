"""The configuration file: what is taken, what is refused, and how that is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from kos_scheduler.config import (
    KEYS,
    ConfigError,
    SchedulerConfig,
    load_config,
    parse_config,
)

SHIPPED = Path(__file__).resolve().parents[2] / "kos_scheduler/scheduler_config.yaml"
SEED_KEYS = (
    "max_concurrent_agents",
    "scheduler_mode",
    "heartbeat_interval",
    "allow_agent_preemption",
    "max_memory_usage",
    "log_retention_days",
    "agent_timeout_default",
    "reschedule_on_crash",
)


def refusal(text: str | bytes) -> ConfigError:
    raw = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(ConfigError) as caught:
        parse_config(raw, "file.yaml")
    return caught.value


def test_the_shipped_file_sets_the_seeds_eight_keys() -> None:
    config = load_config(SHIPPED)
    assert tuple(config.given) == SEED_KEYS
    assert config == SchedulerConfig()
    assert config.max_memory_fraction == 0.85


def test_an_empty_file_means_the_defaults() -> None:
    for empty in (b"", b"# nothing\n", b"---\n", b"nodes:\n"):
        assert parse_config(empty, "f") == SchedulerConfig()


def test_sections_hold_our_own_keys() -> None:
    config = parse_config(b"nodes:\n  down_after: 1m\noutput: {max_bytes: 1MiB}\n", "f")
    assert (config.nodes.down_after_s, config.output.max_bytes) == (60, 2**20)


def test_every_key_writes_what_it_reads() -> None:
    config = SchedulerConfig()
    for name in KEYS:
        again = config.with_overrides({name: config.value_of(name)})
        assert again == config, name


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("max_concurrent_agents: 0", "max_concurrent_agents"),
        ('max_concurrent_agents: "12"', "max_concurrent_agents"),
        ("max_concurrent_agents: true", "max_concurrent_agents"),
        ("max_concurrent_agents: 12.0", "max_concurrent_agents"),
        ("max_concurrent_agents:", "max_concurrent_agents"),
        ("heartbeat_interval: 0", "heartbeat_interval"),
        ("heartbeat_interval: -5", "heartbeat_interval"),
        ('heartbeat_interval: "5"', "heartbeat_interval"),
        ("scheduler_mode: [priority]", "scheduler_mode"),
        ("scheduler_mode: Priority", "scheduler_mode"),
        ("allow_agent_preemption: maybe", "allow_agent_preemption"),
        ("allow_agent_preemption: 1", "allow_agent_preemption"),
        ("max_memory_usage: 850%", "max_memory_usage"),
        ("max_memory_usage: 0%", "max_memory_usage"),
        ("max_memory_usage: 85", "max_memory_usage"),
        ("max_memory_usage: 85 percent", "max_memory_usage"),
        ("log_retention_days: 999999999999", "log_retention_days"),
        ("nodes: {down_after: 0}", "nodes.down_after"),
        ("nodes: {downafter: 5}", "nodes.downafter"),
        ("nodes: 5", "nodes"),
        ("paths: {entry_roots: [relative]}", "paths.entry_roots"),
        ("security: {run_as_users: root}", "security.run_as_users"),
    ],
)
def test_a_wrong_value_names_file_line_and_key(line: str, key: str) -> None:
    error = refusal(f"\n\n{line}\n")
    assert str(error).startswith("file.yaml: line 3: ")
    assert list(error.fields) == [key]


@pytest.mark.parametrize("name", ["max_concurent_agents", "Scheduler_mode", "node"])
def test_an_unknown_key_is_refused_with_the_one_perhaps_meant(name: str) -> None:
    assert "did you mean" in str(refusal(f"{name}: 1"))


def test_allowed_values_are_told() -> None:
    assert "one of fifo, lifo, priority, dependency" in str(
        refusal("scheduler_mode: fast")
    )
    assert "from 1 to 100000" in str(refusal("max_concurrent_agents: 0"))


def test_all_faults_are_told_at_once_in_the_order_of_the_file() -> None:
    error = refusal("heartbeat_interval: 0\nlog_retention_days: 0\nfoo: 1\n")
    assert [part.split(": ")[1] for part in str(error).split("\n")] == [
        "line 1",
        "line 2",
        "line 3",
    ]


@pytest.mark.parametrize(
    "scalar",
    [
        "yes",
        "no",
        "on",
        "off",
        "Y",
        "N",
        "True",
        "NULL",
        "~",
        "010",
        "0x0C",
        "0o14",
        "0b1",
        "1:30",
        "1_000",
        "+5",
        "1e3",
        "1.5e3",
        ".inf",
        ".NaN",
        "2026-02-30",
        "2026-1-1",
    ],
)
def test_what_two_versions_of_yaml_read_differently_is_refused(scalar: str) -> None:
    said = str(refusal(f"nodes:\n  name: {scalar}\n"))
    assert "line 2" in said
    assert "two ways" in said


def test_a_quoted_surprise_is_plain_text() -> None:
    assert parse_config(b'nodes: {name: "on"}', "f").nodes.name == "on"


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\na: 2",
        "nodes: {name: a, name: b}",
        "x: &a 1",
        "x: *a",
        "<<: *nope",
        "x: !include /etc/passwd",
        '!!python/object/apply:os.system ["id"]',
        "x: !!int 5",
        "--- {}\n--- {}",
        "[]",
        '"x"',
        "5",
        "? [a]\n: 1",
        "{{ env.SECRET }}: 1",
        "a: 'open",
        "\tmax_concurrent_agents: 5",
        "\0",
        "[" * 20_000,
        "a: {b: {c: {d: {e: {f: {g: {h: {i: 1}}}}}}}}",
        "a: 1\n" * 100_000,
        "nodes: [" + "1," * 6_000 + "]",
        b"a: \xff\xfe",
        b"\xef\xbb\xbfmax_concurrent_agents: \x81",
    ],
)
def test_what_is_not_plain_yaml_is_refused_without_a_traceback(
    text: str | bytes,
) -> None:
    assert str(refusal(text)).startswith("file.yaml: ")


def test_a_duplicate_key_says_where_the_first_one_stands() -> None:
    error = refusal("log_retention_days: 1\n\nlog_retention_days: 2\n")
    assert "line 3" in str(error)
    assert "already stands on line 1" in str(error)


def test_a_missing_file_is_told_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: No such file"):
        load_config(tmp_path / "nowhere.yaml")


def test_overrides_are_checked_like_the_file() -> None:
    config = SchedulerConfig().with_overrides({"nodes.down_after": 20})
    assert config.nodes.down_after_s == 20
    with pytest.raises(ConfigError) as caught:
        config.with_overrides({"scheduler_mode": "x", "nodes.name": 5})
    assert set(caught.value.fields) == {"scheduler_mode", "nodes.name"}
