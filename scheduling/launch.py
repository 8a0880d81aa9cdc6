"""Take admitted runs to their programs: STARTING is committed, then the executor asked.

A node spawns only the runs whose ADMITTED -> STARTING this very call won, with the
token it was given: a job delivered twice, or late after the run went elsewhere, wins
nothing and starts nothing.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import transaction

from agents import agent_lifecycle_hooks, live_config, names
from agents.executors.base import Container, LaunchSpec, Limits, Mount
from agents.executors.given import SECRETS
from agents.models import Agent
from agents.secret_store import Missing
from agents.secret_uses import uses_of
from scheduling import (
    checkpoints,
    confidential,
    given,
    hot_reads,
    phases,
    runs,
    this_node,
)
from scheduling.batch_sql import iso
from scheduling.models import Run
from scheduling.run_folders import artefacts_name, folder_of, work_name
from scheduling.run_state import RunState
from scheduling.runs import Step
from scheduling.surroundings import loaded

S = RunState
RUN, AGENT = Run._meta.db_table, Agent._meta.db_table
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
COLUMNS = (
    *("id", "uid", "token", "occurrence_key", "due_at", "version_id"),
    *("attempt", "params", "timeout_s", "parent_id", "devices", "ports"),
)
BEYOND_ANSWER = COLUMNS[-6:]  # what a move does not tell of a run anyway
STARTS = f"SELECT {', '.join(COLUMNS)} FROM {RUN}"
PARENTS = f"""
SELECT p.id, p.uid, a.agent_id, p.result
FROM {RUN} p JOIN {AGENT} a ON a.id = p.agent_id
"""


@dataclass(frozen=True, slots=True)
class Start:
    """A program to start, and the hooks of its agent."""

    run_id: int
    spec: LaunchSpec
    hooks: Mapping[str, Any]
    is_probed: bool = False  # for readiness or liveness, from its start on
    refused: str = ""  # why it cannot start at all

    @property
    def is_hooked(self) -> bool:
        """Whether something comes before the program."""
        return agent_lifecycle_hooks.PRE in self.hooks


def begin(batch: Sequence[tuple[int, int]], *, node: str, now: datetime) -> list[Start]:
    """Commit STARTING for the runs of the batch that are still ours to start.

    Returns what to start; runs that somebody else moved meanwhile are left out.
    """
    steps = [Step(i, token, also_set={"starting_at": now}) for i, token in batch]
    with transaction.atomic():
        moved = runs.move_many(
            steps,
            before=S.ADMITTED,
            to=S.STARTING,
            actor=f"node:{node}",
            now=now,
            also_answer=BEYOND_ANSWER,
        )
        lay_out(moved, agent_lifecycle_hooks.PRE)
    rows = sorted(moved, key=lambda run: run["id"])
    return started_from(rows, node=node, now=now)


def lay_out(moved: Sequence[Mapping[str, Any]], when: str) -> None:
    """Make the hooks of a phase due for runs that just moved there."""
    specs = hot_reads.specs({run["version_id"] for run in moved})
    hooked = {pk: spec for pk, spec in specs.items() if when in spec["hooks"]}
    if hooked:
        mine = [run for run in moved if run["version_id"] in hooked]
        phases.lay_out([(run["id"], hooked[run["version_id"]]) for run in mine], when)


def starts(
    run_ids: Sequence[int], *, node: str, now: datetime, with_secrets: bool = True
) -> list[Start]:
    """What is to start for each of the runs, oldest first."""
    said, parameter = hot_reads.among("id", run_ids)
    found = hot_reads.rows(f"{STARTS} WHERE {said} ORDER BY id", [parameter])
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in found]
    return started_from(rows, node=node, now=now, with_secrets=with_secrets)


def started_from(
    rows: Sequence[dict[str, Any]],
    *,
    node: str,
    now: datetime,
    with_secrets: bool = True,
) -> list[Start]:
    """What is to start for rows of COLUMNS, in their order."""
    specs = hot_reads.specs({row["version_id"] for row in rows})
    parents = parents_of({row["parent_id"] for row in rows} - {None})
    peers = given.peers_of(
        [s for s in specs.values() if s["depends_on"] or s["requires"]]
    )
    for row in rows:
        row["spec"], row["peers"] = specs[row["version_id"]], peers
        row["parent"] = parents.get(row["parent_id"])
    shared = {version: shared_of(spec, node) for version, spec in specs.items()}
    found = [start_of(row, shared[row["version_id"]]) for row in rows]
    if not with_secrets:
        return found
    told = zip(found, rows, strict=True)
    return [with_its_secrets(start, row, now=now) for start, row in told]


def start_of(row: Mapping[str, Any], shared: Shared) -> Start:
    said = row["spec"]
    start = Start(row["id"], spec_of(row, shared), said["hooks"], is_probed(said))
    return with_its_work(start, row) if shared.saves_work else start


def with_its_work(start: Start, row: Mapping[str, Any]) -> Start:
    """With the folder of its checkpoints, what earlier attempts saved in it."""
    try:
        env = checkpoints.prepare(start.spec, start.run_id, row["attempt"])
    except (OSError, agent_lifecycle_hooks.HookFailed) as failed:
        return replace(start, refused=f"cannot start: {failed}")
    return replace(start, spec=replace(start.spec, env={**start.spec.env, **env}))


def with_its_secrets(start: Start, row: Mapping[str, Any], *, now: datetime) -> Start:
    """With what it is given in confidence, or refused because that is not there."""
    spec, said = start.spec, row["spec"]
    if not confidential.wants_any(said):
        return start
    try:
        opened = confidential.opened(said, row["uid"], now=now)
    except (Missing, OSError) as missing:  # a full disk stops nobody else's start
        return replace(start, refused=f"cannot start: {missing}")
    container = spec.container
    if container is not None and opened.registry_auth is not None:
        container = replace(container, registry_auth=opened.registry_auth)
    return replace(start, spec=replace(spec, given=opened.given, container=container))


def is_probed(spec: Mapping[str, Any]) -> bool:
    return bool(spec.get("readiness") or spec.get("liveness"))


def parents_of(ids: Collection[int]) -> dict[int, tuple[str, str, str | None]]:
    """Run id -> uid, agent and result (JSON) of the runs that caused others."""
    if not ids:
        return {}
    said, parameter = hot_reads.among("p.id", ids)
    found = hot_reads.rows(f"{PARENTS} WHERE {said}", [parameter])
    return {pk: (uid, agent, result) for pk, uid, agent, result in found}


@dataclass(frozen=True, slots=True)
class Shared:
    """What all runs of a version that start together have in common."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    limits: Limits
    mounts: tuple[Mount, ...]
    has_secret_files: bool
    saves_work: bool  # it has a checkpoint hook


def shared_of(spec: Mapping[str, Any], node: str) -> Shared:
    kept = {k: os.environ[k] for k in ("LANG", "LC_ALL", "TZ") if k in os.environ}
    ours = {"KOS_AGENT_ID": spec["agent_id"], "KOS_NODE": node}
    if silence_s := spec.get("watchdog_s"):
        ours["WATCHDOG_USEC"] = str(int(silence_s * 1_000_000))
    return Shared(
        argv=(spec["entry_point"], *spec["args"]),
        env={"PATH": PATH, **kept, **spec["env"], **ours},
        limits=limits(spec),
        mounts=mounts_of(spec),
        has_secret_files=any(use.form == "file" for use in uses_of(spec)),
        saves_work=agent_lifecycle_hooks.CHECKPOINT in spec["hooks"],
    )


def spec_of(row: Mapping[str, Any], shared: Shared) -> LaunchSpec:
    spec, uid = row["spec"], row["uid"]
    return LaunchSpec(
        uid=uid,
        token=row["token"],
        argv=shared.argv,
        folder=folder_of(uid),
        env=environment(row, shared),
        limits=shared.limits,
        time_limit_s=time_limit_s(row),
        grace_s=spec["grace_s"],
        run_as=spec["run_as"],
        environment=spec["exec_env"],
        container=container_of(spec, row["ports"]),
        mounts=shared.mounts,
        gpus=gpus_of(row),
        watchdog_s=spec.get("watchdog_s"),
        watchdog_waits=(spec.get("readiness") or {}).get("by") == "notify",
    )


def gpus_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The devices its engine must open for it. A plain program may open all that its
    user may: the environment tells it which are its own."""
    if row["devices"] is None or row["spec"]["exec_env"] != "docker":
        return ()
    return this_node.devices().passed_on(loaded(row["devices"]))


def container_of(spec: Mapping[str, Any], ports: Any) -> Container | None:
    """What the definition says of its container or sandbox; else None."""
    if (docker := spec["docker"]) is None:
        sandbox = spec.get("sandbox")
        return Container("", network=sandbox["network"]) if sandbox else None
    return Container(
        image=docker["image"],
        pull=docker.get("pull", "missing"),  # not in definitions of before
        network=docker["network"],
        user=docker["user"],
        workdir=docker["workdir"],
        ports=given.published(spec, ports) if ports else {},
    )


def mounts_of(spec: Mapping[str, Any]) -> tuple[Mount, ...]:
    """What a container was given; into a sandbox the one file that is the
    program, too."""
    box = spec["docker"] or spec.get("sandbox") or {}
    found = tuple(Mount(**mount) for mount in box.get("mounts", ()))
    program = spec["entry_point"]
    seen = any(names.is_under(program, (mount.target,)) for mount in found)
    if spec["exec_env"] == "sandbox" and names.is_elsewhere(program) and not seen:
        return (*found, Mount(os.path.realpath(program), program))
    return found


def environment(row: Mapping[str, Any], shared: Shared) -> dict[str, str]:
    """The program's whole environment: its own variables and ours, nothing inherited
    but the locale and the time zone of the machine."""
    uid = row["uid"]
    work = work_name(uid)
    ours = {
        "KOS_RUN_UID": uid,
        "KOS_OCCURRENCE_ID": row["occurrence_key"],
        "KOS_ATTEMPT": str(row["attempt"]),
        "KOS_TOKEN": str(row["token"]),
        "KOS_DUE_AT": iso(row["due_at"]) or "",
        "KOS_PARAMS": row["params"],  # JSON, as the database keeps it
        "KOS_RESULT": f"{work}/result.json",
        "KOS_ARTEFACTS": artefacts_name(uid),
    }
    if shared.has_secret_files:
        ours["KOS_SECRETS"] = f"{work}/{SECRETS}"
    if row["parent"]:
        ours["KOS_PARENT_UID"], ours["KOS_PARENT_AGENT"], result = row["parent"]
        ours["KOS_PARENT_RESULT"] = result or "null"
    ours |= given.variables(row, row["peers"])
    return {"HOME": work, **shared.env, **ours}


def limits(spec: Mapping[str, Any]) -> Limits:
    """Stated needs are hard caps. Assumed ones only weigh: an agent that said nothing
    of its memory is not killed at a number we made up."""
    assumed = spec["assumed"]
    return Limits(
        cpu_millis=None if "cpu" in assumed else spec["cpu_millis"],
        cpu_weight_millis=spec["cpu_millis"],
        memory_bytes=None if "memory" in assumed else spec["memory_bytes"],
        output_bytes=live_config.current().output.max_bytes,
    )


def time_limit_s(row: Mapping[str, Any]) -> float | None:
    """The occurrence's own limit, else the agent's, else the configured default,
    which persistent agents do not have."""
    for stated in (row["timeout_s"], row["spec"]["timeout_s"]):
        if stated is not None:
            return float(stated)
    if row["spec"]["kind"] == "persistent":
        return None
    return float(live_config.current().agent_timeout_default_s)
