"""The kinds of schedules there are, by the key that names each in the API.

The only place that lists them.
"""

from __future__ import annotations

from collections.abc import Mapping

from scheduling.kinds import (
    condition,
    cron,
    event,
    interval,
    rrule,
    rule,
    run_at,
    solar,
)
from scheduling.kinds.base import Kind

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        cron.KIND,
        interval.KIND,
        run_at.KIND,
        rrule.KIND,
        rule.KIND,
        solar.KIND,
        condition.KIND,
        event.KIND,
    )
}
NAMES = tuple(KINDS)
