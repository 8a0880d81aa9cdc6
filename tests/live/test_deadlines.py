"""Deadlines in the whole product: alerts, stops, and ends that really are moved."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.live.harness import Product
from tests.waiting import wait_for


def events(product: Product, uid: str) -> list[Any]:
    found = product.get(f"audit/?subject=run:{uid}")["items"]
    return [one for one in found if "deadline" in one["kind"]]


def becomes(product: Product, uid: str, *states: str) -> Any:
    def seen() -> Any:
        run = product.run(uid)
        return run if run["state"] in states else None

    return wait_for(seen, timeout_s=60, every_s=0.1)


def seconds(run: Any) -> float:
    began, ended = (datetime.fromisoformat(run[k]) for k in ("started_at", "ended_at"))
    return (ended - began).total_seconds()


def test_an_agent_at_risk_is_alerted_before_its_deadline_and_stopped_at_it(
    product: Product,
) -> None:
    product.register("slow", "sleep", "120", finish_by="10s", on_missed_finish="stop")
    (uid,) = product.spawn("slow")
    at_risk = wait_for(lambda: product.run(uid)["at_risk"], timeout_s=30, every_s=0.1)
    assert "finish_by" in at_risk
    assert becomes(product, uid, "running")["deadline_missed"] == []
    over = becomes(product, uid, "cancelled")
    assert over["reason"].startswith("deadline: not finished by")
    finish_by = datetime.fromisoformat(over["finish_by_at"])
    late = (datetime.fromisoformat(over["ended_at"]) - finish_by).total_seconds()
    assert 0 <= late < 10
    told = {
        one["kind"]: datetime.fromisoformat(one["at"]) for one in events(product, uid)
    }
    assert told["run.deadline_at_risk"] < finish_by <= told["run.deadline_missed"]
    assert len(events(product, uid)) == 2


def test_the_time_limit_of_a_running_sleep_is_really_moved(product: Product) -> None:
    product.register("naps", "sleep", "9", timeout="6s")
    product.register("sleeps", "sleep", "300", timeout="200s")
    (longer,), (shorter,) = product.spawn("naps"), product.spawn("sleeps")
    for uid in (longer, shorter):
        becomes(product, uid, "running")
    told = product.api("PUT", f"runs/{longer}/deadline/", {"finish_by": "+30s"})
    assert told.expect(200)["deadline_version"] == 1
    path = f"runs/{shorter}/deadline/"
    product.api("PUT", path, {"finish_by": "-190s"}).expect(200)
    ended = becomes(product, shorter, "timed_out", "cancelled", "failed")
    assert (ended["state"], ended["reason"]) == (
        "timed_out",
        "its time limit was reached",
    )
    assert 9 <= seconds(ended) < 25
    done = becomes(product, longer, "succeeded", "timed_out")
    assert done["state"] == "succeeded"
    assert seconds(done) > 8


def test_a_moved_time_limit_survives_the_node_and_its_holder(product: Product) -> None:
    product.register("survives", "sleep", "300", timeout="200s")
    (uid,) = product.spawn("survives")
    becomes(product, uid, "running")
    moved = product.api("PUT", f"runs/{uid}/deadline/", {"finish_by": "-185s"})
    end = datetime.fromisoformat(moved.expect(200)["time_limit_at"])
    product.kill("node")
    over = becomes(product, uid, "timed_out")
    assert abs((datetime.fromisoformat(over["ended_at"]) - end).total_seconds()) < 5
    assert datetime.now(UTC) > end
