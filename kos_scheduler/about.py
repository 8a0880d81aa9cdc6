"""Which version this is, and how the parts of it are, for the page of settings."""

from __future__ import annotations

import platform
import time
import tomllib
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import django
from django.conf import settings
from django.db import connection

from agents import live_config, redis
from agents.http import iso
from agents.models import Event, Node, Seal
from scheduling import lease, mqtt_state
from scheduling.rq import crew

Told = dict[str, Any]
UNSEALED_LATE = timedelta(seconds=15)  # the leader seals once a second


def told(now: datetime, *, whole: bool) -> Told:
    """`whole`: also where things lie on the machine, for who administers it."""
    found: Told = {
        "version": version(),
        "now": iso(now),
        "parts": [web(), scheduler(), nodes(), worker(now), store(), database()],
    }
    found["parts"] += [journal(now), *broker()]
    if whole:
        found["paths"] = {
            "state": str(settings.VAR),
            "configuration": str(settings.KOS_CONFIG_FILE),
        }
    return found


@cache
def version() -> str:
    project = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text())
    return str(project["project"]["version"])


def part(name: str, state: str, text: str) -> Told:
    """`state`: good, warn or bad; `text` says what it is doing, or lacks."""
    return {"name": name, "state": state, "text": text}


def web() -> Told:
    said = f"answers; Python {platform.python_version()}, Django {django.get_version()}"
    return part("Web server", "good", said)


def scheduler() -> Told:
    holder, step_ms = lease.leader()
    if not holder:
        return part("Scheduler", "bad", "nobody leads: nothing new starts")
    return part("Scheduler", "good", f"{holder} leads; last step {step_ms:.1f} ms")


def nodes() -> Told:
    states = list(Node.objects.values_list("name", "state"))
    down = sorted(name for name, state in states if state != "up")
    if not states:
        return part("Nodes", "bad", "no node has joined yet")
    up = f"{len(states) - len(down)} of {len(states)} up"
    state = "good" if not down else "warn" if len(down) < len(states) else "bad"
    return part("Nodes", state, f"{up}; down: {', '.join(down)}" if down else up)


def worker(now: datetime) -> Told:
    try:
        at_work = crew.heard_of(now)
    except redis.RedisError:
        return part("Worker", "bad", "Redis does not answer")
    if not at_work:
        said = "nobody does the housekeeping: deliveries and retention wait"
        return part("Worker", "bad", said)
    return part("Worker", "good", f"{at_work} at work")


def store() -> Told:
    began = time.monotonic()
    try:
        known: Any = redis.connection().info("server")
    except redis.RedisError:
        return part("Valkey", "bad", "does not answer")
    took_ms = (time.monotonic() - began) * 1000
    number = known.get("valkey_version") or known.get("redis_version") or ""
    return part("Valkey", "good", f"{number} answers in {took_ms:.1f} ms")


def database() -> Told:
    return part("Database", "good", f"{connection.vendor} answers")


def journal(now: datetime) -> Told:
    """Sealed once a second; a tail that grows old tells that nobody seals."""
    last = Seal.objects.order_by("-last_seq").first()
    oldest = Event.objects.filter(seq=None).order_by("id").first()
    sealed = f"sealed up to {last.last_seq}" if last else "nothing sealed yet"
    if oldest is not None and now - oldest.at > UNSEALED_LATE:
        return part("Journal", "warn", f"{sealed}; what followed is not sealed")
    return part("Journal", "good", sealed)


def broker() -> list[Told]:
    """MQTT, where one is configured."""
    if not live_config.current().mqtt.url:
        return []
    known = mqtt_state.read()
    if known["connected"]:
        said = f"connected; {known['subscriptions']} subscriptions"
        return [part("MQTT broker", "good", said)]
    return [part("MQTT broker", "bad", str(known["error"] or "not connected"))]
