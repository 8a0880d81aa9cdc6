"""Bring the order database to its next form, in small steps that can be repeated."""

from __future__ import annotations

import sqlite3

import run_context

BATCH = 500
STEPS = (
    "CREATE TABLE IF NOT EXISTS orders (batch TEXT, number INTEGER, product TEXT,"
    " pieces INTEGER, cents INTEGER, PRIMARY KEY (batch, number))",
    "ALTER TABLE orders ADD COLUMN total_cents INTEGER",
    "CREATE INDEX orders_by_product ON orders (product)",
)


def fill(database: sqlite3.Connection) -> int:
    """Give every order its total, a batch at a time so that nobody waits long."""
    filled = 0
    while True:
        with database:
            changed = database.execute(
                "UPDATE orders SET total_cents = pieces * cents WHERE rowid IN"
                " (SELECT rowid FROM orders WHERE total_cents IS NULL LIMIT ?)",
                (BATCH,),
            ).rowcount
        if not changed:
            return filled
        filled += changed
        print(f"{filled} orders have their total", flush=True)
        run_context.pause(0.3)


def main() -> None:
    file = run_context.shared_folder() / "orders.sqlite3"
    database = sqlite3.connect(file, timeout=20)
    done = database.execute("PRAGMA user_version").fetchone()[0]
    for number, statement in enumerate(STEPS, 1):
        if number <= done:
            print(f"step {number} was done before", flush=True)
            continue
        print(f"step {number}: {statement[:60]} …", flush=True)
        with database:
            database.execute(statement)
            database.execute(f"PRAGMA user_version = {number}")
        run_context.pause(3)
    filled = fill(database)
    wrong = database.execute(
        "SELECT count(*) FROM orders WHERE total_cents IS NOT pieces * cents"
    ).fetchone()[0]
    soundness = database.execute("PRAGMA integrity_check").fetchone()[0]
    database.close()
    if wrong or soundness != "ok":
        raise SystemExit(f"{wrong} wrong totals, integrity: {soundness}")
    run_context.result(from_version=done, to_version=len(STEPS), filled=filled)


main()
