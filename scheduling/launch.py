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

from agents import live_config, names
from agents.agent_lifecycle_hooks import Hook
from agents.executors.base import Container, LaunchSpec, Limits, Mount
from agents.executors.given import SECRETS
from agents.models import Agent
from agents.secret_store import Missing
from agents.secret_uses import uses_of
from scheduling import confidential, hot_reads, runs
from scheduling.batch_sql import iso
from scheduling.models import Run
from scheduling.run_folders import artefacts_name, folder_of, work_name
from scheduling.run_state import RunState
from scheduling.runs import Step

S = RunState
RUN, AGENT = Run._meta.db_table, Agent._meta.db_table
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
COLUMNS = (
    *("uid", "token", "occurrence_key", "due_at", "version_id"),
    *("attempt", "params", "timeout_s", "parent_id"),
)
BEYOND_ANSWER = COLUMNS[-4:]  # what a move does not tell of a run anyway
STARTS = f"SELECT {', '.join(COLUMNS)} FROM {RUN}"
PARENTS = f"""
SELECT p.id, p.uid, a.agent_id, p.result
FROM {RUN} p JOIN {AGENT} a ON a.id = p.agent_id
"""


@dataclass(frozen=True, slots=True)
class Start:
    """A program to start, and the hooks to go through before it."""

    spec: LaunchSpec
    pre_start: tuple[Hook, ...] = ()
    refused: str = ""  # why it cannot start at all


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
    rows = sorted(moved, key=lambda run: run["id"])
    return started_from(rows, node=node, now=now)


def starts(run_ids: Sequence[int], *, node: str, now: datetime) -> list[Start]:
    """What is to start for each of the runs, oldest first."""
    said, parameter = hot_reads.among("id", run_ids)
    found = hot_reads.rows(f"{STARTS} WHERE {said} ORDER BY id", [parameter])
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in found]
    return started_from(rows, node=node, now=now)


def started_from(
    rows: Sequence[dict[str, Any]], *, node: str, now: datetime
) -> list[Start]:
    """What is to start for rows of COLUMNS, in their order."""
    specs = hot_reads.specs({row["version_id"] for row in rows})
    parents = parents_of({row["parent_id"] for row in rows} - {None})
    for row in rows:
        row["spec"] = specs[row["version_id"]]
        row["parent"] = parents.get(row["parent_id"])
    return [start_of(row, node=node, now=now) for row in rows]


def start_of(row: Mapping[str, Any], *, node: str, now: datetime) -> Start:
    spec = spec_of(row, node=node)
    if not confidential.wants_any(row["spec"]):
        return Start(spec, pre_start_of(row))
    try:
        opened = confidential.opened(row["spec"], row["uid"], now=now)
    except (Missing, OSError) as missing:  # a full disk stops nobody else's start
        return Start(spec, refused=f"cannot start: {missing}")
    container = spec.container
    if container is not None and opened.registry_auth is not None:
        container = replace(container, registry_auth=opened.registry_auth)
    return Start(
        replace(spec, given=opened.given, container=container), pre_start_of(row)
    )


def parents_of(ids: Collection[int]) -> dict[int, tuple[str, str, str | None]]:
    """Run id -> uid, agent and result (JSON) of the runs that caused others."""
    if not ids:
        return {}
    said, parameter = hot_reads.among("p.id", ids)
    found = hot_reads.rows(f"{PARENTS} WHERE {said}", [parameter])
    return {pk: (uid, agent, result) for pk, uid, agent, result in found}


def pre_start_of(row: Mapping[str, Any]) -> tuple[Hook, ...]:
    steps = row["spec"]["hooks"].get("pre_start", ())
    return tuple(Hook(tuple(step["run"]), step["timeout_s"]) for step in steps)


def spec_of(row: Mapping[str, Any], *, node: str) -> LaunchSpec:
    spec, uid = row["spec"], row["uid"]
    return LaunchSpec(
        uid=uid,
        token=row["token"],
        argv=(spec["entry_point"], *spec["args"]),
        folder=folder_of(uid),
        env=environment(row, node),
        limits=limits(spec),
        time_limit_s=time_limit_s(row),
        grace_s=spec["grace_s"],
        run_as=spec["run_as"],
        environment=spec["exec_env"],
        container=container_of(spec),
        mounts=mounts_of(spec),
    )


def container_of(spec: Mapping[str, Any]) -> Container | None:
    """What the definition says of its container; None for other environments."""
    if (docker := spec["docker"]) is None:
        return None
    return Container(
        image=docker["image"],
        pull=docker.get("pull", "missing"),  # not in definitions of before
        network=docker["network"],
        user=docker["user"],
        workdir=docker["workdir"],
    )


def mounts_of(spec: Mapping[str, Any]) -> tuple[Mount, ...]:
    """What a container was given; into a sandbox, the one file that is the program."""
    program = spec["entry_point"]
    if spec["exec_env"] == "sandbox" and names.is_elsewhere(program):
        return (Mount(os.path.realpath(program), program),)
    return tuple(Mount(**mount) for mount in (spec["docker"] or {}).get("mounts", ()))


def environment(row: Mapping[str, Any], node: str) -> dict[str, str]:
    """The program's whole environment: its own variables and ours, nothing inherited
    but the locale and the time zone of the machine."""
    uid, spec = row["uid"], row["spec"]
    work = work_name(uid)
    ours = {
        "KOS_RUN_UID": uid,
        "KOS_OCCURRENCE_ID": row["occurrence_key"],
        "KOS_ATTEMPT": str(row["attempt"]),
        "KOS_TOKEN": str(row["token"]),
        "KOS_AGENT_ID": spec["agent_id"],
        "KOS_NODE": node,
        "KOS_DUE_AT": iso(row["due_at"]) or "",
        "KOS_PARAMS": row["params"],  # JSON, as the database keeps it
        "KOS_RESULT": f"{work}/result.json",
        "KOS_ARTEFACTS": artefacts_name(uid),
    }
    if any(use.form == "file" for use in uses_of(spec)):
        ours["KOS_SECRETS"] = f"{work}/{SECRETS}"
    if row["parent"]:
        ours["KOS_PARENT_UID"], ours["KOS_PARENT_AGENT"], result = row["parent"]
        ours["KOS_PARENT_RESULT"] = result or "null"
    kept = {k: os.environ[k] for k in ("LANG", "LC_ALL", "TZ") if k in os.environ}
    return {"PATH": PATH, "HOME": work, **kept, **spec["env"], **ours}


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
