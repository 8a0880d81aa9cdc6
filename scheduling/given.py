"""What a run is told of its place: its GPUs, its ports, and where its peers are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from agents import requirements
from agents.models import Agent, Node
from scheduling import hot_reads, this_node
from scheduling.live_runs import began_sql
from scheduling.models import Run
from scheduling.surroundings import loaded

RUN, NODE, AGENT = Run._meta.db_table, Node._meta.db_table, Agent._meta.db_table
SERVING = f"""
SELECT a.agent_id, r.uid, n.name, n.address, r.ports, r.version_id,
       r.ready_at IS NOT NULL, r.state IN ('running', 'suspended')
FROM {RUN} r JOIN {NODE} n ON n.id = r.node_id JOIN {AGENT} a ON a.id = r.agent_id
WHERE {began_sql("r")} AND r.ports IS NOT NULL AND
"""


def variables(row: Mapping[str, Any], peers: Mapping[str, str]) -> dict[str, str]:
    """For a run with `devices`, `ports` (as a cursor gives them) and `spec`. `peers`:
    those of every run started with it."""
    devices, spec = this_node.devices(), row["spec"]
    found: dict[str, str] = {}
    if row["devices"] or devices.any:
        found |= of_devices(loaded(row["devices"]) or ())
    if row["ports"]:
        found |= of_ports(inside(spec, loaded(row["ports"])))
    if peers:
        mine = [
            f"KOS_PEER_{requirements.slug(a)}_" for a in requirements.agents_of(spec)
        ]
        found |= {k: v for k, v in peers.items() if k.startswith(tuple(mine))}
    return found


def of_devices(ids: Sequence[str]) -> dict[str, str]:
    """A run without a GPU sees none, where there are some."""
    listed = ",".join(ids)
    return {
        "CUDA_VISIBLE_DEVICES": listed,
        "NVIDIA_VISIBLE_DEVICES": listed or "void",
        "KOS_GPUS": listed,
    }


def of_ports(ports: Mapping[str, int]) -> dict[str, str]:
    found = {f"KOS_PORT_{requirements.slug(name)}": str(n) for name, n in ports.items()}
    if len(ports) == 1:
        found["PORT"] = str(next(iter(ports.values())))
    return found


def inside(spec: Mapping[str, Any], ports: Mapping[str, int]) -> dict[str, int]:
    """The ports the program itself listens on: a single one of a container is its
    own, whatever it was given outside."""
    if spec["exec_env"] != "docker":
        return dict(ports)
    ends = spec.get("ports") or {}
    return {
        name: ends[name][0] if ends[name][0] == ends[name][1] != 0 else outside
        for name, outside in ports.items()
    }


def published(spec: Mapping[str, Any], ports: Any) -> dict[int, int]:
    """Port inside a container -> port on the machine."""
    given = loaded(ports) or {}
    own = inside(spec, given)
    return {own[name]: outside for name, outside in given.items()}


# -- peers -----------------------------------------------------------------------------


def endpoints(agents: Collection[str]) -> list[dict[str, Any]]:
    """Where live runs of these agents serve: each port of each, oldest run first."""
    if not agents:
        return []
    said, parameter = hot_reads.among("a.agent_id", agents)
    rows = hot_reads.rows(f"{SERVING} {said} ORDER BY r.id", [parameter])
    specs = hot_reads.specs({row[5] for row in rows})
    return [
        {
            "agent": agent,
            "run": uid,
            "node": node,
            "name": name,
            "host": address,
            "port": port,
            "ready": bool(ready or (up and not specs[version].get("readiness"))),
        }
        for agent, uid, node, address, ports, version, ready, up in rows
        for name, port in loaded(ports).items()
    ]


def peers_of(specs: Collection[Mapping[str, Any]]) -> dict[str, str]:
    """KOS_PEER_… of all agents that these wait for: of each the oldest ready run."""
    wanted = {name for spec in specs for name in requirements.agents_of(spec)}
    found: dict[str, str] = {}
    for one in endpoints(wanted):
        if one["ready"]:
            variable = requirements.peer_variable(one["agent"], one["name"])
            host = f"[{one['host']}]" if ":" in one["host"] else one["host"]
            found.setdefault(variable, f"{host}:{one['port']}")
    return found
