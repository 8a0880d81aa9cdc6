"""Ten thousand runs on the timeline: how soon they are drawn, how smooth they stay."""

from __future__ import annotations

import json
import subprocess
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect

from tests.e2e.desk import log_in, monotonic_s, now, stamp
from tests.live.harness import PYTHON, ROOT, Product, running_product
from tests.waiting import wait_for

FIRST_RENDER_MS = 500
FRAME_P95_MS = 34
UPDATES_PER_S, SECONDS, FRAMES_PER_S = 1000, 5, 40
RUNS, AGENTS = 10_000, 40
LIVE_AT_ONCE = 100

# Notes when the answer of the timeline had arrived and when its first bars were drawn.
WATCH = """
window.drawn = null;
const seen = new MutationObserver(() => {
  if (!document.querySelector('[data-bar]')) return;
  seen.disconnect();
  requestAnimationFrame(() => setTimeout(() => { window.drawn = performance.now(); }));
});
seen.observe(document, { childList: true, subtree: true });
"""
COUNT_FRAMES = """
window.frames_ms = [];
let last = performance.now();
const tick = (at) => {
  window.frames_ms.push(at - last);
  last = at;
  requestAnimationFrame(tick);
};
requestAnimationFrame(tick);
"""


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with running_product(tmp_path_factory.mktemp("kos")) as product:
        subprocess.run(
            [PYTHON, "-m", "tests.e2e.ten_thousand"],
            cwd=ROOT,
            env=product.environment(),
            check=True,
        )
        yield product


def items_of(product: Product) -> int:
    begin = now().timestamp() - 6 * 3600
    window = f"from={stamp(at(begin))}&to={stamp(at(begin + 12 * 3600))}"
    answer = product.get(f"timeline/?{window}&group=agent&max_items=10000")
    return len(answer["items"])


def at(seconds: float) -> Any:
    return now().fromtimestamp(seconds, now().tzinfo)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))]


def test_ten_thousand_runs_are_drawn_within_half_a_second(
    browser: Browser, crowded: Product, report: Callable[[str], None]
) -> None:
    assert items_of(crowded) >= RUNS
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    log_in(page, crowded, "/nodes")
    page.add_init_script(WATCH)
    page.goto(f"{crowded.url}/schedule?zoom=6h")
    drawn = wait_for(lambda: page.evaluate("window.drawn"), timeout_s=30)
    arrived = page.evaluate(
        "performance.getEntriesByType('resource').findLast((it) => "
        "it.name.includes('/timeline/') && it.decodedBodySize > 0 && "
        "it.responseEnd <= window.drawn).responseEnd"
    )
    page.close()
    took_ms = drawn - arrived
    report(f"first render of {RUNS} runs: {took_ms:.0f} ms")
    assert took_ms <= FIRST_RENDER_MS


class Feeder:
    """Stands between page and server on the live feed, and adds frames of its own."""

    def __init__(self, page: Page) -> None:
        self.n = 0
        self.route: WebSocketRoute | None = None
        self.fed = False
        page.route_web_socket("**/ws/live", self.connect)

    def connect(self, route: WebSocketRoute) -> None:
        self.route = route
        server = route.connect_to_server()
        route.on_message(server.send)
        server.on_message(self.pass_on)

    def pass_on(self, text: str | bytes) -> None:
        frame = json.loads(text)
        if self.fed and frame["type"] == "delta":
            return  # the numbers are ours from here on
        self.n = frame.get("n", self.n)
        assert self.route is not None
        self.route.send(text)

    def feed(self, runs: list[dict[str, Any]]) -> None:
        self.fed = True
        self.n += 1
        assert self.route is not None
        self.route.send(json.dumps({"type": "delta", "n": self.n, "runs": runs}))


STATES = ("queued", "admitted", "starting", "running", "succeeded")


class Burst:
    """Runs that begin and end by the hundreds a second, as the scheduler tells them."""

    def __init__(self) -> None:
        self.live: deque[tuple[str, str, str, int]] = deque()
        self.begun = 0

    def updates(self, count: int) -> list[dict[str, Any]]:
        return [self.next(now().isoformat()) for _ in range(count)]

    def next(self, at: str) -> dict[str, Any]:
        """The oldest live run's next state; every fifth time a fresh run."""
        if len(self.live) < LIVE_AT_ONCE:
            self.begun += 1
            agent = f"many_{self.begun % AGENTS:02}"
            self.live.append((uuid4().hex, agent, at, 0))
        uid, agent, due_at, state = self.live.popleft()
        if state + 1 < len(STATES):
            self.live.append((uid, agent, due_at, state + 1))
        told = {"uid": uid, "agent": agent, "state": STATES[state], "at": at}
        began = {"started_at": at} if STATES[state] == "running" else {}
        over = {"ended_at": at} if STATES[state] == "succeeded" else {}
        return {**told, "due_at": due_at, **began, **over}


def test_a_thousand_updates_a_second_leave_the_page_smooth(
    browser: Browser, crowded: Product, report: Callable[[str], None]
) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    feeder = Feeder(page)
    log_in(page, crowded, "/schedule")
    page.goto(f"{crowded.url}/schedule?zoom=6h")
    expect(page.locator("[data-bar]").first).to_be_visible(timeout=20_000)
    wait_for(lambda: feeder.n > 0 or feeder.route is not None)
    burst = Burst()
    page.evaluate(COUNT_FRAMES)
    each, sent, began_s = UPDATES_PER_S // FRAMES_PER_S, 0, monotonic_s()
    for turn in range(SECONDS * FRAMES_PER_S):
        feeder.feed(burst.updates(each))
        sent += each
        ahead_s = began_s + (turn + 1) / FRAMES_PER_S - monotonic_s()
        page.wait_for_timeout(max(ahead_s * 1000, 1))
    frames = page.evaluate("window.frames_ms.slice(2)")
    page.close()
    p95 = percentile(frames, 0.95)
    rate = sent / (sum(frames) / 1000)
    report(f"{rate:.0f} updates/s, {len(frames)} frames, p95 {p95:.1f} ms")
    assert rate >= 0.95 * UPDATES_PER_S
    assert p95 <= FRAME_P95_MS
