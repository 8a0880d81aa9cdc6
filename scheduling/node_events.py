"""Nodes that go down or come up fire schedules, in the transaction that says so."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from django.db import InterfaceError, OperationalError, transaction

from scheduling import event_watchers, triggered

log = logging.getLogger(__name__)


def changed(name: str, state: str, *, now: datetime) -> None:
    """`state`: "down" or "up", as it is from now on."""
    for watcher in event_watchers.read("node"):
        wanted = watcher.what
        if state not in wanted["states"] or wanted.get("name", name) != name:
            continue
        stamp = f"{now.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}"
        try:
            with transaction.atomic():
                triggered.fire(
                    watcher.schedule,
                    triggered.key_for("node", name, state, stamp),
                    now=now,
                    params={"event": {"node": name, "state": state}},
                    reason=f"{name} is {state}",
                )
        except (OperationalError, InterfaceError):
            raise
        except Exception:  # poison-row guard: the node's state counts for more
            log.exception("a change of a node fired nothing", extra={"node": name})
