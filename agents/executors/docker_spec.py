"""What a launch becomes as a container: hardened unless the launch says otherwise."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.executors import base, docker_box
from agents.executors.base import LaunchSpec, Limits
from agents.executors.docker_engine import (
    NODE,
    TOKEN,
    UID,
    DeviceRequest,
    Json,
    LogConfig,
    Mount,
    Refusal,
    Ulimit,
)

NOBODY = 65534
PERIOD_US = 100_000
LEAST_QUOTA_US = 10_000  # 0.1 core: less would stall a program that just starts
LEAST_MEMORY_BYTES = 6 << 20  # Docker takes no less
LEAST_PIDS = 2  # the init is one of them
SCRATCH_BYTES = 64 << 20  # of /tmp, when nothing is said
PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")
USER = re.compile(r"(\d{1,9})(?::(\d{1,9}))?")
NETWORK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
PULLS = ("missing", "always", "never")


@dataclass(frozen=True, slots=True)
class Rules:
    """What the node allows its containers."""

    node: str  # names this node's containers among all of the engine
    allowed_roots: Sequence[str] = ()  # what may be mounted lies below one of them
    publish_on: str = "127.0.0.1"  # the address ports are opened on
    socket: str = ""  # the engine's own: whoever has it is root


def container_name(uid: str, token: int) -> str:
    """One for each attempt, so that the engine itself refuses a second start."""
    if not PLAIN_NAME.fullmatch(uid):
        uid = hashlib.sha256(uid.encode()).hexdigest()[:40]
    return f"kos-{uid}-{token}"


def user_of(spec: LaunchSpec) -> tuple[int, int]:
    """The (user, group) numbers it runs as: never root. Raises Refusal."""
    said = spec.container.user if spec.container else None
    if said is None:
        if os.geteuid() == 0:
            return NOBODY, NOBODY
        return os.geteuid(), os.getegid()
    found = USER.fullmatch(said)
    if found is None:
        raise Refusal(
            f"the user of a container is given by number, as 1000:1000, not {said!r}: "
            "a name may be root in the image"
        )
    uid, gid = int(found[1]), int(found[2] or found[1])
    if uid == 0 or gid == 0:
        raise Refusal("a container never runs as root: choose another user")
    if os.geteuid() not in (0, uid):
        raise Refusal(
            f"only a node of root can run containers as {uid}: leave the user out"
        )
    return uid, gid


def check(spec: LaunchSpec, rules: Rules) -> None:
    """Raises Refusal for what can never start here, before anything is made."""
    wanted = spec.container
    if wanted is None or not wanted.image:
        raise Refusal("no image is named: a container needs one")
    if wanted.pull not in PULLS:
        raise Refusal(f"pull is one of {', '.join(PULLS)}, not {wanted.pull!r}")
    if spec.run_as is not None:
        raise Refusal("run_as is not for containers: give the user of the container")
    if spec.argv and not spec.argv[0]:
        raise Refusal("no program named")
    env = environment(spec)
    if any("\0" in text for text in (*spec.argv, *env, *env.values())):
        raise Refusal("cannot be passed to a program: embedded null byte")
    if any(not name or "=" in name for name in env):
        raise Refusal("cannot be passed to a program: illegal environment variable")
    if wanted.workdir is not None and not wanted.workdir.startswith("/"):
        raise Refusal(f"the workdir of a container begins with /: {wanted.workdir}")
    user_of(spec)
    network_of(spec)
    mounts_of(spec, rules)


def environment(spec: LaunchSpec) -> dict[str, str]:
    """All its variables, the confidential ones too."""
    return {**spec.env, **(spec.given.env if spec.given else {})}


def network_of(spec: LaunchSpec) -> str:
    """The network's name. Raises Refusal for one that is shared with others' runs."""
    assert spec.container is not None
    network = spec.container.network
    if network in ("", "none"):
        return "bridge" if spec.container.ports else "none"
    if network == "host" or not NETWORK.fullmatch(network):
        raise Refusal(
            f"a container has a network of its own: none, bridge, or a network made "
            f"with docker network create, not {network!r}"
        )
    return network


def mounts_of(spec: LaunchSpec, rules: Rules) -> list[Mount]:
    """The mounts asked for. Raises Refusal for what is not under an allowed root."""
    return [_checked(mount, rules) for mount in spec.mounts]


def _checked(mount: base.Mount, rules: Rules) -> Mount:
    source, target = mount.source, os.path.normpath(mount.target)
    if not os.path.isabs(source) or os.path.normpath(source) != source.rstrip("/"):
        raise Refusal(f"a mount needs the plain absolute path of its source: {source}")
    resolved = os.path.realpath(source)
    if resolved != os.path.normpath(source):
        raise Refusal(f"a mount does not follow symbolic links: {source}")
    if not os.path.exists(resolved):
        raise Refusal(f"no such file or folder to mount: {source}")
    if rules.socket and _is_below(os.path.realpath(rules.socket), resolved):
        raise Refusal(f"never mounted, since the engine's socket is in it: {source}")
    roots = [os.path.realpath(root) for root in rules.allowed_roots]
    if not any(_is_below(resolved, root) for root in roots):
        raise Refusal(f"may not be mounted here: {source} (not under an allowed root)")
    taken = target == "/" or _is_below(target, docker_box.INSIDE)
    if not target.startswith("/") or taken:
        raise Refusal(f"nothing can be mounted at {mount.target}")
    return Mount(target, resolved, type="bind", read_only=mount.read_only)


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")


def limits_of(limits: Limits) -> Json:
    """The limits an engine can change later, as its API names them.

    None of a hard cap is said as -1 or as more than any machine has: for the engine a
    0 means "leave it as it is".
    """
    memory = limits.memory_bytes
    memory = 1 << 60 if memory is None else max(memory, LEAST_MEMORY_BYTES)
    cpu = limits.cpu_millis
    quota = -1 if cpu is None else max(cpu * PERIOD_US // 1000, LEAST_QUOTA_US)
    return {
        "Memory": memory,
        "MemorySwap": memory,
        "CpuPeriod": PERIOD_US,
        "CpuQuota": quota,
        "CpuShares": max(limits.cpu_weight_millis * 1024 // 1000, 2),
        "PidsLimit": max(limits.pids, LEAST_PIDS),
    }


def host_config(spec: LaunchSpec, rules: Rules, init: Path, voice: str = "") -> Json:
    """Where it runs and within what. `voice`: the folder of its socket, if it has one.
    Raises Refusal."""
    limits = spec.limits
    caps = limits_of(limits)
    scratch = limits.disk_bytes or SCRATCH_BYTES
    found: Json = {
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "read_only": True,
        "tmpfs": {"/tmp": f"rw,exec,nosuid,nodev,mode=1777,size={scratch}"},
        "ipc_mode": "private",
        "network_mode": network_of(spec),
        "restart_policy": {"Name": "no"},
        "log_config": LogConfig(type="none"),  # the program writes to the run's folder
        "pids_limit": caps["PidsLimit"],
        "cpu_shares": caps["CpuShares"],
        "cpu_period": PERIOD_US,
        "ulimits": [
            Ulimit(name="nofile", soft=limits.open_files, hard=limits.open_files),
            Ulimit(name="core", soft=0, hard=0),
        ],
        "mounts": [*_own_mounts(spec, init, voice), *mounts_of(spec, rules)],
    }
    if limits.memory_bytes is not None:
        found["mem_limit"] = found["memswap_limit"] = caps["Memory"]
    if limits.cpu_millis is not None:
        found["cpu_quota"] = caps["CpuQuota"]
    if spec.gpus:
        found["device_requests"] = [
            DeviceRequest(device_ids=list(spec.gpus), capabilities=[["gpu"]])
        ]
    if spec.container and spec.container.ports:
        found["port_bindings"] = {
            f"{inside}/tcp": (rules.publish_on, outside)
            for inside, outside in spec.container.ports.items()
        }
    return found


def _own_mounts(spec: LaunchSpec, init: Path, voice: str) -> list[Mount]:
    """Of the run's folder the container sees these and nothing else."""
    inside, folder = docker_box.INSIDE, spec.folder

    def mount(name: str, source: Path, *, read_only: bool = False) -> Any:
        target = f"{inside}/{name}"
        return Mount(target, str(source), type="bind", read_only=read_only)

    return [
        mount("init", init, read_only=True),
        mount("status", docker_box.status_path(folder, spec.token)),
        mount("control", docker_box.control_path(folder, spec.token), read_only=True),
        *(mount(name, folder / name) for name in ("out", "err")),
        mount("work", spec.work_folder),
        *([mount("notify", Path(voice), read_only=True)] if voice else []),
    ]


def container_config(spec: LaunchSpec, rules: Rules, command: Sequence[str]) -> Json:
    """What it runs: the init, which runs the command."""
    assert spec.container is not None
    limit_s, grace_s = spec.time_limit_s, max(spec.grace_s, 0.0)
    limit_ms = -1 if limit_s is None else max(int(limit_s * 1000), 0)
    uid, gid = user_of(spec)
    name = f"{spec.uid}/{spec.token}"
    return {
        "image": spec.container.image,
        "entrypoint": [docker_box.INIT, str(limit_ms), str(int(grace_s * 1000))],
        "command": list(command),
        "environment": docker_box.environment(
            environment(spec), spec.work_folder, name
        ),
        "user": f"{uid}:{gid}",
        "working_dir": spec.container.workdir or docker_box.WORK,
        "labels": {NODE: rules.node, UID: spec.uid, TOKEN: str(spec.token)},
        "ports": [(inside, "tcp") for inside in spec.container.ports],
    }
