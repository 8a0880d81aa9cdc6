"""The timeline in several hands: refusals, two browsers, a phone, each kind of rule."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.desk import (
    Desk,
    log_in,
    now,
    register_stamper,
    scheduled,
    seconds_between,
    stamp,
    utc,
)
from tests.live.harness import Product
from tests.waiting import wait_for

QUARTER_S = 900


@pytest.fixture
def blackout(product: Product) -> Iterator[tuple[datetime, datetime]]:
    """Nothing may start from 30 to 40 minutes ahead; what would is skipped."""
    begin = (now() + timedelta(minutes=30)).replace(second=0, microsecond=0)
    end = begin + timedelta(minutes=10)
    body = {
        "name": "quiet time",
        "kind": "blackout",
        "policy": "skip",
        "from": stamp(begin),
        "to": stamp(end),
    }
    made = product.post("windows/", body)
    yield begin, end
    product.api("DELETE", f"windows/{made['id']}/")


def test_a_drop_where_it_may_not_run_is_refused_and_the_nearest_slot_offered(
    desk: Desk, stamps: Path, blackout: tuple[datetime, datetime]
) -> None:
    begin, end = blackout
    schedule, (first, *_) = scheduled(desk, "refused", stamps)
    planned_at = desk.start_of(schedule, first)
    expect(desk.page.locator('[data-window="blackout: quiet time"]')).to_be_visible()

    middle = begin + timedelta(minutes=4)
    ghost = desk.drag(desk.bar(first), seconds_between(planned_at, middle))
    expect(ghost).to_have_attribute("data-verdict", "bad", timeout=5000)
    desk.drop()

    toast = desk.toast("falls into blackout 'quiet time'")
    expect(toast).to_be_visible()
    assert desk.start_of(schedule, first) == planned_at
    toast.get_by_role("button", name=f"Nearest free slot {end:%H:%M}").click()
    desk.decide("Only this run")
    wait_for(lambda: desk.start_of(schedule, first) == end)


def test_two_browsers_see_each_others_drag_and_then_where_it_went(
    desk: Desk, product: Product, browser: Browser, stamps: Path
) -> None:
    schedule, (first, *_) = scheduled(desk, "shared", stamps)
    planned_at = desk.start_of(schedule, first)
    context = browser.new_context(
        viewport={"width": 1280, "height": 800}, timezone_id="UTC", locale="en-GB"
    )
    try:
        other_page = context.new_page()
        log_in(other_page, product)
        other = Desk(other_page, product).open()
        other.look_for("shared")
        expect(other.bar(first)).to_be_visible(timeout=15_000)
        before = other.left_px(other.bar(first))

        desk.drag(desk.bar(first), 120)
        expect(other.page.locator("[data-presence=admin]")).to_contain_text("admin")
        desk.drop()
        desk.decide("Only this run")

        expect(other.page.locator("[data-presence]")).to_have_count(0)
        wait_for(lambda: other.left_px(other.bar(first)) > before + 5, timeout_s=15)
        assert desk.start_of(schedule, first) > planned_at
        assert other.was_not_reloaded()
    finally:
        context.close()


def phone_page(browser: Browser, product: Product) -> Page:
    context = browser.new_context(
        viewport={"width": 390, "height": 844},
        has_touch=True,
        is_mobile=True,
        timezone_id="UTC",
        locale="en-GB",
    )
    page = context.new_page()
    log_in(page, product)
    return page


def test_a_finger_picks_a_run_up_and_moves_it_on_a_phone(
    desk: Desk, product: Product, browser: Browser, stamps: Path
) -> None:
    schedule, (first, *_) = scheduled(desk, "touched", stamps)
    planned_at = desk.start_of(schedule, first)
    page = phone_page(browser, product)
    try:
        phone = Desk(page, product).open("zoom=1h&q=touched")
        bar = phone.bar(first)
        bar.scroll_into_view_if_needed()
        box = bar.bounding_box()
        assert box is not None
        touch = page.context.new_cdp_session(page)
        x, y = box["x"] + 3, box["y"] + box["height"] / 2

        def finger(kind: str, *points: tuple[float, float]) -> None:
            at = [{"x": px, "y": py} for px, py in points]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

        finger("touchStart", (x, y))
        expect(page.locator("[data-verdict]")).to_be_visible()  # after a long press
        for step in range(1, 6):
            finger("touchMove", (x + step * 6, y))
        expect(page.locator("[data-verdict]")).to_have_attribute(
            "data-verdict", "good", timeout=5000
        )
        finger("touchEnd")
        phone.decide("Only this run")
        wait_for(lambda: desk.start_of(schedule, first) > planned_at)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390
    finally:
        page.context.close()


def test_many_runs_are_chosen_by_tapping_on_a_phone(
    desk: Desk, product: Product, browser: Browser, stamps: Path
) -> None:
    _, ids = scheduled(desk, "tapped", stamps)
    page = phone_page(browser, product)
    try:
        phone = Desk(page, product).open("zoom=1h&q=tapped")
        page.get_by_role("button", name="Select").tap()
        phone.bar(ids[0]).scroll_into_view_if_needed()
        phone.bar(ids[0]).tap()
        phone.bar(ids[1]).tap()
        bar = page.get_by_role("toolbar", name="Chosen runs")
        expect(bar).to_contain_text("2 runs chosen")
        bar.get_by_role("button", name="Choose none").tap()
        expect(bar).to_have_count(0)
    finally:
        page.context.close()


SERIES = {
    "sunny": {
        "rule": "sunset",
        "place": {"latitude": 50.1, "longitude": 8.7},
    },
    "spoken": {"rule": "every day at 23:30"},
}


@pytest.mark.parametrize("agent", SERIES)
def test_a_solar_and_a_spoken_rule_are_moved_with_all_their_runs(
    desk: Desk, stamps: Path, agent: str
) -> None:
    register_stamper(desk.product, agent, stamps)
    made = desk.product.post("schedules/", {"agent": agent, **SERIES[agent]})
    due = utc(made["next_due_at"])
    begin = (due - timedelta(hours=2)).isoformat().replace("+00:00", "Z")
    desk.open(f"zoom=6h&at={begin}&q={agent}")
    bar = desk.bars(agent, "planned").first
    expect(bar).to_be_visible(timeout=15_000)
    desk.drag(bar, QUARTER_S / 6)  # six hours are shown: so many pixels are a quarter
    desk.drop()
    desk.decide("All runs")
    after = wait_for(
        lambda: (
            at
            if (at := utc(desk.product.get(f"schedules/{made['id']}/")["next_due_at"]))
            != due
            else None
        )
    )
    assert 600 <= abs(seconds_between(due, after)) <= 1200


def test_a_single_run_is_moved_without_any_question(desk: Desk, stamps: Path) -> None:
    register_stamper(desk.product, "single", stamps)
    at = (now() + timedelta(minutes=25)).replace(second=0, microsecond=0)
    made = desk.product.post("schedules/", {"agent": "single", "run_at": stamp(at)})
    bar = desk.look_for("single").bars("single", "planned").first
    expect(bar).to_be_visible(timeout=15_000)
    desk.drag(bar, 300)
    desk.drop()
    expect(desk.toast("single moved")).to_be_visible()
    expect(desk.page.get_by_role("dialog")).to_have_count(0)
    wait_for(
        lambda: utc(desk.product.get(f"schedules/{made['id']}/")["next_due_at"]) > at
    )
