"""Which pages and states `make screens` takes pictures of, and how to get there."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Page


@dataclass(frozen=True, slots=True)
class Sights:
    """What there is to look at in a running product."""

    failed: str = ""  # the uid of a run that failed
    running: str = ""  # of one that runs

    def words(self) -> dict[str, str]:
        return {"failed": self.failed, "running": self.running}


@dataclass(frozen=True, slots=True)
class Scene:
    name: str
    path: str
    act: Callable[[Page], object] | None = None
    fleet: bool = True  # with the demo fleet, or on an empty registry
    anonymous: bool = False  # nobody is logged in
    desk_only: bool = False
    extra: bool = False  # only with --all


def open_planned(page: Page) -> None:
    """The drawer of the first planned run of an agent that has several."""
    page.locator('[data-bar][data-state="planned"]').first.click()


def move(page: Page) -> None:
    open_planned(page)
    page.get_by_role("button", name="Move…").click()


def move_repeating(page: Page) -> None:
    move(page)
    at = page.get_by_label(re.compile("^Start"))
    clock = at.input_value()
    at.fill(f"{clock[:11]}23:55:00")
    page.get_by_role("dialog").get_by_role("button", name="Move").click()


def palette(page: Page) -> None:
    page.keyboard.press("Control+k")


def keys(page: Page) -> None:
    page.keyboard.press("?")


def verify(page: Page) -> None:
    page.get_by_role("button", name="Verify the chain").click()


def unfold(page: Page) -> None:
    page.get_by_role("button", name=re.compile("^Details of entry")).first.click()


def compose(page: Page) -> None:
    page.get_by_text("Compose service").click()


def pick_reason(page: Page) -> None:
    page.locator("button.reason").first.click()


SCENES = (
    Scene("first-visit", "/schedule", fleet=False),
    Scene("agents-empty", "/agents", fleet=False, extra=True),
    Scene("runs-empty", "/runs", fleet=False, extra=True),
    Scene("queue-empty", "/queue", fleet=False, extra=True),
    Scene("graph-empty", "/graph", fleet=False, extra=True),
    Scene("schedule", "/schedule?zoom=1h"),
    Scene("schedule-day", "/schedule?view=day"),
    Scene("schedule-week", "/schedule?view=week"),
    Scene("schedule-month", "/schedule?view=month"),
    Scene("schedule-list", "/schedule?view=list"),
    Scene("schedule-year", "/schedule?view=year"),
    Scene("run-drawer", "/schedule?zoom=1h&sel=agent:health_monitor"),
    Scene("planned-drawer", "/schedule?zoom=1h", open_planned, extra=True),
    Scene("move-to", "/schedule?zoom=1h", move, extra=True),
    Scene("move", "/schedule?zoom=1h", move_repeating),
    Scene("new-schedule", "/schedule?zoom=1h&new=schedule&agent=report_daily"),
    Scene("new-schedule-agents", "/schedule?zoom=1h&new=schedule", extra=True),
    Scene("palette", "/schedule?zoom=1h", palette),
    Scene("keys", "/schedule?zoom=1h", keys, desk_only=True, extra=True),
    Scene("agents", "/agents"),
    Scene("agents-table", "/agents?view=table", extra=True),
    Scene("agent-drawer", "/agents?agent=flaky_importer", extra=True),
    Scene("new-agent", "/agents?new=agent&template=weekday"),
    Scene("new-agent-compose", "/agents?new=agent", compose, extra=True),
    Scene("agent", "/agents/flaky_importer"),
    Scene("agent-schedules", "/agents/report_daily?tab=schedules", extra=True),
    Scene("agent-runs", "/agents/flaky_importer?tab=runs", extra=True),
    Scene(
        "agent-configuration", "/agents/flaky_importer?tab=configuration", extra=True
    ),
    Scene("agent-hooks", "/agents/flaky_importer?tab=hooks", extra=True),
    Scene("agent-metrics", "/agents/flaky_importer?tab=metrics", extra=True),
    Scene("agent-logs", "/agents/flaky_importer?tab=logs", extra=True),
    Scene("agent-audit", "/agents/flaky_importer?tab=audit", extra=True),
    Scene("queue", "/queue"),
    Scene("queue-why", "/queue", pick_reason, extra=True),
    Scene("graph", "/graph"),
    Scene("graph-runs", "/graph?show=graphs", extra=True),
    Scene("runs", "/runs"),
    Scene("runs-grid", "/runs?view=grid"),
    Scene("run", "/runs/{failed}"),
    Scene("run-live", "/runs/{running}", extra=True),
    Scene("nodes", "/nodes"),
    Scene("triggers", "/triggers"),
    Scene("triggers-days", "/triggers?show=days", extra=True),
    Scene("triggers-hooks", "/triggers?show=hooks", extra=True),
    Scene("triggers-sensors", "/triggers?show=sensors", extra=True),
    Scene("audit", "/audit"),
    Scene("audit-entry", "/audit", unfold, extra=True),
    Scene("audit-chain", "/audit", verify, extra=True),
    Scene("settings", "/settings"),
    Scene("settings-tokens", "/settings?show=tokens", extra=True),
    Scene("settings-browser", "/settings?show=browser", extra=True),
    Scene("settings-about", "/settings?show=about", extra=True),
    Scene("login", "/login/", anonymous=True),
)
