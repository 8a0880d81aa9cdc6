"""Who leads: one row, the database's clock, and a token that rises when hands change.

A leader that slept past its lease finds the token changed and its writes refused:
each transaction that decides something begins with `check`.
"""

from __future__ import annotations

from django.db import connection, transaction

from agents.errors import ChangedMeanwhile
from scheduling.models import Lease

LEADER = "leader"


class Superseded(ChangedMeanwhile):
    """Somebody else leads now; nothing of this transaction may stand."""


def database_clock() -> str:
    """SQL for "now" in seconds since the epoch, by the database's own clock."""
    if connection.vendor == "sqlite":
        return "(julianday('now') - 2440587.5) * 86400.0"
    return "extract(epoch from clock_timestamp())"


@transaction.atomic
def acquire(
    holder: str, *, ttl_s: float, step_ms: float = 0, name: str = LEADER
) -> int | None:
    """Take or keep the lease. The fencing token, or None while another one leads.

    `step_ms`: how long the holder's last step took, for people to see.
    """
    Lease.objects.get_or_create(name=name, defaults={"holder": ""})
    table, now = Lease._meta.db_table, database_clock()
    with connection.cursor() as cursor:
        cast = "" if connection.vendor == "sqlite" else "::int"
        cursor.execute(
            f"UPDATE {table} SET token = token + (holder <> %s){cast}, holder = %s, "
            f"step_ms = %s, expires_at = {now} + %s "
            f"WHERE name = %s AND (holder = %s OR expires_at < {now}) RETURNING token",
            [holder, holder, step_ms, ttl_s, name, holder],
        )
        row = cursor.fetchone()
    return int(row[0]) if row else None


def check(token: int, name: str = LEADER) -> None:
    """Inside a transaction: raise Superseded unless `token` still leads.

    On PostgreSQL the row is locked against a change of hands until commit; on SQLite
    the IMMEDIATE transaction itself keeps everybody else out.
    """
    lock = "" if connection.vendor == "sqlite" else " FOR SHARE"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT token FROM {Lease._meta.db_table} WHERE name = %s{lock}", [name]
        )
        row = cursor.fetchone()
    if row is None or row[0] != token:
        raise Superseded("another scheduler leads now")


def release(holder: str, name: str = LEADER) -> None:
    """Let the next one lead at once. Silent when somebody else already does."""
    Lease.objects.filter(name=name, holder=holder).update(expires_at=0)


def leader() -> tuple[str, float]:
    """Who holds the lease and how many ms its last step took; ("", 0) without one."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT holder, step_ms FROM {Lease._meta.db_table} "
            f"WHERE name = %s AND expires_at >= {database_clock()}",
            [LEADER],
        )
        row = cursor.fetchone()
    return (str(row[0]), float(row[1])) if row else ("", 0.0)
