"""Numbering and sealing the journal: what makes it tell when it was tampered with.

Events get their `seq` here, in the order the sealer saw them committed, and each
batch a Seal: an HMAC over the batch and the seal before it. The last seal, the head,
is also kept in a file outside the database, so that a journal cut short is noticed.
A hash in each row would make every writer wait for the one before; what this costs
instead is that the last second or so is not sealed yet.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings
from django.db import connection, transaction
from django.utils.crypto import salted_hmac

from agents.models import Event, Seal

BATCH = 500  # events of one seal: the write lock is held for a few milliseconds
MOST_BATCHES = 20  # of one call, so that a backlog never keeps the leader busy
LOCK = 5_063_117  # PostgreSQL advisory lock: one sealer at a time
TABLE = Event._meta.db_table
NUMBER = f"""
UPDATE {TABLE} SET seq = fresh.new_seq
FROM (
  SELECT id AS fresh_id, %s + row_number() OVER (ORDER BY id) AS new_seq
  FROM {TABLE} WHERE seq IS NULL ORDER BY id LIMIT %s
) AS fresh
WHERE {TABLE}.id = fresh.fresh_id AND {TABLE}.seq IS NULL
RETURNING {TABLE}.seq, {TABLE}.at, kind, subject, actor, data
"""
READ = f"""
SELECT seq, at, kind, subject, actor, data FROM {TABLE}
WHERE seq BETWEEN %s AND %s ORDER BY seq
"""
Row = tuple[Any, ...]  # seq, at, kind, subject, actor, data as the driver gives them


def sealing_key() -> bytes:
    """The key of this installation's seals, derived from SECRET_KEY."""
    return salted_hmac("agents.sealing", "journal", algorithm="sha256").digest()


def seal_pending(
    now: datetime, key: bytes, check: Callable[[], None] = lambda: None
) -> int:
    """Number and seal what was committed since the last call; how many events.

    Only the leader calls it, and `check` raises when it no longer leads: it is asked
    inside the transaction of every batch. Two at once do no harm: one finds nothing.
    """
    sealed = 0
    for _ in range(MOST_BATCHES):
        count = _seal_batch(now, key, check)
        sealed += count
        if count < BATCH:
            break
    if sealed:
        transaction.on_commit(partial(write_head, head_path()), robust=True)
    return sealed


@transaction.atomic
def _seal_batch(now: datetime, key: bytes, check: Callable[[], None]) -> int:
    check()
    if not Event.objects.filter(seq=None).exists():
        return 0
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        last = Seal.objects.order_by("-last_seq").first()
        begin = last.last_seq if last else 0
        cursor.execute(NUMBER, [begin, BATCH])
        rows = sorted(cursor.fetchall(), key=lambda row: row[0])
    if not rows:
        return 0
    Seal.objects.create(
        first_seq=rows[0][0],
        last_seq=rows[-1][0],
        count=len(rows),
        sealed_at=now,
        mac=mac_of(rows, last.mac if last else "", key),
    )
    return len(rows)


def mac_of(rows: Iterable[Row], before: str, key: bytes) -> str:
    """The seal of these rows after the seal `before` ("" for the first)."""
    mac = hmac.new(key, before.encode() + b"\n", hashlib.sha256)
    mac.update(b"".join(map(canonical, rows)))
    return mac.hexdigest()


def canonical(row: Row) -> bytes:
    """One event as bytes that are the same whichever database gave it."""
    seq, at, kind, subject, actor, data = row
    line = [seq, _canonical_instant(at), kind, subject, actor, _canonical_data(data)]
    return orjson.dumps(line, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def _canonical_instant(at: datetime | str) -> str:
    """Microseconds always there; SQLite gives text and leaves them out when 0."""
    if isinstance(at, str):
        return at if len(at) == len("2027-01-31 09:00:00.000000") else f"{at}.000000"
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def _canonical_data(data: Any) -> Any:
    if not isinstance(data, str):
        return data
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return data  # numbers beyond orjson: sealed as the text that is stored


def read_sealed(first_seq: int, last_seq: int) -> Sequence[Row]:
    """The rows of one seal, as `mac_of` wants them."""
    with connection.cursor() as cursor:
        cursor.execute(READ, [first_seq, last_seq])
        rows: list[Row] = cursor.fetchall()
    return rows


# --- the head, outside the database ------------------------------------------


def head_path() -> Path:
    return Path(settings.VAR) / "audit-head"


def write_head(path: Path) -> None:
    """Keep the last seal in a file only we can read; replaced in one step."""
    last = Seal.objects.order_by("-last_seq").first()
    if last is None:
        return
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(fresh, flags, 0o600)
    try:
        os.write(file, orjson.dumps({"seq": last.last_seq, "mac": last.mac}))
    finally:
        os.close(file)
    fresh.replace(path)


def read_head(path: Path) -> tuple[int, str] | None:
    """(seq, mac) of the head; None when there is no head file or it is damaged."""
    try:
        said = orjson.loads(path.read_bytes())
        return int(said["seq"]), str(said["mac"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
