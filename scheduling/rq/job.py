"""What may travel through RQ: signed JSON, and only our own entry points.

A JSON serializer alone does not stop a forged job from naming any function. So the
payload carries an HMAC over itself, callbacks and dependencies in a job's hash are
ignored, and only functions of `scheduling.rq.jobs` are ever called.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import orjson
from django.conf import settings
from rq.exceptions import NoSuchJobError
from rq.job import Job

ENTRY_POINTS = frozenset(
    {
        "scheduling.rq.jobs.launch_runs",
        "scheduling.rq.jobs.look_and_launch",
        "scheduling.rq.jobs.housekeep",
    }
)
MAC_BYTES = 32
CARRIED = "carried-"  # begins the id of a job without a hash


class Forged(Exception):
    """The payload was not made by us."""


@cache
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

    @classmethod
    def fetch(cls, id: str, connection: Any = None, serializer: Any = None) -> Any:
        """The job of this id, from the id itself where it is carried there. One that
        is not ours fails when it is performed, as any other forged job."""
        if not id.startswith(CARRIED):
            return super().fetch(id, connection=connection, serializer=serializer)
        job = cls(id, connection=connection, serializer=serializer)
        job.enqueued_at = job.created_at
        origin, _, text = id.removeprefix(CARRIED).partition("-")
        try:
            job.origin = bytes.fromhex(origin).decode()
            job.data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            job.data = b""
        return job

    @classmethod
    def fetch_many(
        cls, job_ids: Iterable[str], connection: Any, serializer: Any = None
    ) -> list[Any]:
        """As `fetch` for each; None for one that is gone."""
        found = []
        for job_id in job_ids:
            try:
                found.append(cls.fetch(job_id, connection, serializer))
            except NoSuchJobError:
                found.append(None)
        return found

    def restore(self, raw_data: Any) -> Any:
        """Load what we wrote; whatever could name another function is dropped."""
        kept = {
            name: value
            for name, value in dict(raw_data).items()
            if b"callback" not in _bytes(name) and b"webhook" not in _bytes(name)
        }
        return super().restore(kept)


def carried(function: str, args: Sequence[Any], *, origin: str) -> str:
    """The id of a job that is nothing but its id: function and arguments, signed, and
    the name of its queue.

    A worker that has taken it from the queue has it whole, without asking Redis for a
    hash, and a job that is done leaves nothing to delete.
    """
    data = SignedSerializer.dumps((function, None, list(args), {}))
    text = urlsafe_b64encode(data).decode().rstrip("=")
    return f"{CARRIED}{origin.encode().hex()}-{text}"


def _bytes(name: bytes | str) -> bytes:
    return name.encode() if isinstance(name, str) else name
