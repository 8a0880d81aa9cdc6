"""All of a gang is admitted, or nobody of it: each in a transaction of its own."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from scheduling import grants, lease, limiting
from scheduling.planner.admission import Admit

log = logging.getLogger(__name__)


class Overtaken(Exception):
    """Somebody moved a member since the plan; nothing of the admission stands."""


def admit(
    admissions: Sequence[Admit], *, token: int, actor: str, now: datetime
) -> list[dict[str, Any]]:
    """Admit gangs as planned. Returns the runs that moved.

    Raises lease.Superseded.
    """
    gangs: dict[str, list[Admit]] = defaultdict(list)
    for admission in admissions:
        gangs[admission.run.gang].append(admission)
    moved: list[dict[str, Any]] = []
    for gang, members in gangs.items():
        try:
            moved += _together(members, token=token, actor=actor, now=now)
        except Overtaken:
            log.info("a gang was overtaken", extra={"gang": gang})
    return moved


@transaction.atomic
def _together(
    members: Sequence[Admit], *, token: int, actor: str, now: datetime
) -> list[dict[str, Any]]:
    lease.check(token)
    limiting.spend([member.run for member in members], now=now)
    moved = grants.move(members, actor=actor, now=now)
    if len(moved) < len(members):
        raise Overtaken
    return moved
