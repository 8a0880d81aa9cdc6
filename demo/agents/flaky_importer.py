"""Import a batch of orders into a database; now and then a batch is broken.

A broken row ends the first attempt with an error, a broken file ends it by SIGABRT;
the retry sets such rows aside and goes on. A batch counts once however often it runs.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import random
import sqlite3
from pathlib import Path

import run_context

ROWS = 240
PRODUCTS = ("lamp", "chair", "desk", "shelf", "clock", "rug")


def batch(name: str) -> str:
    """The file of this batch, the same for every attempt at it."""
    chance = random.Random(name)
    out = io.StringIO()
    write = csv.writer(out)
    write.writerow(["order", "product", "pieces", "price"])
    broken_row = chance.randrange(ROWS) if chance.random() < 0.3 else -1
    for number in range(ROWS):
        pieces: object = chance.randrange(1, 9)
        if number == broken_row:
            pieces = "n/a"
        price = f"{chance.uniform(5, 900):.2f}"
        write.writerow([number, chance.choice(PRODUCTS), pieces, price])
    return out.getvalue()


def is_unreadable(name: str) -> bool:
    return hashlib.sha256(name.encode()).digest()[0] < 20  # about one in thirteen


def opened(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file, timeout=20)
    database.execute(
        "CREATE TABLE IF NOT EXISTS orders (batch TEXT, number INTEGER, product TEXT,"
        " pieces INTEGER, cents INTEGER, PRIMARY KEY (batch, number))"
    )
    return database


def rows_of(text: str, set_aside: list[str]) -> list[tuple[int, str, int, int]]:
    """The rows as numbers. The first attempt has no patience with a broken one."""
    found = []
    for row in csv.DictReader(io.StringIO(text)):
        try:
            pieces, cents = int(row["pieces"]), round(float(row["price"]) * 100)
        except ValueError:
            print(f"order {row['order']} is broken: {row}", flush=True)
            if run_context.attempt() == 1:
                raise
            set_aside.append(row["order"])
            continue
        found.append((int(row["order"]), row["product"], pieces, cents))
        if len(found) % 60 == 0:
            print(f"{len(found)} of {ROWS} orders read", flush=True)
            run_context.pause(2.5)
    return found


def main() -> None:
    name = run_context.occurrence()
    print(f"batch {name}, attempt {run_context.attempt()}", flush=True)
    if is_unreadable(name) and run_context.attempt() == 1:
        print("the file's header makes no sense; giving up hard", flush=True)
        os.abort()
    set_aside: list[str] = []
    rows = rows_of(batch(name), set_aside)
    database = opened(run_context.shared_folder() / "orders.sqlite3")
    with database:
        database.executemany(
            "INSERT OR IGNORE INTO orders (batch, number, product, pieces, cents)"
            " VALUES (?, ?, ?, ?, ?)",
            [(name, *row) for row in rows],
        )
    total, cents = database.execute(
        "SELECT count(*), sum(pieces * cents) FROM orders"
    ).fetchone()
    database.close()
    run_context.result(
        batch=name,
        imported=len(rows),
        set_aside=set_aside,
        orders_in_all=total,
        turnover=round(cents / 100, 2),
    )


main()
