"""What a launch becomes as a container, decided without any engine."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.executors import docker_box, docker_spec
from agents.executors.base import Container, LaunchSpec, Limits, Mount
from agents.executors.docker import INITS
from agents.executors.docker_engine import Refusal
from agents.executors.docker_spec import Rules

MIB = 1 << 20


def spec(tmp_path: Path, container: Container | None = None, **more: Any) -> LaunchSpec:
    container = container or Container("kos/x")
    return LaunchSpec("u", 1, ("true",), tmp_path, container=container, **more)


def refusal(asked: LaunchSpec, rules: Rules | None = None) -> str:
    with pytest.raises(Refusal) as refused:
        docker_spec.check(asked, rules or Rules("node"))
    return str(refused.value)


def test_each_attempt_has_a_container_name_of_its_own() -> None:
    asked = [("a", 11), ("a-1", 1), ("a:1", 1), ("a.1", 1), ("a", 1), ("x" * 128, 1)]
    names = [docker_spec.container_name(uid, token) for uid, token in asked]
    assert len(set(names)) == len(asked)
    assert all(docker_spec.PLAIN_NAME.fullmatch(name) for name in names)


@pytest.mark.parametrize("user", ["0", "0:5", "1000:0", "00", "root", "www", "-1", ""])
def test_root_and_names_are_refused(tmp_path: Path, user: str) -> None:
    said = refusal(spec(tmp_path, Container("kos/x", user=user)))
    assert "never runs as root" in said or "given by number" in said


@pytest.mark.parametrize("network", ["host", "container:abc", "a b"])
def test_a_network_shared_with_others_is_refused(tmp_path: Path, network: str) -> None:
    said = refusal(spec(tmp_path, Container("kos/x", network=network)))
    assert "a network of its own" in said


def test_the_network_is_none_unless_it_or_ports_are_asked_for(tmp_path: Path) -> None:
    assert docker_spec.network_of(spec(tmp_path)) == "none"
    asked = spec(tmp_path, Container("kos/x", ports={80: 8080}))
    assert docker_spec.network_of(asked) == "bridge"
    asked = spec(tmp_path, Container("kos/x", network="lan", ports={80: 8080}))
    assert docker_spec.network_of(asked) == "lan"


def test_what_no_container_can_be_is_refused_in_words(tmp_path: Path) -> None:
    good = spec(tmp_path)
    docker_spec.check(good, Rules("node"))
    for bad, said in [
        (replace(good, container=None), "no image is named"),
        (replace(good, container=Container("")), "no image is named"),
        (replace(good, container=Container("x", pull="often")), "pull is one of"),
        (replace(good, container=Container("x", workdir="a")), "begins with /"),
        (replace(good, run_as="daemon"), "run_as is not for containers"),
        (replace(good, argv=("",)), "no program named"),
        (replace(good, argv=("a\0b",)), "null byte"),
        (replace(good, env={"A=B": "c"}), "illegal environment variable"),
    ]:
        assert said in refusal(bad)


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    (tmp_path / "shared/data").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "shared/link").symlink_to(tmp_path / "other")
    (tmp_path / "shared-not").mkdir()
    (tmp_path / "shared/docker.sock").touch()
    socket = str(tmp_path / "shared/docker.sock")
    return Rules("node", allowed_roots=(str(tmp_path / "shared"),), socket=socket)


def test_a_mount_under_an_allowed_root_is_made_read_only(
    tmp_path: Path, rules: Rules
) -> None:
    source = str(tmp_path / "shared/data")
    asked = spec(tmp_path, mounts=(Mount(source, "/data"),))
    [made] = docker_spec.mounts_of(asked, rules)
    assert (made["Source"], made["Target"]) == (source, "/data")
    assert made["ReadOnly"] is True


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("other", "/data", "not under an allowed root"),
        ("shared-not", "/data", "not under an allowed root"),
        ("shared/../other", "/data", "plain absolute path"),
        ("shared/link", "/data", "symbolic links"),
        ("shared/none", "/data", "no such file or folder"),
        ("shared/docker.sock", "/data", "the engine's socket is in it"),
        ("shared", "/data", "the engine's socket is in it"),
        ("shared/data", "/", "nothing can be mounted at"),
        ("shared/data", "data", "nothing can be mounted at"),
        ("shared/data", "/kos/init", "nothing can be mounted at"),
        ("shared/data", "/x/../kos", "nothing can be mounted at"),
    ],
)
def test_other_mounts_are_refused_in_words(
    tmp_path: Path, rules: Rules, source: str, target: str, said: str
) -> None:
    asked = spec(tmp_path, mounts=(Mount(f"{tmp_path}/{source}", target),))
    assert said in refusal(asked, rules)


def test_nothing_may_be_mounted_unless_a_root_is_named(tmp_path: Path) -> None:
    asked = spec(tmp_path, mounts=(Mount(str(tmp_path), "/data"),))
    assert "not under an allowed root" in refusal(asked)


def test_memory_is_capped_without_swap_and_cpu_by_quota_and_weight(
    tmp_path: Path,
) -> None:
    limits = Limits(cpu_millis=1500, cpu_weight_millis=500, memory_bytes=64 * MIB)
    host = docker_spec.host_config(
        spec(tmp_path, limits=limits), Rules("node"), tmp_path / "init"
    )
    assert host["mem_limit"] == host["memswap_limit"] == 64 * MIB
    assert (host["cpu_quota"], host["cpu_period"]) == (150_000, 100_000)
    assert host["cpu_shares"] == 512


def test_paths_of_the_work_folder_are_said_as_the_container_has_them() -> None:
    work = Path("/runs/u") / "work"
    env = {"HOME": str(work), "KOS_RESULT": f"{work}/result.json", "A": f"{work}er"}
    inside = docker_box.environment(env, work, "u/1")
    assert inside == {
        "HOME": docker_box.WORK,
        "KOS_RESULT": f"{docker_box.WORK}/result.json",
        "A": f"{work}er",
        "KOS_RUN": "u/1",
    }


@pytest.mark.parametrize(
    "said", ["ended", "ended x", "ended 1 2", "ended -1 0 0 0 0", "failed", "\xff", "a"]
)
def test_a_status_nobody_understands_says_nothing(tmp_path: Path, said: str) -> None:
    (tmp_path / "status").write_text(said)
    assert docker_box.read_status(tmp_path) == docker_box.Status()


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_each_init_is_made_of_its_source(machine: str) -> None:
    source = hashlib.sha256((INITS / "init.c").read_bytes()).hexdigest()
    built = INITS / f"init-{machine}"
    assert f"kos-init {source}".encode() in built.read_bytes(), f"run {INITS}/build"
    assert os.access(built, os.X_OK)
