"""What leaves a run, in the whole product: messages, files, and never its secrets."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.db.receiver import Receiver, receiving
from tests.live.four_environments import in_each
from tests.live.harness import API, Product
from tests.waiting import wait_for

WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VALUE = "sesame-opens-4711"
LEAVES = """
mkdir "$KOS_ARTEFACTS/deep"
printf 'of %s' "$KOS_AGENT_ID" > "$KOS_ARTEFACTS/deep/ü.txt"
ln -s /etc/passwd "$KOS_ARTEFACTS/trap"
"""
TELLS_SCORE = """echo '{"score": 1}' > "$KOS_RESULT" """
TELLS = """
[ "$DB_KEY" = "$(cat "$KOS_SECRETS/file-key")" ] || exit 4
printf 'the key is '; printf %s "$DB_KEY" | cut -c1-6 | tr -d '\\n'
sleep 0.3; printf %s "$DB_KEY" | cut -c7-; echo "again $DB_KEY"
"""


@pytest.fixture(scope="module")
def product(fleet: Product) -> Product:
    return fleet


@pytest.fixture(scope="module", autouse=True)
def configured(product: Product) -> None:
    keys = {
        "results.allow_private_targets": True,
        "results.timeout": 2,
        "results.retries": ["0.5s", "1s", "1s"],
    }
    product.api("PATCH", "config/", keys).expect(200)
    for name, value in (("hook", WHSEC), ("db-key", VALUE), ("file-key", VALUE)):
        answer = product.api("PUT", f"secrets/{name}/", {"value": value})
        assert answer.status == 201, answer


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(Receiver()) as here:
        yield here


def delivery(product: Product, uid: str) -> Any:
    (row,) = product.run(uid)["deliveries"]
    return row


def in_state(product: Product, uid: str, state: str) -> Any:
    """The run's one delivery, once it is in this state."""

    def look() -> Any:
        row = delivery(product, uid)
        return row if row["state"] == state else None

    return wait_for(look, timeout_s=30, every_s=0.1)


def hooked(product: Product, name: str, url: str) -> str:
    product.register(name, "/bin/true", results=[{"webhook": url, "secret": "hook"}])
    (uid,) = product.spawn(name)
    product.wait_for_end(uid)
    return uid


def test_a_webhook_that_fails_twice_arrives_signed_and_told_once(
    product: Product,
    receiver: Receiver,
) -> None:
    receiver.answers = [500, 500]
    uid = hooked(product, "twice", receiver.url)
    row = in_state(product, uid, "delivered")
    assert (row["attempts"], row["detail"]) == (3, "answered 204")
    assert len({post.headers["webhook-id"] for post in receiver.got}) == 1
    assert all(post.is_signed_with(WHSEC) for post in receiver.got)
    assert json.loads(receiver.got[-1].body)["data"]["uid"] == uid


def test_a_worker_killed_in_the_middle_loses_no_result(
    product: Product,
    receiver: Receiver,
) -> None:
    receiver.hold = threading.Event()
    uid = hooked(product, "killed", receiver.url)
    wait_for(lambda: receiver.got, timeout_s=30)
    product.kill("worker")
    receiver.hold.set()
    row = in_state(product, uid, "delivered")
    assert row["attempts"] >= 2
    assert len({post.headers["webhook-id"] for post in receiver.got}) == 1


def test_a_dead_one_is_seen_and_arrives_when_it_is_played_again(
    product: Product,
    receiver: Receiver,
) -> None:
    receiver.answers = [500] * 4
    uid = hooked(product, "dead", receiver.url)
    row = in_state(product, uid, "dead")
    assert [one["id"] for one in product.get("deliveries/?state=dead")["items"]] == [
        row["id"]
    ]
    product.post(f"deliveries/{row['id']}/replay/", status=202)
    in_state(product, uid, "delivered")


def test_what_a_run_leaves_can_be_fetched_from_each_environment(
    product: Product,
) -> None:
    for environment, agent in in_each(
        product, "leaves", LEAVES, artefacts=True
    ).items():
        (uid,) = product.spawn(agent)
        ended = product.wait_for_end(uid, timeout_s=60)
        assert ended["state"] == "succeeded", (environment, ended["reason"])
        found = product.get(f"runs/{uid}/artefacts/")
        assert [one["name"] for one in found["items"]] == ["deep/ü.txt"], environment
        url = f"{product.url}{API}runs/{uid}/artefacts/deep/%C3%BC.txt?download"
        headers = {"Authorization": f"Bearer {product.token()}"}
        got = httpx.get(url, headers=headers)
        assert got.text == f"of {agent}"
        said = "attachment; filename*=utf-8''%C3%BC.txt"
        assert got.headers["content-disposition"] == said


def test_a_secret_reaches_each_environment_and_is_told_nowhere(
    product: Product,
) -> None:
    uses = ["db-key", {"name": "file-key", "as": "file"}]
    stars = "*" * len(VALUE)
    for environment, agent in in_each(product, "tells", TELLS, secrets=uses).items():
        (uid,) = product.spawn(agent)
        ended = product.wait_for_end(uid, timeout_s=60)
        assert ended["state"] == "succeeded", (environment, ended["reason"])
        assert product.output(uid) == f"the key is {stars}\nagain {stars}\n", (
            environment
        )
        wait_for(lambda uid=uid: not secrets_left(product, uid))
    assert {path.name for path in holding(product.var, VALUE)} == {"out"}
    assert VALUE not in product.console


def secrets_left(product: Product, uid: str) -> bool:
    work = product.var / "runs" / uid[:2] / uid / "work"
    return bool(list(work.glob(".secret*")))


def holding(folder: Path, value: str) -> list[Path]:
    """Every file of ours that has the value in it."""
    plain = (p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
    return [path for path in plain if value.encode() in path.read_bytes()]


def test_a_hook_sends_the_result_after_the_steps_before_it(
    product: Product, receiver: Receiver, tmp_path: Path
) -> None:
    mark = tmp_path / "was-there-first"
    tmp_path.chmod(0o777)
    hooks = [
        {"when": "on-shutdown", "run": ["/bin/sh", "-c", f"sleep 0.3; touch {mark}"]},
        {
            "when": "on-shutdown",
            "dispatch": {"webhook": receiver.url, "secret": "hook", "on": "success"},
        },
    ]
    product.register("hooked-result", "/bin/sh", "-c", TELLS_SCORE, hooks=hooks)
    (uid,) = product.spawn("hooked-result")
    wait_for(lambda: product.run(uid)["deliveries"], timeout_s=30)
    assert in_state(product, uid, "delivered")["sink"] == "webhook"
    assert mark.exists()
    (post,) = receiver.got
    assert post.is_signed_with(WHSEC)
    assert json.loads(post.body)["data"]["result"] == {"score": 1}
    steps = {step["name"]: step for step in product.run(uid)["phases"]}
    assert steps["dispatch"]["detail"] == "on its way to a webhook"
