"""The schedule page as a person uses it: what they see and what their hands do."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.live.harness import PYTHON, Product
from tests.waiting import wait_for

STAMP = "import sys, time; open(sys.argv[1], 'a').write(f'{time.time()}\\n')"
GRIP_PX = 3  # where a bar is taken, from its left edge
LIVE_WAIT_MS = 15_000


def log_in(page: Page, product: Product, path: str = "/schedule") -> None:
    page.goto(f"{product.url}/login/?next={path}")
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(product.admin_password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{product.url}{path}*")


def toast(page: Page, text: str) -> Locator:
    return page.locator(".toast").filter(has_text=text)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text)


def now() -> datetime:
    return datetime.now(UTC)


def next_minute(after: datetime, seconds: int) -> datetime:
    """The first full minute at least so many seconds after an instant."""
    least = after.timestamp() + seconds
    return datetime.fromtimestamp(math.ceil(least / 60) * 60, UTC)


def register_stamper(product: Product, agent_id: str, stamps: Path) -> None:
    """An agent whose runs each leave a line with the instant they began."""
    product.register(agent_id, PYTHON, "-c", STAMP, str(stamps))


def stamped(stamps: Path) -> list[float]:
    lines = stamps.read_text().split() if stamps.exists() else []
    return [float(line) for line in lines]


@dataclass(slots=True)
class Desk:
    page: Page
    product: Product

    def open(self, query: str = "zoom=1h") -> Desk:
        self.page.goto(f"{self.product.url}/schedule?{query}")
        expect(self.page.locator("[data-link=live]").first).to_be_attached(
            timeout=LIVE_WAIT_MS
        )
        self.page.get_by_role("heading", name="Schedule", level=1).wait_for()
        self.page.evaluate("window.notReloaded = true")
        return self

    def look_for(self, text: str) -> Desk:
        """Leave the rows that have this in their names: others may fill the screen."""
        self.page.get_by_role("searchbox", name="Filter the rows").fill(text)
        self.page.wait_for_url(re.compile(f"q={text}"))
        return self

    def was_not_reloaded(self) -> bool:
        return bool(self.page.evaluate("window.notReloaded === true"))

    # -- what stands there -----------------------------------------------------------

    def row(self, title: str) -> Locator:
        return self.page.get_by_role("row").filter(
            has=self.page.locator(f'[data-row="{title}"]')
        )

    def bars(self, title: str, state: str = "") -> Locator:
        wanted = f'[data-state="{state}"]' if state else ""
        return self.row(title).locator(f"[data-bar]{wanted}")

    def bar(self, occurrence: str) -> Locator:
        return self.page.locator(f'[data-bar="{occurrence}"]')

    def left_px(self, bar: Locator) -> float:
        """Where it stands on the canvas, however far that is scrolled."""
        return float(re.sub("px$", "", bar.evaluate("it => it.style.left")))

    def px_per_second(self) -> float:
        """An hour is as wide as the part of the timeline that shows time."""
        labels = self.page.get_by_role("columnheader").first.evaluate(
            "it => it.offsetWidth"
        )
        return (
            self.page.get_by_role("grid").evaluate("it => it.clientWidth") - labels
        ) / 3600

    def planned(self, schedule: str) -> list[dict[str, Any]]:
        """What the server plans of a schedule in the coming hour, in order."""
        begin = now().replace(microsecond=0)
        window = f"from={stamp(begin)}&to={stamp(begin + timedelta(hours=1))}"
        items = self.product.get(f"timeline/?{window}&group=agent")["items"]
        mine = [i for i in items if i["schedule"] == schedule and not i["run"]]
        return sorted(mine, key=lambda i: i["start"])

    def start_of(self, schedule: str, occurrence: str) -> datetime:
        found = [i for i in self.planned(schedule) if i["id"] == occurrence]
        assert found, f"{occurrence} is not planned"
        return utc(found[0]["start"])

    # -- what hands do ---------------------------------------------------------------

    def drag(self, bar: Locator, by_s: float) -> Locator:
        """Take a bar with the mouse and hold it elsewhere; the ghost shows where."""
        bar.scroll_into_view_if_needed()
        box = bar.bounding_box()
        assert box is not None
        x, y = box["x"] + GRIP_PX, box["y"] + box["height"] / 2
        mouse = self.page.mouse
        mouse.move(x, y)
        mouse.down()
        mouse.move(x + by_s * self.px_per_second(), y, steps=12)
        return self.page.locator("[data-verdict]")

    def drop(self) -> None:
        self.page.mouse.up()

    def decide(self, scope: str) -> None:
        """Answer the dialog: which runs are meant."""
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_label(scope).check()
        move = dialog.get_by_role("button", name="Move", exact=True)
        expect(move).to_be_enabled()
        move.click()
        dialog.wait_for(state="detached")

    def toast(self, text: str) -> Locator:
        return toast(self.page, text)

    def run_of(self, occurrence: str, *, timeout_s: float) -> dict[str, Any]:
        """The run that came of an occurrence, once there is one."""
        agent = self.product.get(f"schedules/{occurrence.partition('@')[0]}/")["agent"]

        def look() -> Any:
            runs = self.product.get(f"runs/?agent={agent}&limit=100")["items"]
            return next((r for r in runs if r["occurrence"] == occurrence), None)

        found: dict[str, Any] = wait_for(look, timeout_s=timeout_s, every_s=0.5)
        return found


def stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_between(first: datetime, second: datetime) -> float:
    return (second - first).total_seconds()


def every_ten_minutes(product: Product, agent_id: str) -> str:
    """A schedule whose first firing is minutes away, so that it can be dragged."""
    made = product.post("schedules/", {"agent": agent_id, "interval": 600})
    return str(made["id"])


def scheduled(desk: Desk, agent: str, stamps: Path) -> tuple[str, list[str]]:
    """A stamping agent every ten minutes, alone on the screen: its schedule and its
    next occurrences."""
    register_stamper(desk.product, agent, stamps)
    schedule = every_ten_minutes(desk.product, agent)
    desk.look_for(agent)
    expect(desk.bars(agent, "planned").first).to_be_visible(timeout=LIVE_WAIT_MS)
    return schedule, [item["id"] for item in desk.planned(schedule)]


def monotonic_s() -> float:
    return time.monotonic()
