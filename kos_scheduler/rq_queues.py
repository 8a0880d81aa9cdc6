"""What django-rq is told of our queues: one for housekeeping, one a node for launches.

Nodes come and go, so the list is read when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

LAUNCH = "launch:"
HOUSEKEEPING = "housekeeping"


class Queues(Mapping[str, dict[str, Any]]):
    """RQ_QUEUES: our names have a configuration; iterates over those that exist."""

    def __init__(self, redis_url: str) -> None:
        self.configuration = {
            "URL": redis_url,
            "SERIALIZER": "scheduling.rq.job.SignedSerializer",
        }

    def __getitem__(self, name: str) -> dict[str, Any]:
        if name != HOUSEKEEPING and not name.startswith(LAUNCH):
            raise KeyError(name)
        return dict(self.configuration)

    def __iter__(self) -> Iterator[str]:
        from agents.models import Node

        yield HOUSEKEEPING
        for name in Node.objects.values_list("name", flat=True):
            yield f"{LAUNCH}{name}"

    def __len__(self) -> int:
        return sum(1 for _ in self)
