"""Pre-start hooks hold up their own run and nobody else's."""

from __future__ import annotations

from tests.live.harness import Product
from tests.waiting import wait_for

SLOW = {"when": "pre-start", "run": ["/bin/sleep", "60"], "timeout": 120}


def state(product: Product, uid: str) -> str:
    return str(product.run(uid)["state"])


def test_a_hundred_plain_runs_pass_one_whose_hook_sleeps(product: Product) -> None:
    product.register("prepared", "/bin/true", hooks=[SLOW])
    product.register("plain", "/bin/true")
    (slow,) = product.spawn("prepared")
    wait_for(lambda: state(product, slow) == "starting", timeout_s=20)
    product.spawn("plain", 100)

    def all_done() -> bool:
        done = product.get("runs/?agent=plain&state=succeeded&limit=200")["items"]
        return len(done) == 100

    wait_for(all_done, timeout_s=30)
    assert state(product, slow) == "starting"
    product.post(f"runs/{slow}/stop/", status=200)
    assert product.wait_for_end(slow)["state"] == "cancelled"


def test_a_hook_that_fails_fails_the_run_and_is_named(product: Product) -> None:
    broken = {"when": "pre-start", "run": ["/bin/sh", "-c", "echo no disk >&2; exit 3"]}
    product.register("broken", "/bin/true", hooks=[broken])
    (uid,) = product.spawn("broken")
    ended = product.wait_for_end(uid)
    assert ended["state"] == "failed"
    assert ended["reason"] == "pre-start hook 1 ended with 3: no disk"
