"""What a sink is told of a run that ended: one JSON object, bounded."""

from __future__ import annotations

from typing import Any

import orjson

from agents.config_sections import Artefacts
from agents.http import iso
from scheduling import artefacts
from scheduling.gangs import occurrence_of
from scheduling.models import Run

MOST_ARTEFACTS = 100  # named in a message; all of them stand at runs/{uid}/artefacts/
INSTANTS = ("due_at", "queued_at", "started_at", "ended_at")
PLAIN = (
    *("uid", "state", "exit_code", "signal", "reason", "oom_killed", "attempt"),
    *("cpu_seconds", "peak_memory_bytes", "result"),
)


def body_of(run: Run, message_id: str, limits: Artefacts) -> bytes:
    """The message as Standard Webhooks shapes it: type, timestamp, data."""
    message = {
        "type": f"run.{run.state}",
        "timestamp": iso(run.ended_at),
        "id": message_id,
        "data": data_of(run, limits),
    }
    return orjson.dumps(message)


def data_of(run: Run, limits: Artefacts) -> dict[str, Any]:
    left = artefacts.listing(run.uid, limits)
    some = [item.told() for item in left.items[:MOST_ARTEFACTS]]
    cut = left.cut
    if len(left.items) > MOST_ARTEFACTS:
        cut = f"{len(left.items)} files, of which {MOST_ARTEFACTS} are named here"
    return {
        **{name: getattr(run, name) for name in PLAIN},
        **{name: iso(getattr(run, name)) for name in INSTANTS},
        "agent": run.agent.agent_id,
        "version": run.version.number,
        "occurrence": occurrence_of(run.occurrence_key)
        if "@" in run.occurrence_key
        else None,
        "artefacts": some,
        "artefacts_cut": cut,
    }
