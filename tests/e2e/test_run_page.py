"""A run's own page: what its program says live, its hooks, files and output."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.e2e.desk import LIVE_WAIT_MS, Desk
from tests.live.harness import PYTHON, Product

INDEXES = """
import os, pathlib, socket, time
def say(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])
def wait_for(name):
    while not os.path.exists(name): time.sleep(0.05)
say("READY=1\\nSTATUS=indexing 42 of 100\\nX_KOS_PROGRESS=42%")
print("indexing", flush=True)
wait_for("go")
say("STATUS=writing the report\\nX_KOS_PROGRESS=90%")
folder = pathlib.Path(os.environ["KOS_ARTEFACTS"])
(folder / "report.csv").write_text("a,b\\n1,2\\n")
pathlib.Path(os.environ["KOS_RESULT"]).write_text('{"documents": 100}')
wait_for("end")
"""


def work(product: Product, uid: str) -> Path:
    return product.var / "runs" / uid[:2] / uid / "work"


def test_what_a_program_says_is_seen_while_it_says_it(
    desk: Desk, page: Page, product: Product
) -> None:
    product.register(
        "indexer",
        *(PYTHON, "-c", INDEXES),
        hooks=[{"when": "pre-start", "run": ["/bin/sh", "-c", "echo ready"]}],
        readiness={"notify": True},
        artefacts=True,
    )
    (uid,) = product.spawn("indexer")
    page.goto(f"{product.url}/runs/{uid}")
    progress = page.get_by_role("progressbar", name="Progress of the run")
    expect(page.get_by_text("indexing 42 of 100")).to_be_visible(timeout=LIVE_WAIT_MS)
    expect(progress).to_have_js_property("value", 0.42)
    expect(page.get_by_text("Ready", exact=True)).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="echo ready")).to_be_visible()
    (work(product, uid) / "go").touch()
    expect(page.get_by_text("writing the report")).to_be_visible(timeout=LIVE_WAIT_MS)
    expect(progress).to_have_js_property("value", 0.9)
    (work(product, uid) / "end").touch()
    expect(page.get_by_text('"documents": 100')).to_be_visible(timeout=LIVE_WAIT_MS)
    with page.expect_download() as download:
        page.get_by_role("link", name="report.csv").click()
    assert Path(download.value.path()).read_text() == "a,b\n1,2\n"


def test_a_bar_on_the_timeline_tells_how_far_its_run_is(
    desk: Desk, page: Page, product: Product
) -> None:
    product.register("mapper", *(PYTHON, "-c", INDEXES), artefacts=True)
    (uid,) = product.spawn("mapper")
    bar = desk.look_for("mapper").bar(uid)
    told = re.compile("mapper, running 42 ?%")
    expect(bar).to_have_attribute("aria-label", told, timeout=LIVE_WAIT_MS)
    page.reload()
    expect(bar).to_have_attribute("aria-label", told, timeout=LIVE_WAIT_MS)
    for name in ("go", "end"):
        (work(product, uid) / name).touch()
    product.wait_for_end(uid)


def test_a_crash_loop_is_told_and_ended_from_the_agents_page(
    page: Page, product: Product
) -> None:
    backoff = {"delay": "0.1s", "max_delay": "0.1s", "crash_loop": 2}
    product.register("shaky", "/bin/false", kind="persistent", restart_backoff=backoff)
    product.post("agents/shaky/start/", status=202)
    page.goto(f"{product.url}/agents?agent=shaky")
    again = page.get_by_role("complementary").get_by_role("button", name="Start over")
    expect(again).to_be_visible(timeout=30_000)
    expect(page.get_by_text(re.compile("It ended badly 2 times"))).to_be_visible()
    again.click()
    expect(page.get_by_text("shaky starts over.")).to_be_visible()
