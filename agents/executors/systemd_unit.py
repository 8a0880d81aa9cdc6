"""A run as a transient systemd unit: its name, and its properties.

The unit keeps the run's promises without us: caps, time limit, grace, that nothing is
left. At its end it writes a record into the run's folder, because systemd forgets a
unit that ended well; when that cannot be done it stays "failed" and can be asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.executors.base import LaunchSpec, Limits
from agents.executors.given import VARIABLES

Property = tuple[str, str, Any]  # name, D-Bus signature, value

SLICE = "kos.slice"  # all runs of a machine together weigh as much as its services
INFINITY = 2**64 - 1
LEAST_CPU_MILLIS = 100  # less would stall a program that just starts
LEAST_OPEN_FILES = 16
LEAST_STOP_S = 2.0  # of grace as systemd counts it: the record is written in it, too
SECOND_US = 1_000_000
# what systemd would put into a program's environment on its own
SET_BY_SYSTEMD = (
    "CACHE_DIRECTORY",
    "CONFIGURATION_DIRECTORY",
    "CREDENTIALS_DIRECTORY",
    "HOME",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LANG",
    "LANGUAGE",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LOGNAME",
    "LOGS_DIRECTORY",
    "MANAGERPID",
    "MANAGERPIDFDID",
    "MEMORY_PRESSURE_WATCH",
    "MEMORY_PRESSURE_WRITE",
    "NOTIFY_SOCKET",
    "PATH",
    "PIDFILE",
    "RUNTIME_DIRECTORY",
    "SHELL",
    "STATE_DIRECTORY",
    "SYSTEMD_EXEC_PID",
    "TERM",
    "USER",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "XDG_RUNTIME_DIR",
    "XDG_SESSION_CLASS",
    "XDG_SESSION_ID",
    "XDG_SESSION_TYPE",
)
OF_THE_RECORD = frozenset({"SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS"})
# $1 the record, $2.. the counters; the shell's own words only, so it costs one exec
RECORD = """set -e
umask 077
record=$1
shift
{
    echo "$SERVICE_RESULT $EXIT_CODE $EXIT_STATUS"
    for file do
        if [ -r "$file" ]; then
            while read -r line; do
                echo "${file##*/} $line"
            done <"$file"
        fi
    done
    echo whole
} >"$record"
"""


@dataclass(frozen=True, slots=True)
class Launch:
    """All that is needed to start a run as a unit."""

    unit: str
    spec: LaunchSpec
    program: str  # absolute
    user: str | None  # None: whom systemd itself runs as
    counters: Sequence[str]
    inherited: Sequence[str]  # names in the environment systemd would pass on

    @property
    def work(self) -> str:
        return str(self.spec.work_folder)

    @property
    def record(self) -> str:
        return record_path(str(self.spec.folder), self.spec.token)


def record_path(folder: str, token: int) -> str:
    return f"{folder}/exit-{token}"


def unit_name(node: str, uid: str, token: int) -> str:
    """systemd itself refuses a second unit of this name."""
    return f"kos-{node}-{uid}-{token}.service"


def uid_and_token(node: str, unit: str) -> tuple[str, int] | None:
    """Whose unit it is; None when not of this node."""
    found = re.fullmatch(rf"kos-{re.escape(node)}-(.+)-(\d+)\.service", unit)
    return (found[1], int(found[2])) if found else None


def is_unit_of(service: Mapping[str, Any], uid: str, token: int) -> bool:
    """Whether the properties of a service are those of this run's unit."""
    return f"KOS_RUN={uid}/{token}" in service.get("Environment", ())


def properties(launch: Launch) -> list[Property]:
    """Everything systemd is told of the run."""
    spec = launch.spec
    return [
        ("Description", "s", f"kOS run {spec.uid}, attempt {spec.token}"),
        ("Type", "s", "exec"),  # started means: the program itself is running
        ("Slice", "s", SLICE),
        ("WorkingDirectory", "s", launch.work),
        ("StandardOutputFileToAppend", "s", f"{spec.folder}/out"),
        ("StandardErrorFileToAppend", "s", f"{spec.folder}/err"),
        *_commands(launch),
        *_environment(launch),
        *_user(launch),
        *_end(spec),
        *_limits(spec.limits),
    ]


def _commands(launch: Launch) -> list[Property]:
    plain = ["no-env-expand"]
    argv = list(launch.spec.argv)
    shell = ["/bin/sh", "-c", RECORD, "sh", launch.record, *launch.counters]
    given = launch.spec.given.env if launch.spec.given else {}
    if OF_THE_RECORD & (
        launch.spec.env.keys() | given.keys()
    ):  # it would hide systemd's own
        shell = ["/bin/sh", "-c", "exit 1"]  # and so the unit stays, to be asked
    return [
        ("ExecStartEx", "a(sasas)", [[launch.program, argv, plain]]),
        ("ExecStopPostEx", "a(sasas)", [["/bin/sh", shell, plain]]),
        # one that ended is not started again, though its unit is forgotten
        ("Asserts", "a(sbbs)", [["AssertPathExists", False, True, launch.record]]),
        ("CollectMode", "s", "inactive"),  # what failed stays until we have read it
    ]


def _environment(launch: Launch) -> list[Property]:
    """Exactly the spec's and KOS_RUN: what systemd would add is taken out."""
    spec = launch.spec
    env = {**spec.env, "KOS_RUN": f"{spec.uid}/{spec.token}"}
    secret = spec.given.env if spec.given else {}
    added = sorted({*SET_BY_SYSTEMD, *launch.inherited} - env.keys() - secret.keys())
    files = [[f"{launch.work}/{VARIABLES}", False]] if secret else []
    return [
        ("EnvironmentFiles", "a(sb)", files),  # what a unit's properties must not tell
        ("Environment", "as", [f"{name}={value}" for name, value in env.items()]),
        ("UnsetEnvironment", "as", added),
        ("IgnoreSIGPIPE", "b", False),
    ]


def _user(launch: Launch) -> list[Property]:
    if launch.user is None:
        return []
    return [("User", "s", launch.user), ("NoNewPrivileges", "b", True)]


def _end(spec: LaunchSpec) -> list[Property]:
    limit = INFINITY if spec.time_limit_s is None else _us(spec.time_limit_s)
    return [
        ("RuntimeMaxUSec", "t", limit),
        ("TimeoutStopUSec", "t", _us(max(spec.grace_s, LEAST_STOP_S))),
        ("KillMode", "s", "control-group"),
        ("SendSIGKILL", "b", True),
        ("OOMPolicy", "s", "kill"),
    ]


def _limits(limits: Limits) -> list[Property]:
    files = max(limits.open_files, LEAST_OPEN_FILES)
    return [
        ("CPUAccounting", "b", True),
        ("MemoryAccounting", "b", True),
        ("TasksAccounting", "b", True),
        ("IOAccounting", "b", True),
        ("LimitNOFILE", "t", files),
        ("LimitNOFILESoft", "t", files),
        ("LimitCORE", "t", 0),
        ("LimitCORESoft", "t", 0),
        *caps(limits),
    ]


def caps(limits: Limits) -> list[Property]:
    """The limits that systemd can change while the unit runs."""
    memory = limits.memory_bytes or INFINITY
    return [
        ("MemoryMax", "t", memory),
        ("MemorySwapMax", "t", 0 if limits.memory_bytes else INFINITY),
        ("CPUQuotaPerSecUSec", "t", _quota_us(limits.cpu_millis)),
        ("CPUWeight", "t", min(max(limits.cpu_weight_millis // 10, 1), 10_000)),
        ("TasksMax", "t", max(limits.pids, 1)),
    ]


def _quota_us(millis: int | None) -> int:
    """CPU time for each second."""
    return max(millis, LEAST_CPU_MILLIS) * 1000 if millis else INFINITY


def _us(seconds: float) -> int:
    return max(int(seconds * SECOND_US), 1)
