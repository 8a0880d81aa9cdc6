"""Results on their way out: signed, tried again, given up, played again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agents import live_config, redis, secret_store
from agents.errors import Forbidden, Invalid, NotAllowedNow
from agents.models import Event
from scheduling import deliveries, endings, result_dispatcher, runs
from scheduling.endings import Close, seen_of
from scheduling.models import Delivery, Run
from scheduling.rq.due import DUE_KEY
from scheduling.run_folders import artefacts_name
from scheduling.run_state import RunState as S
from tests.conftest import NOON
from tests.db.receiver import Receiver, receiving

pytestmark = pytest.mark.django_db
API = "/api/v1"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SCHEDULE_S = [5, 30, 120]


def set_keys(**keys: Any) -> None:
    found = {f"results.{name}": value for name, value in keys.items()}
    live_config.set_overrides(found, actor="t", now=NOON)
    live_config.forget()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    set_keys(allow_private_targets=True, retries=SCHEDULE_S, timeout=2)
    with receiving(Receiver()) as here:
        yield here


def ended(make_agent: Any, to: S = S.SUCCEEDED, **definition: Any) -> Run:
    """A run of an agent so defined, over."""
    agent = make_agent("worker", **definition)
    run = runs.request_run(agent, actor="t", now=NOON)
    for state in (S.ADMITTED, S.STARTING, S.RUNNING):
        run = runs.move(run, state, actor="t", now=NOON)
    row = Run.objects.values_list(*endings.SEEN).get(pk=run.pk)
    facts = {"ended_at": NOON, "exit_code": 0, "result": {"answer": 42}}
    close = Close(seen_of(row), to, "", facts)
    endings.close_many([close], actor="node:n1", now=NOON)
    run.refresh_from_db()
    return run


def signed_by(receiver: Receiver) -> dict[str, Any]:
    secret_store.put("hook-key", WHSEC, actor="t", now=NOON)
    return {"results": [{"webhook": receiver.url, "secret": "hook-key"}]}


def later(seconds: float) -> Any:
    return NOON + timedelta(seconds=seconds)


def kinds(run: Run) -> list[str]:
    rows = Event.objects.filter(subject=f"run:{run.uid}").order_by("id")
    return [kind for kind in rows.values_list("kind", flat=True)]


def test_a_receiver_that_fails_twice_gets_it_the_third_time(
    make_agent, receiver
) -> None:
    receiver.answers = [500, 503]
    run = ended(make_agent, **signed_by(receiver))
    assert deliveries.deliver_due(NOON) == 1
    assert deliveries.deliver_due(later(4)) == 0, "before its time"
    assert deliveries.deliver_due(later(5)) == 1
    assert deliveries.deliver_due(later(5 + 29)) == 0
    assert deliveries.deliver_due(later(5 + 30)) == 1
    row = Delivery.objects.get()
    assert (row.state, row.attempts, row.detail) == ("delivered", 3, "answered 204")
    assert len({post.headers["webhook-id"] for post in receiver.got}) == 1
    assert all(post.is_signed_with(WHSEC) for post in receiver.got)
    stamps = [int(post.headers["webhook-timestamp"]) for post in receiver.got]
    assert [stamp - stamps[0] for stamp in stamps] == [0, 5, 35]
    assert "delivery.delivered" in kinds(run)


def test_the_message_tells_of_the_run_what_a_receiver_needs(
    make_agent, receiver
) -> None:
    run = ended(make_agent, **signed_by(receiver))
    folder = Path(artefacts_name(run.uid))
    folder.mkdir(parents=True)
    (folder / "report.txt").write_text("done")
    deliveries.deliver_due(NOON)
    message = json.loads(receiver.got[0].body)
    data = message["data"]
    assert message["type"] == "run.succeeded"
    assert message["id"] == receiver.got[0].headers["webhook-id"]
    assert (data["uid"], data["agent"], data["exit_code"]) == (run.uid, "worker", 0)
    assert data["result"] == {"answer": 42}
    assert [(f["name"], f["size"]) for f in data["artefacts"]] == [("report.txt", 4)]


@pytest.mark.parametrize(
    ("on", "to", "count"),
    [
        ("success", S.SUCCEEDED, 1),
        ("success", S.FAILED, 0),
        ("failure", S.TIMED_OUT, 1),
        ("finish", S.FAILED, 1),
        ("finish", S.LOST, 1),
    ],
)
def test_a_place_hears_of_the_ends_it_asked_for(make_agent, on, to, count) -> None:
    ended(make_agent, to, results=[{"stream": "all", "on": on}])
    assert Delivery.objects.count() == count


def test_after_its_last_try_it_is_dead_and_can_be_played_again(
    make_agent, receiver, operator, viewer
) -> None:
    receiver.answers = [500] * (len(SCHEDULE_S) + 1)
    receiver.answer_body = b"no\x00t to\nday"
    run = ended(make_agent, **signed_by(receiver))
    for at in (0, 5, 35, 155, 10_000):
        deliveries.deliver_due(later(at))
    row = viewer.get(f"{API}/deliveries/?state=dead&agent=worker").json()["items"][0]
    assert (row["state"], row["attempts"], row["run"]) == ("dead", 4, run.uid)
    assert row["detail"] == "answered 500: no t to day"
    assert "delivery.dead" in kinds(run)
    replay = f"{API}/deliveries/{row['id']}/replay/"
    assert viewer.post(replay).status_code == 403
    assert operator.post(replay).status_code == 202
    assert operator.post(replay).status_code == 409, "it is pending now"
    deliveries.deliver_due(now=later(10**9))
    assert Delivery.objects.get().state == "delivered"
    assert kinds(run)[-2:] == ["delivery.replayed", "delivery.delivered"]
    assert len({post.headers["webhook-id"] for post in receiver.got}) == 1


def test_a_run_tells_of_its_deliveries_and_shows_nothing_secret(
    make_agent, receiver, viewer
) -> None:
    run = ended(make_agent, **signed_by(receiver))
    (row,) = viewer.get(f"{API}/runs/{run.uid}/").json()["deliveries"]
    assert row["target"] == f"http://127.0.0.1:{receiver.port}/hook?•••"
    assert set(row) == {
        *("id", "sink", "target", "state", "attempts", "next_attempt_at", "detail"),
        "created_at",
    }
    told = json.dumps(list(Event.objects.values("data", "subject")), default=str)
    deliveries.deliver_due(NOON)
    assert "hidden" not in told + json.dumps(list(Event.objects.values("data")))


def test_a_worker_that_died_over_an_attempt_is_followed_by_another(
    make_agent, receiver
) -> None:
    ended(make_agent, **signed_by(receiver))
    assert len(deliveries.take(now=NOON)) == 1  # and is never heard of again
    assert deliveries.deliver_due(later(5.9)) == 0, "the lease is 3 times 2 s"
    assert deliveries.deliver_due(later(6)) == 1
    row = Delivery.objects.get()
    assert (row.state, row.attempts) == ("delivered", 2)


def test_one_that_kills_every_worker_is_given_up(make_agent, receiver) -> None:
    ended(make_agent, **signed_by(receiver))
    for number in range(len(SCHEDULE_S) + 1):
        assert deliveries.take(now=later(number * 6))
    deliveries.deliver_due(later(1000))
    assert (Delivery.objects.get().state, receiver.got) == ("dead", [])


def test_a_late_failure_takes_nothing_from_who_was_faster(make_agent, receiver) -> None:
    ended(make_agent, **signed_by(receiver))
    (slow,) = deliveries.take(now=NOON)
    deliveries.deliver_due(later(6))
    deliveries.settle(slow, deliveries.Outcome("too late"), now=later(7))
    assert Delivery.objects.get().state == "delivered"


def test_a_receiver_that_is_gone_is_not_asked_again(make_agent, receiver) -> None:
    receiver.answers = [410]
    ended(make_agent, **signed_by(receiver))
    deliveries.deliver_due(NOON)
    assert Delivery.objects.get().state == "dead"


def test_a_redirect_is_not_followed(make_agent, receiver) -> None:
    receiver.answers = [302]
    receiver.headers = {"Location": receiver.url}
    ended(make_agent, **signed_by(receiver))
    deliveries.deliver_due(NOON)
    assert "redirect" in Delivery.objects.get().detail
    assert len(receiver.got) == 1


def test_an_endless_answer_is_not_read_to_its_end(make_agent, receiver) -> None:
    receiver.answers = [500]
    receiver.answer_body = b"x" * 50_000_000
    ended(make_agent, **signed_by(receiver))
    deliveries.deliver_due(NOON)
    assert Delivery.objects.get().detail.startswith("answered 500: xxx")


def test_silent_receivers_hold_up_nobody(make_agent, receiver) -> None:
    import threading
    import time

    set_keys(timeout=1)
    receiver.hold = threading.Event()
    silent = [{"webhook": f"{receiver.url}&n={n}"} for n in range(8)]
    ended(make_agent, results=[*silent, {"stream": "all"}])
    began = time.monotonic()
    deliveries.deliver_due(NOON)
    assert time.monotonic() - began < 4
    states = Delivery.objects.values_list("sink", "state", "detail")
    assert ("stream", "delivered") in [row[:2] for row in states]
    assert {d for sink, _, d in states if sink == "webhook"} == {"no answer within 1 s"}


def test_without_its_secret_nothing_is_sent(make_agent, receiver) -> None:
    place = {"webhook": receiver.url, "secret": "forgotten"}
    ended(make_agent, results=[place])
    deliveries.deliver_due(NOON)
    assert Delivery.objects.get().detail == "there is no secret named forgotten"
    assert receiver.got == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "0x7f.1", "2130706433", "[::1]"]
)
def test_this_machine_gets_nothing_unless_that_is_allowed(
    make_agent, receiver, host
) -> None:
    url = receiver.url.replace("127.0.0.1", host)
    ended(make_agent, results=[url])
    set_keys(allow_private_targets=False)
    deliveries.deliver_due(NOON)
    row = Delivery.objects.get()
    assert "results.allow_private_targets" in row.detail
    assert (row.state, receiver.got) == ("pending", [])


def test_an_address_nobody_may_use_is_refused_when_it_is_written(make_agent) -> None:
    for url in ("http://127.0.0.1/", "http://169.254.169.254/latest", "http://[::]/"):
        with pytest.raises(Invalid, match="webhook") as caught:
            make_agent("worker", results=[url])
        assert "results" in caught.value.fields


def test_a_stream_gets_an_entry_and_stays_short(make_agent) -> None:
    set_keys(stream_max_length=10)
    run = ended(make_agent, results=[{"stream": "nightly"}])
    deliveries.deliver_due(NOON)
    ((_, fields),) = redis.connection().xrange("kos:results:nightly")
    assert fields[b"run"] == run.uid.encode()
    assert json.loads(fields[b"body"])["data"]["uid"] == run.uid
    row = Delivery.objects.get()
    for _ in range(300):
        Delivery.objects.update(state="pending", next_attempt_at=NOON, attempts=0)
        deliveries.deliver_due(NOON)
    assert redis.connection().xlen("kos:results:nightly") < 250
    assert row.state == "delivered"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    set_keys(file_roots=[str(tmp_path / "out")], retries=SCHEDULE_S)
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_a_file_is_a_line_a_run_or_the_newest_run(make_agent, root) -> None:
    places = [f"{root}/all.jsonl", f"{root}/deep/down/", f"{root}/newest.json"]
    run = ended(make_agent, results=places)
    deliveries.deliver_due(NOON)
    Delivery.objects.update(state="pending", next_attempt_at=NOON)
    deliveries.deliver_due(NOON)
    lines = (root / "all.jsonl").read_text().splitlines()
    assert len({json.loads(line)["id"] for line in lines}) == 1
    assert len(lines) == 2, "at least once, and told apart by its id"
    for path in (root / "deep/down" / f"{run.uid}.json", root / "newest.json"):
        assert json.loads(path.read_text())["data"]["uid"] == run.uid


def test_a_torn_line_is_ended_before_the_next(make_agent, root) -> None:
    (root / "all.jsonl").write_text('{"torn')
    ended(make_agent, results=[f"{root}/all.jsonl"])
    deliveries.deliver_due(NOON)
    torn, whole = (root / "all.jsonl").read_text().splitlines()
    assert (torn, bool(json.loads(whole))) == ('{"torn', True)


@pytest.mark.parametrize("trap", ["a link", "a linked folder", "a pipe"])
def test_a_file_is_never_written_through_what_lies_there(
    make_agent, root, tmp_path, trap
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "all.jsonl").write_text("")
    path = root / "all.jsonl"
    if trap == "a link":
        path.symlink_to(outside / "all.jsonl")
    elif trap == "a linked folder":
        (root / "in").symlink_to(outside)
        path = root / "in" / "all.jsonl"
    else:
        os.mkfifo(path)
    ended(make_agent, results=[str(path)])
    deliveries.deliver_due(NOON)
    row = Delivery.objects.get()
    assert (row.state, row.detail.startswith("cannot write")) == ("pending", True)
    assert (outside / "all.jsonl").read_text() == ""


def test_a_file_elsewhere_is_refused_when_it_is_written(make_agent, root) -> None:
    for path in ("/etc/cron.d/x", f"{root}x/y", str(root.parent)):
        with pytest.raises(Forbidden, match=r"results\.file_roots"):
            make_agent("worker", results=[path])


def test_an_end_brings_the_worker_at_once(
    make_agent, receiver, django_capture_on_commit_callbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        ended(make_agent, **signed_by(receiver))
    score = redis.connection().zscore(DUE_KEY, "every:deliveries")
    assert score == NOON.timestamp()


def test_a_failed_attempt_brings_the_worker_back_in_time(make_agent, receiver) -> None:
    receiver.answers = [500]
    ended(make_agent, **signed_by(receiver))
    deliveries.deliver_due(NOON)
    score = redis.connection().zscore(DUE_KEY, "every:deliveries")
    assert score == later(5).timestamp()


def test_the_controller_starts_agents_and_leaves_the_rest(make_agent, receiver) -> None:
    make_agent("indexer")
    ended(make_agent, cascades=["indexer"], **signed_by(receiver))
    assert result_dispatcher.deliver_due(now=NOON) == 1
    assert receiver.got == []
    assert deliveries.deliver_due(NOON) == 1


def test_an_agent_is_not_started_twice_by_a_replay(make_agent) -> None:
    make_agent("indexer")
    ended(make_agent, cascades=["indexer"])
    result_dispatcher.deliver_due(now=NOON)
    with pytest.raises(NotAllowedNow):
        deliveries.replay(Delivery.objects.get().pk, actor="t", now=NOON)


@pytest.mark.parametrize(
    "query", ["state=gone", "sink=post", "limit=0", "nonsense=1", "cursor=x"]
)
def test_a_list_of_deliveries_refuses_what_it_does_not_know(viewer, query) -> None:
    assert viewer.get(f"{API}/deliveries/?{query}").status_code == 400


def test_the_admin_page_plays_one_again(
    make_agent, client_of: Callable[[str], Any], receiver
) -> None:
    ended(make_agent, **signed_by(receiver))
    deliveries.deliver_due(NOON)
    data = {"action": "replay", "_selected_action": [Delivery.objects.get().pk]}
    page = "/admin/scheduling/delivery/"
    client_of("admin").post(page, data, format="multipart")
    assert Delivery.objects.get().state == "pending"
