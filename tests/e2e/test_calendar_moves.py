"""In the calendar's grids: which runs a drag moves, keys over pages, picking a place, a
finger, what is refused; and views that are kept under a name."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.axe import faults_here
from tests.e2e.desk import Desk, seconds_between, stamp, utc
from tests.e2e.test_calendar_views import (
    DAY,
    LOAD_MS,
    drag_hours,
    hand,
    in_two_days,
    item,
    show,
    starts,
    tomorrow,
    views,
)
from tests.live.harness import Product

__all__ = ["hand", "views"]


@pytest.fixture(scope="module")
def fleet(product: Product) -> dict[str, str]:
    """Agents that run at ten each day: schedule ids by agent."""
    found = {}
    for agent in (
        "cal_mv_all",
        "cal_mv_day",
        "cal_mv_week",
        "cal_mv_touch",
        "cal_mv_pick",
    ):
        product.register(agent, "/bin/true")
        body = {"agent": agent, "cron": "0 10 * * *", "timezone": "UTC"}
        found[agent] = product.post("schedules/", body)["id"]
    return found


@pytest.mark.parametrize("scope", ["This and following", "All runs"])
def test_a_drag_in_the_week_moves_the_runs_that_are_meant(
    views: Desk, product: Product, fleet: dict[str, str], scope: str
) -> None:
    schedule = fleet["cal_mv_all"]
    root = show(views, "week", date=in_two_days(), q="cal_mv_all")
    bar = item(root, schedule, in_two_days())
    expect(bar).to_be_visible(timeout=LOAD_MS)
    occurrence = bar.get_attribute("data-bar") or ""
    before = starts(product, schedule, occurrence)
    drag_hours(views.page, bar, 2)
    expect(views.page.locator("[data-verdict=good]")).to_be_visible(timeout=5000)
    views.drop()
    views.decide(scope)
    expect(views.toast("cal_mv_all moved")).to_be_visible()
    following = later_starts(product, "cal_mv_all", before)
    hours = {f"{one:%H:%M}" for one in following}
    assert len(hours) == 1
    assert f"{before:%H:%M}" not in hours
    views.page.keyboard.press("Control+z")
    expect(bar).to_have_accessible_name(re.compile("10:00"), timeout=LOAD_MS)


def later_starts(product: Product, agent: str, after: Any) -> list[Any]:
    window = f"from={stamp(after - timedelta(hours=1))}&to={stamp(after + 4 * DAY)}"
    items = product.get(f"timeline/grid/?{window}&q={agent}&singly=24")["items"]
    return [utc(i["start"]) for i in items if i["agent"] == agent]


def test_a_run_is_moved_a_day_and_turns_the_page_by_keyboard_alone(
    views: Desk, product: Product, fleet: dict[str, str]
) -> None:
    schedule, page = fleet["cal_mv_day"], views.page
    root = show(views, "day", date=in_two_days(), q="cal_mv_day")
    bar = item(root, schedule, in_two_days())
    expect(bar).to_be_visible(timeout=LOAD_MS)
    occurrence = bar.get_attribute("data-bar") or ""
    before = starts(product, schedule, occurrence)
    bar.focus()
    page.keyboard.press("Alt+ArrowRight")
    page.keyboard.press("Alt+ArrowDown")
    expect(page).to_have_url(re.compile(str((before + DAY).date())))
    spoken = page.locator("[aria-live=assertive]")
    expect(spoken).to_contain_text("Possible", timeout=5000)
    page.keyboard.press("Enter")
    views.decide("Only this run")
    expect(views.toast("cal_mv_day moved")).to_be_visible()
    moved = starts(product, schedule, occurrence)
    assert seconds_between(before, moved) == 86_400 + 900


def test_a_place_that_is_barred_refuses_the_drop_and_offers_the_nearest(
    views: Desk, product: Product, fleet: dict[str, str]
) -> None:
    root = show(views, "week", date=tomorrow(), q="cal_mv_week")
    bar = item(root, fleet["cal_mv_week"], tomorrow())
    expect(bar).to_be_visible(timeout=LOAD_MS)
    bar.focus()
    for _ in range(2):  # the day before yesterday's morning, seen from tomorrow
        views.page.keyboard.press("Alt+ArrowLeft")
    expect(views.page.locator("[data-verdict=bad], [data-carrying]")).to_be_visible()
    views.page.keyboard.press("Enter")
    expect(views.toast("cal_mv_week stays where it was")).to_be_visible(timeout=5000)


def test_a_run_is_picked_with_a_click_and_put_with_another(
    views: Desk, product: Product, fleet: dict[str, str]
) -> None:
    schedule, page = fleet["cal_mv_pick"], views.page
    root = show(views, "day", date=in_two_days(), q="cal_mv_pick")
    bar = item(root, schedule, in_two_days())
    expect(bar).to_be_visible(timeout=LOAD_MS)
    occurrence = bar.get_attribute("data-bar") or ""
    before = starts(product, schedule, occurrence)
    bar.click()
    page.get_by_role("button", name="Pick a place").click()
    expect(page.locator("[data-carrying=pick]")).to_be_visible()
    box = bar.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 40, box["y"] + 4 * 24)  # two hours below
    views.decide("Only this run")
    expect(views.toast("cal_mv_pick moved")).to_be_visible()
    moved = starts(product, schedule, occurrence)
    assert abs(seconds_between(before, moved) - 7200) <= 900


def test_on_a_phone_a_finger_that_rests_on_a_run_carries_it(
    hand: Page, product: Product, fleet: dict[str, str]
) -> None:
    schedule, desk = fleet["cal_mv_touch"], Desk(hand, product)
    root = show(desk, "day", date=in_two_days(), q="cal_mv_touch")
    bar = item(root, schedule, in_two_days())
    expect(bar).to_be_visible(timeout=LOAD_MS)
    occurrence = bar.get_attribute("data-bar") or ""
    before = starts(product, schedule, occurrence)
    box = bar.bounding_box()
    assert box is not None
    x, y = box["x"] + 60, box["y"] + 8
    touch = hand.context.new_cdp_session(hand)

    def finger(kind: str, *points: dict[str, float]) -> None:
        said = {"type": kind, "touchPoints": list(points)}
        touch.send("Input.dispatchTouchEvent", said)

    finger("touchStart", {"x": x, "y": y})
    expect(hand.locator("[data-verdict]")).to_be_visible(timeout=5000)
    for step in range(1, 9):
        finger("touchMove", {"x": x, "y": y + step * 6})
    expect(hand.locator("[data-verdict=good]")).to_be_visible(timeout=5000)
    finger("touchEnd")
    desk.decide("Only this run")
    expect(desk.toast("cal_mv_touch moved")).to_be_visible()
    moved = starts(product, schedule, occurrence)
    assert seconds_between(before, moved) == 3600


def dialog_of(page: Page) -> Any:
    page.get_by_role("button", name="Saved views").click()
    dialog = page.get_by_role("dialog", name="Saved views")
    expect(dialog).to_be_visible()
    return dialog


def test_a_view_is_saved_opened_renamed_and_deleted(
    views: Desk, product: Product, fleet: dict[str, str]
) -> None:
    page = views.page
    show(views, "week", q="cal_mv_week", sel="agent:cal_mv_week")
    dialog = dialog_of(page)
    dialog.get_by_label("Keep what is shown now as").fill("My week")
    dialog.get_by_label("Others see it too").check()
    dialog.get_by_role("button", name="Save", exact=True).click()
    expect(dialog.get_by_role("link", name="My week")).to_be_visible()
    [kept] = product.get("views/?path=/schedule")["items"]
    assert (kept["name"], kept["query"]) == ("My week", "view=week&q=cal_mv_week")
    assert kept["shared"] is True

    dialog.get_by_role("button", name="Rename My week").click()
    dialog.get_by_label("New name of My week").fill("Weeks")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("link", name="Weeks")).to_be_visible()
    dialog.get_by_role("button", name="Close").last.click()

    show(views, "month")
    dialog_of(page).get_by_role("link", name="Weeks").click()
    expect(page.locator('[data-view="week"]')).to_be_visible(timeout=LOAD_MS)
    expect(page.get_by_role("searchbox", name="Filter the rows")).to_have_value(
        "cal_mv_week"
    )
    dialog = dialog_of(page)
    dialog.get_by_role("button", name="Delete Weeks").click()
    expect(dialog.get_by_text("None yet.")).to_be_visible()
    assert product.get("views/?path=/schedule")["items"] == []


def test_on_a_phone_saved_views_fit_and_have_no_serious_fault(
    hand: Page, product: Product, fleet: dict[str, str]
) -> None:
    nights = {"name": "Nights", "path": "/schedule", "query": "view=list"}
    product.post("views/", {**nights, "shared": True})
    show(Desk(hand, product), "week")
    dialog = dialog_of(hand)
    expect(dialog.get_by_role("link", name="Nights")).to_be_visible()
    assert faults_here(hand) == []
    dialog.get_by_role("link", name="Nights").tap()
    expect(hand.locator('[data-view="list"]')).to_be_visible(timeout=LOAD_MS)


FAIR = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//EN
BEGIN:VEVENT
UID:fair
DTSTART;VALUE=DATE:20270301
RRULE:FREQ=YEARLY
SUMMARY:Fair
END:VEVENT
END:VCALENDAR
"""


def test_the_days_of_an_ics_file_become_a_calendar(
    views: Desk, product: Product, tmp_path: Path
) -> None:
    page = views.page
    page.goto(f"{product.url}/triggers?show=days")
    page.get_by_role("button", name="New calendar").click()
    dialog = page.get_by_role("dialog", name="New calendar")
    dialog.get_by_label("Name").fill("fair")
    (tmp_path / "bad.ics").write_text("BEGIN:VCALENDAR\nEND:VCALENDAR\n")
    (tmp_path / "fair.ics").write_text(FAIR)
    chosen = dialog.get_by_label("Or the events of an .ics file")
    chosen.set_input_files(tmp_path / "bad.ics")
    dialog.get_by_role("button", name="Add").click()
    expect(dialog.get_by_text("there is no VEVENT in it")).to_be_visible()
    chosen.set_input_files(tmp_path / "fair.ics")
    dialog.get_by_role("button", name="Add").click()
    expect(dialog).to_have_count(0)
    assert product.get("calendars/fair/")["next_days"][0] == "2027-03-01"
