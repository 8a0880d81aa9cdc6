"""The thread of a node that ships to Loki, while `loki.url` is set."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime

from django.db import DatabaseError, close_old_connections, connection

from agents import live_config
from monitor.loki import Post, Shipper

log = logging.getLogger(__name__)
EVERY_S = 1.0
ANSWER_S = 10.0


class LokiThread:
    def __init__(self, node: str) -> None:
        self.node = node
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, name="loki", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self.stopping.set()
        self.thread.join(2 * EVERY_S)

    def run(self) -> None:
        shipper = Shipper(self.node, poster())
        while not self.stopping.wait(EVERY_S):
            try:
                if url := live_config.current().loki.url:
                    shipper.turn(url, datetime.now(UTC))  # noqa: TID251 - a thread's top
            except (DatabaseError, OSError) as trouble:
                log.warning("Loki is fed later", extra={"why": str(trouble)})
                close_old_connections()
        connection.close()  # this thread's own


def poster() -> Post:
    """Posts JSON over one kept connection."""
    import httpx  # only where it is used: a node without Loki stays small

    client = httpx.Client(timeout=ANSWER_S)
    kind = {"Content-Type": "application/json"}

    def post(url: str, body: bytes) -> int:
        try:
            return client.post(url, content=body, headers=kind).status_code
        except httpx.HTTPError as why:
            raise OSError(f"{type(why).__name__}: {why}") from None

    return post
