"""From an empty install to "my own agent runs every weekday at nine and I moved
Thursday's run", with the clicks and keystrokes counted against docs/usability.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.desk import LIVE_WAIT_MS, log_in, monotonic_s
from tests.live.harness import ROOT, Product, running_product
from tests.waiting import wait_for

COMMAND = "python3 /srv/agents/mail_triage.py --folder inbox"
ROW = re.compile(r"^\| ([A-Z][^|]+) \| (\d+) \| (\d+) \| [\d.]+ \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with running_product(tmp_path_factory.mktemp("empty")) as product:
        yield product


@dataclass(slots=True)
class Hands:
    """What a person does, counted by step. What is pasted counts as one keystroke."""

    page: Page
    steps: dict[str, list[float]] = field(default_factory=dict)
    since_s: float = field(default_factory=monotonic_s)

    def begin(self, step: str) -> None:
        self.since_s = monotonic_s()
        self.steps[step] = [0, 0, 0]

    def _count(self, clicks: int, keys: int) -> None:
        step = list(self.steps.values())[-1]
        step[0] += clicks
        step[1] += keys
        step[2] = monotonic_s() - self.since_s

    def click(self, what: Locator) -> None:
        what.click()
        self._count(1, 0)

    def type(self, text: str) -> None:
        self.page.keyboard.type(text)
        self._count(0, len(text))

    def paste(self, text: str) -> None:
        self.page.keyboard.insert_text(text)
        self._count(0, 1)

    def press(self, key: str, times: int = 1) -> None:
        for _ in range(times):
            self.page.keyboard.press(key)
        self._count(0, times)

    def sees(self, what: Locator) -> None:
        expect(what).to_be_visible(timeout=LIVE_WAIT_MS)
        self._count(0, 0)


def walk(page: Page, product: Product) -> dict[str, list[float]]:
    hands = Hands(page)
    button = page.get_by_role
    page.goto(product.url)

    hands.begin("Log in")
    hands.type("admin")
    hands.press("Tab")
    hands.paste(product.admin_password)
    hands.press("Enter")
    hands.sees(page.get_by_role("heading", name="No agent yet"))

    hands.begin("Say what to run")
    hands.click(page.get_by_role("link", name="A script every weekday at nine"))
    expect(page.get_by_role("textbox", name="Command")).to_be_focused()
    hands.paste(COMMAND)
    expect(page.get_by_label("Name")).to_have_value("mail_triage")
    hands.click(button("button", name="Save and schedule"))

    hands.begin("Say when")
    expect(page.get_by_role("textbox", name="In words")).to_be_focused()
    hands.sees(page.get_by_text(re.compile("^Every weekday at 09:00")))
    hands.press("Enter")
    hands.sees(page.get_by_role("heading", name="Next runs"))

    hands.begin("Find Thursday's run")
    hands.click(page.get_by_role("button", name=re.compile("^Thu ")))
    hands.sees(page.get_by_role("button", name="Move…"))

    hands.begin("Move it to half past ten")
    hands.click(page.get_by_role("button", name="Move…"))
    expect(page.get_by_label(re.compile("^Start"))).to_be_focused()
    hands.press("Tab", 3)  # over day, month and year
    hands.type("1030")
    hands.press("Enter")
    expect(page.get_by_label("Only this run")).to_be_focused()
    hands.sees(page.get_by_text("Fits: no conflict found."))
    hands.click(page.get_by_role("dialog").get_by_role("button", name="Move"))
    hands.sees(page.locator(".toast").filter(has_text="Undo"))
    return hands.steps


def written() -> dict[str, tuple[int, int]]:
    text = (ROOT / "docs" / "usability.md").read_text()
    return {name: (int(clicks), int(keys)) for name, clicks, keys in ROW.findall(text)}


def test_the_walk_takes_no_more_clicks_and_keys_than_are_written(
    browser: Browser, empty: Product
) -> None:
    context = browser.new_context(
        viewport={"width": 1440, "height": 900}, timezone_id="UTC", locale="en-GB"
    )
    context.set_default_timeout(LIVE_WAIT_MS)
    steps = walk(context.new_page(), empty)
    context.close()

    told = {name: (int(step[0]), int(step[1])) for name, step in steps.items()}
    assert list(told) == list(written())
    over = {name: at for name, at in told.items() if exceeds(at, written()[name])}
    assert over == {}, [(name, *map(round, step)) for name, step in steps.items()]

    [schedule] = empty.get("schedules/?agent=mail_triage")["items"]
    starts = wait_for(lambda: moved_starts(empty, schedule["id"]), timeout_s=10)
    assert starts == ["10:30"]


def exceeds(took: tuple[int, int], most: tuple[int, int]) -> bool:
    return took[0] > most[0] or took[1] > most[1]


def moved_starts(product: Product, schedule: str) -> list[str]:
    """At what time the moved runs of the coming week begin."""
    begin = datetime.now().astimezone().replace(microsecond=0)
    window = f"{begin:%Y-%m-%dT%H:%M:%SZ}&to={begin + timedelta(7):%Y-%m-%dT%H:%M:%SZ}"
    items = product.get(f"timeline/?from={window}&group=agent")["items"]
    moved = [i for i in items if i["schedule"] == schedule and i["moved"]]
    return [i["start"][11:16] for i in moved]


def test_with_reduced_motion_the_schedule_opens_at_now(
    browser: Browser, empty: Product
) -> None:
    context = browser.new_context(reduced_motion="reduce", timezone_id="UTC")
    page = context.new_page()
    if not empty.get("agents/")["items"]:
        empty.register("still", "/bin/true")
    log_in(page, empty)
    expect(page.locator(".now.num")).to_be_in_viewport(timeout=LIVE_WAIT_MS)
    context.close()
