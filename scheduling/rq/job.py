"""What may travel through RQ: signed JSON, and only our own entry points.

A JSON serializer alone does not stop a forged job from naming any function. So the
payload carries an HMAC over itself, callbacks and dependencies in a job's hash are
ignored, and only functions of `scheduling.rq.jobs` are ever called.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import orjson
from django.conf import settings
from rq.job import Job

ENTRY_POINTS = frozenset(
    {
        "scheduling.rq.jobs.launch_runs",
        "scheduling.rq.jobs.housekeep",
    }
)
MAC_BYTES = 32


class Forged(Exception):
    """The payload was not made by us."""


def _key() -> bytes:
    return hashlib.sha256(b"rq:" + settings.SECRET_KEY.encode()).digest()


class SignedSerializer:
    """HMAC-SHA256 before orjson bytes. `loads` raises Forged on any other bytes."""

    @staticmethod
    def dumps(value: Any) -> bytes:
        body = orjson.dumps(value)
        return hmac.digest(_key(), body, "sha256") + body

    @staticmethod
    def loads(data: bytes) -> Any:
        mac, body = data[:MAC_BYTES], data[MAC_BYTES:]
        if not hmac.compare_digest(mac, hmac.digest(_key(), body, "sha256")):
            raise Forged("the job's signature does not hold")
        return orjson.loads(body)


class SignedJob(Job):  # type: ignore[misc,no-any-unimported]
    """A job whose function is one of ENTRY_POINTS and that has no callbacks."""

    @property
    def func(self) -> Any:
        if self.func_name not in ENTRY_POINTS:
            raise Forged(f"{self.func_name!r} is not an entry point")
        from scheduling.rq import jobs

        return getattr(jobs, self.func_name.rpartition(".")[2])

    def restore(self, raw_data: Any) -> Any:
        """Load what we wrote; whatever could name another function is dropped."""
        kept = {
            name: value
            for name, value in dict(raw_data).items()
            if b"callback" not in _bytes(name) and b"webhook" not in _bytes(name)
        }
        return super().restore(kept)


def _bytes(name: bytes | str) -> bytes:
    return name.encode() if isinstance(name, str) else name
