"""What travels through RQ: only what we signed, only to our own entry points."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from agents import redis
from scheduling import housekeeping, node_process
from scheduling.housekeeping import Chore
from scheduling.rq import jobs, queues
from scheduling.rq.job import Forged, SignedJob, SignedSerializer
from scheduling.rq.scheduler import PreciseScheduler
from scheduling.rq.worker import Launcher


def launcher(name: str = "n1") -> Launcher:
    return Launcher(
        [queues.queue(queues.launch_queue(name))],
        connection=redis.connection(),
        serializer=SignedSerializer,
        job_class=SignedJob,
    )


def work(name: str = "n1") -> None:
    launcher(name).work(burst=True, logging_level="CRITICAL")


class Recorder:
    """Stands where a node's process stands, and remembers what it was asked."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[int, int]]] = []

    def launch(self, batch, *, now) -> None:
        self.batches.append(batch)


@pytest.fixture
def node(monkeypatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(node_process, "_current", recorder)
    return recorder


def test_a_batch_reaches_its_node_and_leaves_nothing_in_redis(node) -> None:
    queues.send_launch("n1", [(1, 7), (2, 9)])
    work()
    assert node.batches == [[(1, 7), (2, 9)]]
    assert not [k for k in redis.connection().keys("rq:job:*")]


def test_a_batch_for_another_node_is_left_alone(node) -> None:
    queues.send_launch("n2", [(1, 7)])
    work("n1")
    assert node.batches == []


def test_a_forged_job_runs_nothing(node, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    forged = Queue(
        queues.launch_queue("n1"),
        connection=redis.connection(),
        serializer=JSONSerializer,
    )
    forged.enqueue_call("os.system", args=(f"touch {proof}",))
    queues.send_launch("n1", [(1, 1)])
    work()
    assert not proof.exists()
    assert node.batches == [[(1, 1)]]  # and the launcher goes on


def test_a_signed_job_of_another_function_is_refused() -> None:
    queue = queues.queue("launch:any")
    job = queue.create_job("os.getcwd")
    with pytest.raises(Forged, match="not an entry point"):
        job.perform()


def test_a_changed_payload_is_noticed() -> None:
    data = SignedSerializer.dumps({"a": 1})
    with pytest.raises(Forged):
        SignedSerializer.loads(data[:-1] + b" ")
    with pytest.raises(Forged):
        SignedSerializer.loads(orjson.dumps({"a": 1}))


def test_callbacks_written_into_a_job_are_dropped() -> None:
    queue = queues.queue("launch:any")
    job = queue.create_job("scheduling.rq.jobs.housekeep", args=("x",))
    job.save()
    redis.connection().hset(job.key, "success_callback_name", "os.getcwd")
    fetched = SignedJob.fetch(
        job.id, connection=redis.connection(), serializer=SignedSerializer
    )
    assert fetched.success_callback is None


@pytest.fixture
def scheduler(monkeypatch) -> PreciseScheduler:
    monkeypatch.setattr(housekeeping, "CHORES", {})
    monkeypatch.setattr("scheduling.rq.scheduler.CHORES", {})
    return PreciseScheduler(redis.connection())


def test_a_delayed_job_is_passed_on_at_its_instant_and_never_before(scheduler) -> None:
    at = datetime.now(UTC) + timedelta(seconds=0.75)
    scheduler.enqueue_at(at, "scheduling.rq.jobs.housekeep", "x")
    queue = queues.queue(queues.HOUSEKEEPING)
    assert scheduler.tick(at.timestamp() - 0.001) == pytest.approx(at.timestamp())
    assert queue.count == 0
    assert scheduler.tick(at.timestamp()) is None
    assert queue.count == 1


def test_an_unreadable_job_does_not_stop_those_behind_it(scheduler) -> None:
    soon = datetime.now(UTC)
    bad = Job.create("os.getcwd", connection=redis.connection(), serializer="json")
    bad.save()
    redis.connection().zadd(scheduler.scheduled_jobs_key, {bad.id: 1.0})
    scheduler.enqueue_at(soon, "scheduling.rq.jobs.housekeep", "x")
    scheduler.tick(soon.timestamp() + 1)
    assert queues.queue(queues.HOUSEKEEPING).count == 1
    assert redis.connection().zscore(scheduler.poison_key, bad.id) is not None


def test_the_lease_of_another_is_neither_taken_nor_released(scheduler) -> None:
    other = PreciseScheduler(redis.connection())
    assert other.acquire_lock()
    assert not scheduler.acquire_lock()
    scheduler.remove_lock()
    assert other.acquire_lock()
    other.remove_lock()
    assert scheduler.acquire_lock()


def test_what_a_dead_scheduler_had_claimed_is_due_again(scheduler) -> None:
    redis.connection().zadd(scheduler.in_flight_key, {"job": 5.0})
    assert scheduler.recover() == 1
    assert redis.connection().zscore(scheduler.scheduled_jobs_key, "job") == 5.0


def test_a_chore_is_entered_again_after_redis_lost_everything(
    scheduler, monkeypatch
) -> None:
    done = []
    chores = {"sweep": Chore(60, done.append)}
    monkeypatch.setattr("scheduling.rq.scheduler.CHORES", chores)
    monkeypatch.setattr(jobs, "CHORES", chores)
    redis.connection().flushdb()
    scheduler.ensure_chores()
    scheduler.tick(time.time() + 61)
    following = redis.connection().zscore(scheduler.scheduled_jobs_key, "every:sweep")
    assert following == pytest.approx(time.time() + 121, abs=5)
    assert queues.queue(queues.HOUSEKEEPING).count == 1
    jobs.housekeep("sweep")
    assert len(done) == 1


def test_a_launch_whose_id_was_tampered_with_starts_nothing(node) -> None:
    queues.send_launch("n1", [(1, 7)])
    connection = redis.connection()
    key = queues.queue(queues.launch_queue("n1")).key
    id = connection.lpop(key)
    connection.rpush(key, id[:-4] + b"AAAA", b"carried-x", b"carried-")
    queues.send_launch("n1", [(2, 9)])
    work()
    assert node.batches == [[(2, 9)]]


def test_looking_at_a_queue_shows_its_launches_and_takes_none_away(node) -> None:
    queues.send_launch("n1", [(1, 7)])
    queue = queues.queue(queues.launch_queue("n1"))
    (job,) = queue.get_jobs()
    assert job.func_name == "scheduling.rq.jobs.launch_runs"
    assert job.args == [[[1, 7]]]
    assert queue.count == 1


def test_what_waits_can_be_looked_at_and_stays(scheduler: PreciseScheduler) -> None:
    later = datetime(2026, 11, 23, 12, tzinfo=UTC)
    job = scheduler.enqueue_at(later, "scheduling.rq.jobs.housekeep", "sweep")
    connection = redis.connection()
    connection.zadd(scheduler.scheduled_jobs_key, {"every:seal": 1.0, "unknown": 2.0})
    shown = list(scheduler.get_jobs(with_times=True))
    assert [list(found.args) for found, _ in shown] == [["seal"], ["sweep"]]
    assert shown[1] == (job, later.replace(tzinfo=None))
    assert connection.zcard(scheduler.scheduled_jobs_key) == 3
