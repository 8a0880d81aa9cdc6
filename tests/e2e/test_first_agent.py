"""From log-in to a scheduled agent of one's own, and schedules made by dragging."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.e2e.desk import Desk, log_in, monotonic_s, register_stamper, toast, utc
from tests.live.harness import Product
from tests.waiting import wait_for

LIMIT_S = 180


def test_from_log_in_to_a_scheduled_agent_takes_less_than_three_minutes(
    blank: Page, product: Product
) -> None:
    began_s = monotonic_s()
    log_in(blank, product)
    blank.get_by_role("link", name="Agents").click()
    blank.get_by_role("button", name="New agent").first.click()
    blank.get_by_role("textbox", name="Command").fill(
        "python3 -c \"print('the first word')\""
    )
    blank.get_by_label("Name").fill("my_first")
    blank.get_by_role("button", name="Test run").click()
    expect(blank.get_by_role("log")).to_contain_text("the first word", timeout=20_000)
    blank.get_by_role("button", name="Save and schedule").click()
    blank.get_by_role("textbox", name="In words").fill("every 5 minutes")
    expect(blank.get_by_text("very 5 minutes").first).to_be_visible()
    blank.get_by_role("button", name="Create schedule").click()
    expect(toast(blank, "is scheduled")).to_be_visible()
    took_s = monotonic_s() - began_s

    [schedule] = product.get("schedules/?agent=my_first")["items"]
    assert schedule["kind"] == "rule"
    expect(blank.locator('[data-row="my_first"]')).to_be_visible()
    assert took_s < LIMIT_S


def test_what_is_not_installed_says_why_and_cannot_be_chosen(page: Page) -> None:
    page.get_by_role("link", name="Agents").click()
    page.get_by_role("button", name="New agent").first.click()
    choices = page.get_by_role("group", name="Environment").get_by_role("radio")
    expect(choices).to_have_count(4)
    for choice in choices.all():
        if choice.is_disabled():
            said = choice.locator("xpath=..").inner_text()
            assert len(said.splitlines()) >= 2, said


def test_a_faulty_registration_names_its_field(page: Page) -> None:
    page.get_by_role("link", name="Agents").click()
    page.get_by_role("button", name="New agent").first.click()
    page.get_by_role("textbox", name="Command").fill("true")
    page.get_by_label("Name").fill("no spaces allowed")
    with page.expect_response("**/api/v1/agents/") as answer:
        page.get_by_role("button", name="Save", exact=True).click()
    assert answer.value.status == 400
    expect(page.get_by_label("Name")).to_have_attribute("aria-invalid", "true")


def test_an_agent_dragged_onto_the_timeline_is_scheduled_where_it_was_dropped(
    desk: Desk, stamps: Path
) -> None:
    register_stamper(desk.product, "dropped", stamps)
    label = desk.page.locator('[data-row="dropped"]')
    expect(label).to_be_visible(timeout=15_000)
    box, grid = label.bounding_box(), desk.page.get_by_role("grid").bounding_box()
    assert box is not None
    assert grid is not None
    mouse = desk.page.mouse
    mouse.move(box["x"] + 40, box["y"] + 12)
    mouse.down()
    mouse.move(grid["x"] + grid["width"] * 0.7, box["y"] + 12, steps=10)
    mouse.up()

    expect(desk.page.get_by_role("heading", name="New schedule")).to_be_visible()
    at = desk.page.get_by_label("At", exact=True).input_value()
    desk.page.get_by_role("button", name="Create schedule").click()
    expect(desk.bars("dropped", "planned")).to_have_count(1, timeout=10_000)
    [schedule] = desk.product.get("schedules/?agent=dropped")["items"]
    assert utc(schedule["run_at"]).strftime("%Y-%m-%dT%H:%M") == at[:16]


def test_an_agent_is_picked_and_placed_with_two_clicks(
    desk: Desk, stamps: Path
) -> None:
    register_stamper(desk.product, "clicked", stamps)
    expect(desk.page.locator('[data-row="clicked"]')).to_be_visible(timeout=15_000)
    desk.page.get_by_role("button", name="New schedule").click()
    desk.page.get_by_label("Search agents").fill("clicked")
    desk.page.get_by_role("button", name="Place clicked on the timeline").click()
    grid = desk.page.get_by_role("grid").bounding_box()
    assert grid is not None
    desk.page.mouse.click(grid["x"] + grid["width"] * 0.8, grid["y"] + 120)
    desk.page.get_by_role("button", name="Create schedule").click()
    wait_for(lambda: desk.product.get("schedules/?agent=clicked")["items"])


def test_pause_resume_start_and_the_log_in_the_drawer(desk: Desk, stamps: Path) -> None:
    desk.product.register("steered", "/bin/echo", "hello from the drawer")
    desk.product.post("schedules/", {"agent": "steered", "interval": 900})
    page = desk.page
    page.locator('[data-row="steered"]').click(timeout=15_000)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("paused by admin")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("paused by admin")).to_have_count(0)

    page.get_by_role("button", name="Start now").click()
    ended = desk.bars("steered", "succeeded").first
    ended.click(timeout=15_000)
    expect(page.get_by_role("log")).to_contain_text("hello from the drawer")
    expect(page.get_by_role("complementary").get_by_text("Exit")).to_be_visible()
    assert desk.was_not_reloaded()
