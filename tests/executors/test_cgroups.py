"""What is written to control groups, of version 1 and 2, shown on a folder tree that
looks like one (test_limits shows on the real thing that the kernel obeys)."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.executors.cgroup_trees import Tree, number
from agents.executors.cgroups import Groups, Slot

MIB = 1 << 20
V1 = {
    "memory": ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
    "cpu": ("cpu.shares", "cpu.cfs_quota_us"),
    "pids": ("pids.max",),
}
V2 = ("memory.max", "memory.swap.max", "memory.oom.group", "cpu.weight", "cpu.max")


def tree(path: Path, controllers: set[str], files: tuple[str, ...], v2: bool) -> Tree:
    for group in ("holder", "r1"):
        (path / group).mkdir(parents=True)
        for name in (*files, "cgroup.procs", "tasks", "cgroup.kill"):
            (path / group / name).touch()
    return Tree(str(path), frozenset(controllers), v2)


@pytest.fixture
def v1(tmp_path: Path) -> Groups:
    return Groups([tree(tmp_path / c, {c}, files, False) for c, files in V1.items()])


@pytest.fixture
def v2(tmp_path: Path) -> Groups:
    have = {"memory", "cpu", "pids", "freezer", "cpuacct"}
    return Groups([tree(tmp_path, have, (*V2, "pids.max"), True)])


def said(tmp_path: Path, name: str) -> str:
    return next(tmp_path.rglob(f"r1/{name}")).read_text()


def test_version_1_limits(v1: Groups, tmp_path: Path) -> None:
    slot = v1.take(64 * MIB, 500, 30)
    assert slot is not None
    v1.limit_cpu(slot, 250)
    assert said(tmp_path, "memory.limit_in_bytes") == str(64 * MIB)
    assert said(tmp_path, "pids.max") == "30"
    assert said(tmp_path, "cpu.shares") == "512"
    assert said(tmp_path, "cpu.cfs_quota_us") == "25000"


def test_version_2_limits(v2: Groups, tmp_path: Path) -> None:
    slot = v2.take(64 * MIB, 500, 30)
    assert slot is not None
    v2.limit_cpu(slot, 250)
    assert said(tmp_path, "memory.max") == str(64 * MIB)
    assert said(tmp_path, "memory.swap.max") == "0"
    assert said(tmp_path, "pids.max") == "30"
    assert said(tmp_path, "cpu.weight") == "50"
    assert said(tmp_path, "cpu.max") == "25000 100000"


@pytest.mark.parametrize(
    ("millis", "quota"), [(1, 10_000), (100, 10_000), (2500, 250_000)]
)
def test_a_quota_never_falls_below_a_tenth_of_a_core(
    v1: Groups, tmp_path: Path, millis: int, quota: int
) -> None:
    slot = v1.take(None, 100, 30)
    assert slot is not None
    v1.limit_cpu(slot, millis)
    assert said(tmp_path, "cpu.cfs_quota_us") == str(quota)


def test_everything_in_a_version_2_group_ends_by_one_write(
    v2: Groups, tmp_path: Path
) -> None:
    v2.end_all(Slot("r1"))
    assert said(tmp_path, "cgroup.kill") == "1"


def test_a_limit_the_kernel_refuses_is_an_error_not_a_run_without(
    v1: Groups, tmp_path: Path
) -> None:
    (tmp_path / "pids" / "r1" / "pids.max").unlink()
    with pytest.raises(OSError, match=r"refuses pids\.max = 30"):
        v1.take(None, 100, 30)


def test_an_oom_is_counted_from_where_the_last_run_left_off(
    v1: Groups, tmp_path: Path
) -> None:
    counts = tmp_path / "memory" / "r1" / "memory.oom_control"
    slot = Slot("r1")
    counts.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    assert v1.was_oom(slot)
    assert not v1.was_oom(slot)
    counts.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    assert v1.was_oom(slot)


def test_without_control_groups_there_is_nothing_to_take() -> None:
    groups = Groups([])
    assert groups.take(64 * MIB, 100, 30) is None
    assert not any(groups.capabilities().values())


def test_numbers_are_read_alone_and_by_name(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("12\n")
    assert number(str(file)) == 12
    file.write_text("oom_kill_disable 0\noom_kill 7\n")
    assert number(str(file), b"oom_kill") == 7
    assert number(str(file), b"absent") == 0
    assert number(str(tmp_path / "gone")) == 0
