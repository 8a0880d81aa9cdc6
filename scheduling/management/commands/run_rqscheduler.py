from __future__ import annotations

import signal
from typing import Any

from django.core.management.base import BaseCommand

from agents import redis
from scheduling.rq.scheduler import PreciseScheduler


class Command(BaseCommand):
    help = "Pass delayed and periodic housekeeping on to the worker when it is due."

    def handle(self, **options: Any) -> None:
        scheduler = PreciseScheduler(redis.connection())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop(scheduler))
        self.stdout.write("rqscheduler is running")
        scheduler.work()
        self.stdout.write("rqscheduler has stopped")


def stop(scheduler: PreciseScheduler) -> None:
    scheduler.stopping = True
