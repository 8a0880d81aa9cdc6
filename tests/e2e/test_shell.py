"""What is on every page: palette, theme, time zone, live badge, log-out, axe."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Page, expect

from tests.e2e.axe import faults_at
from tests.e2e.desk import Desk, log_in
from tests.live.harness import Product

PAGES = ("Schedule", "Agents", "Queue", "Graph", "Runs", "Nodes", "Audit")


def test_every_page_opens_from_the_palette(page: Page) -> None:
    for name in PAGES:
        page.keyboard.press("Control+k")
        page.get_by_role("combobox", name="Command").fill(name)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name=name, level=1)).to_be_visible()
        assert page.url.split("?")[0].endswith(name.lower())


def test_g_and_a_letter_go_to_a_page_and_the_question_mark_shows_the_keys(
    page: Page,
) -> None:
    page.keyboard.press("g")
    page.keyboard.press("q")
    expect(page.get_by_role("heading", name="Queue", level=1)).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()


def test_the_theme_stays_after_a_reload(page: Page) -> None:
    page.get_by_role("button", name="Account and theme").first.click()
    page.get_by_role("button", name="Dark", exact=True).click()
    page.reload()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    scheme = page.evaluate("getComputedStyle(document.documentElement).colorScheme")
    assert scheme == "dark"


def test_a_change_of_zoom_keeps_now_in_sight(desk: Desk, product: Product) -> None:
    product.register("zoomed_at", "/bin/true")
    desk.open("zoom=2w")
    now = desk.page.locator(".now.num")
    for zoom in ("1 d", "3 h", "1 h"):
        desk.page.get_by_text(zoom, exact=True).click()
        expect(now).to_be_in_viewport()


def test_the_time_zone_changes_every_clock(desk: Desk) -> None:
    page = desk.page
    page.get_by_role("button", name="Time zone: UTC").click()
    page.get_by_label("Search time zones").fill("Asia/Tokyo")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Time zone: Asia/Tokyo")).to_be_visible()


def test_the_badge_tells_that_the_server_went_away_and_came_back(
    browser: Browser, product: Product
) -> None:
    page = browser.new_page()
    log_in(page, product)
    badge = page.get_by_role("status").filter(has_text="live").first
    expect(badge).to_be_visible(timeout=15_000)
    product.kill("web")
    expect(page.locator("[data-link=live]")).to_have_count(0, timeout=15_000)
    expect(page.locator("[data-link=live]").first).to_be_attached(timeout=60_000)
    page.close()


def test_logging_out_ends_the_session(page: Page, product: Product) -> None:
    page.get_by_role("button", name="Account and theme").first.click()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login/**")
    page.goto(f"{product.url}/schedule")
    assert "/login/" in page.url


def test_the_address_holds_what_is_seen(desk: Desk) -> None:
    page = desk.page
    page.get_by_text("by priority").click()
    sleeping = page.get_by_role("button", name=re.compile(r"^sleeping \d"))
    sleeping.click()
    assert "group=priority" in page.url
    assert "state=sleeping" in page.url
    page.reload()
    expect(page.get_by_role("radio", name="by priority")).to_be_checked()
    expect(sleeping).to_have_attribute("aria-pressed", "true")


def test_no_page_has_a_serious_fault_of_accessibility(
    screen: Page, product: Product
) -> None:
    paths = [name.lower() for name in PAGES]
    assert [fault for path in paths for fault in faults_at(screen, product, path)] == []
