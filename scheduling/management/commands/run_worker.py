from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from rq import SimpleWorker

from agents import redis
from scheduling.conditions.thread import ConditionsThread
from scheduling.rq import queues
from scheduling.rq.job import SignedJob, SignedSerializer


class Command(BaseCommand):
    help = "Do housekeeping and watch sensors and conditions. Never launches agents."

    def handle(self, **options: Any) -> None:
        worker = SimpleWorker(
            [queues.queue(queues.HOUSEKEEPING)],
            connection=redis.blocking_connection(),
            serializer=SignedSerializer,
            job_class=SignedJob,
        )
        sensors = ConditionsThread()
        sensors.start()
        self.stdout.write("worker is running")
        try:
            worker.work(logging_level="WARNING")
        finally:
            sensors.stop()
        self.stdout.write("worker has stopped")
