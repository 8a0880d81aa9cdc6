"""The last readings of a sensor, and where word of a new one is given."""

from __future__ import annotations

from agents import redis
from scheduling.sensor_models import Reading

CHANNEL = "kos:sensors"  # a value came by HTTP


def prune(sensor_id: int, keep: int) -> None:
    """Leave the newest `keep` readings of a sensor."""
    mine = Reading.objects.filter(sensor_id=sensor_id)
    ids = mine.order_by("-id").values_list("id", flat=True)
    for first_gone in list(ids[keep : keep + 1]):
        mine.filter(id__lte=first_gone).delete()


def announce(name: str) -> None:
    try:
        redis.connection().publish(CHANNEL, name)
    except redis.RedisError:
        return  # conditions look by themselves within a second
