"""The thread of a worker that watches sensors and conditions while there are any.

Until then it costs one small question to the database every few seconds, and nothing
of asyncio, CEL or MQTT is loaded.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from typing import TYPE_CHECKING

from django.db import (
    DatabaseError,
    InterfaceError,
    close_old_connections,
    connection,
)

from scheduling import mqtt_hooks, voice_mqtt

if TYPE_CHECKING:
    from scheduling.conditions.service import Service

log = logging.getLogger(__name__)
LOOK_S = 2.0
STOP_S = 5.0


class ConditionsThread:
    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.service: Service | None = None
        self.thread = threading.Thread(target=self.run, name="sensors", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self.stopping.set()
        if (service := self.service) is not None:
            service.stop()
        self.thread.join(STOP_S)

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                if self.is_wanted():
                    self.watch()
            except (DatabaseError, InterfaceError) as trouble:
                log.warning("sensors are watched later", extra={"why": str(trouble)})
                close_old_connections()
            except Exception:  # the thread outlives whatever is wrong
                log.exception("watching the sensors failed; it begins anew")
            self.stopping.wait(LOOK_S)
        connection.close()  # this thread's own

    def is_wanted(self) -> bool:
        from scheduling.conditions import uses
        from scheduling.sensor_models import Sensor

        voice_mqtt.keep_up()
        return (
            bool(mqtt_hooks.HOOKS)
            or Sensor.objects.exists()
            or uses.conditional().exists()
        )

    def watch(self) -> None:
        import asyncio

        from scheduling.conditions.service import Service

        async def go() -> None:
            service = Service(f"{socket.gethostname()}:{os.getpid()}")
            self.service = service
            if not self.stopping.is_set():
                await service.run()

        try:
            asyncio.run(go())
        finally:
            self.service = None
