from __future__ import annotations

import asyncio
import os
import signal
import socket
from typing import Any

from django.core.management.base import BaseCommand

from scheduling.controller_loop import Controller


class Command(BaseCommand):
    help = "Decide what runs when, until told to stop (SIGTERM or Ctrl-C)."

    def handle(self, **options: Any) -> None:
        asyncio.run(self.lead())

    async def lead(self) -> None:
        controller = Controller(f"{socket.gethostname()}:{os.getpid()}")
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop, controller)
        self.stdout.write("scheduler is running")
        await controller.run()
        self.stdout.write("scheduler has stopped")

    def stop(self, controller: Controller) -> None:
        controller.stopping.set()
        controller.woken.set()
