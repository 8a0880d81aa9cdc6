"""Day, Week, Month, List and Year: by mouse, by keyboard alone, and by touch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.axe import faults_at
from tests.e2e.desk import Desk, log_in, now, seconds_between, stamp, utc
from tests.live.harness import Product

VIEWS = ("day", "week", "month", "list", "year")
DAY = timedelta(days=1)
BERLIN = "Europe/Berlin"
LOAD_MS = 15_000


@pytest.fixture(scope="module")
def fleet(product: Product) -> dict[str, str]:
    """Agents whose runs are tomorrow at fixed hours: schedule ids by agent."""
    found = {}
    for agent, cron in {
        "cal_week": "0 10 * * *",
        "cal_day": "0 10 * * *",
        "cal_phone": "0 11 * * *",
        "cal_berlin": "30 2 * * *",
    }.items():
        product.register(agent, "/bin/true")
        body = {"agent": agent, "cron": cron}
        body["timezone"] = BERLIN if agent == "cal_berlin" else "UTC"
        found[agent] = product.post("schedules/", body)["id"]
    product.register("cal_often", "/bin/true")
    body = {"agent": "cal_often", "cron": "*/5 * * * *", "timezone": "UTC"}
    found["cal_often"] = product.post("schedules/", body)["id"]
    return found


@pytest.fixture
def views(page: Page, product: Product, fleet: dict[str, str]) -> Desk:
    return Desk(page, product)


def show(desk: Desk, view: str, **query: str) -> Locator:
    asked = "".join(f"&{name}={value}" for name, value in query.items())
    desk.open(f"view={view}{asked}")
    root = desk.page.locator(f'[data-view="{view}"]')
    expect(root).to_be_visible(timeout=LOAD_MS)
    return root


def tomorrow() -> str:
    return (now() + DAY).date().isoformat()


def in_two_days() -> str:
    return (now() + 2 * DAY).date().isoformat()


def item(root: Locator, schedule: str, date: str = "") -> Locator:
    """The schedule's run of a day; its id holds the instant it is due by rule."""
    day = date.replace("-", "")
    held = f'[data-bar^="{schedule}@{day}"], [data-bar^="{schedule}@{date}"]'
    return root.locator(held).first


def starts(product: Product, schedule: str, occurrence: str) -> Any:
    at = now()
    window = (
        f"from={stamp(at)}&to={stamp(at + 8 * DAY)}&q=cal_&singly=24&max_items=2000"
    )
    items = product.get(f"timeline/grid/?{window}")["items"]
    [found] = [i for i in items if i["id"] == occurrence]
    assert found["schedule"] == schedule
    return utc(found["start"])


def test_each_view_opens_with_the_runs_of_its_days(
    views: Desk, fleet: dict[str, str]
) -> None:
    for view in ("week", "month", "list"):
        root = show(views, view, date=tomorrow(), q="cal_week")
        expect(root.get_by_text("cal_week").first).to_be_visible(timeout=LOAD_MS)
    root = show(views, "day", date=tomorrow(), q="cal_week")
    expect(item(root, fleet["cal_week"])).to_be_visible()
    root = show(views, "year")
    expect(root.locator(f'[data-date="{tomorrow()}"]')).to_have_attribute(
        "aria-label", re.compile(r"\d planned")
    )


def test_what_runs_very_often_is_one_band_of_the_day(
    views: Desk, fleet: dict[str, str]
) -> None:
    root = show(views, "week", date=tomorrow(), q="cal_often")
    band = root.locator('[data-band="cal_often"]').nth(0)
    expect(band).to_be_visible(timeout=LOAD_MS)
    expect(views.page.locator("[data-capped]")).to_be_visible()
    band.click()
    expect(views.page).to_have_url(re.compile("view=day"))


def drag_hours(page: Page, bar: Locator, hours: float) -> None:
    """By the real mouse, down the column it stands in."""
    bar.scroll_into_view_if_needed()
    box = bar.bounding_box()
    assert box is not None
    x, y = box["x"] + 20, box["y"] + 6
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y + hours * 42, steps=14)


def test_a_run_dragged_in_the_week_lands_there_and_is_undone(
    views: Desk, product: Product, fleet: dict[str, str]
) -> None:
    schedule = fleet["cal_week"]
    root = show(views, "week", date=tomorrow(), q="cal_week")
    bar = item(root, schedule, tomorrow())
    expect(bar).to_be_visible(timeout=LOAD_MS)
    occurrence = bar.get_attribute("data-bar") or ""
    before = starts(product, schedule, occurrence)

    drag_hours(views.page, bar, 2)
    expect(views.page.locator("[data-verdict=good]")).to_be_visible(timeout=5000)
    views.drop()
    views.decide("Only this run")

    expect(views.toast("cal_week moved")).to_be_visible()
    moved = starts(product, schedule, occurrence)
    assert abs(seconds_between(before, moved) - 7200) <= 900
    views.page.keyboard.press("Control+z")
    expect(views.page.locator(f'[data-bar="{occurrence}"]')).to_have_accessible_name(
        re.compile("10:00"), timeout=LOAD_MS
    )
    assert starts(product, schedule, occurrence) == before


def test_a_run_is_moved_by_keyboard_alone_in_the_day(
    views: Desk, product: Product, fleet: dict[str, str]
) -> None:
    schedule, page = fleet["cal_day"], views.page
    root = show(views, "day", date=tomorrow(), q="cal_day")
    bar = item(root, schedule)
    expect(bar).to_be_visible(timeout=LOAD_MS)
    occurrence = bar.get_attribute("data-bar") or ""
    before = starts(product, schedule, occurrence)
    for _ in range(60):
        if page.evaluate("document.activeElement.dataset.bar ?? ''") == occurrence:
            break
        page.keyboard.press("Tab")
    for _ in range(4):
        page.keyboard.press("Alt+ArrowDown")
    spoken = page.locator("[aria-live=assertive]")
    expect(spoken).to_contain_text("Possible", timeout=5000)
    page.keyboard.press("Enter")
    views.decide("Only this run")
    expect(views.toast("cal_day moved")).to_be_visible()
    assert seconds_between(before, starts(product, schedule, occurrence)) == 3600


def test_the_list_and_the_year_are_walked_by_keyboard(
    views: Desk, fleet: dict[str, str]
) -> None:
    page = views.page
    root = show(views, "list", date=in_two_days(), q="cal_")
    first = root.locator("[data-bar]").first
    expect(first).to_be_visible(timeout=LOAD_MS)
    first.focus()
    page.keyboard.press("ArrowDown")
    second = page.evaluate("document.activeElement.dataset.bar")
    assert second != first.get_attribute("data-bar")
    page.keyboard.press("Enter")
    expect(page.get_by_role("complementary").last).to_contain_text("cal_")
    page.keyboard.press("Escape")

    root = show(views, "year")
    day = now().date()
    root.locator(f'[data-date="{day}"]').focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"view=day.*date={day - DAY}"))


def test_letters_open_the_views_and_arrows_turn_the_pages(
    views: Desk, fleet: dict[str, str]
) -> None:
    page = views.page
    show(views, "week")
    shown = page.locator("[data-period]")
    for letter, view in zip("dwmly", VIEWS, strict=True):
        page.keyboard.press(letter)
        expect(page.locator(f'[data-view="{view}"]')).to_be_visible(timeout=LOAD_MS)
    before = shown.inner_text()
    page.keyboard.press("ArrowRight")
    expect(shown).to_have_text(str(int(before) + 1))
    page.keyboard.press(".")
    expect(shown).to_have_text(before)
    page.keyboard.press("t")
    expect(page.get_by_role("grid")).to_be_visible()
    assert "view=" not in page.url


def test_an_empty_stretch_drawn_with_the_mouse_begins_a_schedule(
    views: Desk, product: Product, fleet: dict[str, str]
) -> None:
    page = views.page
    root = show(views, "day", date=tomorrow(), q="cal_day")
    expect(item(root, fleet["cal_day"])).to_be_visible(timeout=LOAD_MS)
    column = root.locator(".ec-body .ec-grid .ec-day").first.bounding_box()
    assert column is not None
    x, y = column["x"] + column["width"] / 2, page.viewport_size["height"] - 300  # type: ignore[index]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y + 90, steps=6)
    page.mouse.up()
    expect(page.get_by_role("heading", name="New schedule")).to_be_visible()
    drawer = page.locator("aside").filter(has_text="New schedule")
    drawer.get_by_role("button", name=re.compile("^cal_day")).click()
    drawn = page.get_by_label("Time limit (minutes)").input_value()
    assert 90 <= float(drawn) <= 135  # 90 pixels of half-hours that are 24 high
    page.get_by_role("button", name="Create schedule").click()
    expect(views.toast("cal_day is scheduled")).to_be_visible()
    made = product.get("schedules/?agent=cal_day")["items"]
    assert float(drawn) * 60 in [one["timeout"] for one in made]


@pytest.mark.parametrize(
    ("date", "zone", "said", "hours"),
    [
        ("2026-10-25", BERLIN, "25 hours: 02:00 to 03:00 comes twice", 25),
        ("2027-03-28", BERLIN, "23 hours: 02:00 to 03:00 is left out", 23),
        ("2027-04-04", "Australia/Lord_Howe", "24.5 hours: 01:30 to 02:00", 49),
    ],
)
def test_the_day_the_clocks_change_is_as_long_as_it_is(
    views: Desk, fleet: dict[str, str], date: str, zone: str, said: str, hours: int
) -> None:
    in_zone(views.page, zone)
    root = show(views, "day", date=date)
    expect(views.page.locator("[data-clock-change]")).to_contain_text(said)
    labels = root.locator(".ec-body .ec-sidebar time")
    expect(labels).to_have_count(hours)
    texts = labels.all_inner_texts()
    if hours == 25:
        assert texts[2:5] == ["02:00", "02:00 again", "03:00"]
    if hours == 23:
        assert texts[1:3] == ["01:00", "03:00"]
        expect(views.page.locator("[data-clock-rule]").first).to_contain_text(
            "runs at Sun 03:00", timeout=LOAD_MS
        )
        expect(item(root, fleet["cal_berlin"])).to_have_accessible_name(
            re.compile("03:00")
        )


def in_zone(page: Page, zone: str) -> None:
    page.get_by_role("button", name="Time zone:").click()
    page.get_by_label("Search time zones").fill(zone)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name=f"Time zone: {zone}")).to_be_visible()


@pytest.fixture
def hand(browser: Browser, product: Product) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": 390, "height": 844},
        has_touch=True,
        is_mobile=True,
        timezone_id="UTC",
    )
    page = context.new_page()
    log_in(page, product)
    yield page
    context.close()


def test_on_a_phone_a_run_of_the_list_is_moved_by_touch(
    hand: Page, product: Product, fleet: dict[str, str]
) -> None:
    schedule, desk = fleet["cal_phone"], Desk(hand, product)
    hand.get_by_label("View", exact=True).select_option("list")
    root = show(desk, "list", date=in_two_days(), q="cal_phone")
    bar = item(root, schedule, in_two_days())
    expect(bar).to_be_visible(timeout=LOAD_MS)
    occurrence = bar.get_attribute("data-bar") or ""
    bar.tap()
    hand.get_by_role("button", name="Move…").tap()
    dialog = hand.get_by_role("dialog", name="Move cal_phone")
    dialog.get_by_label("Start").fill(f"{in_two_days()}T15:30:00")
    dialog.get_by_role("button", name="Move", exact=True).tap()
    desk.decide("Only this run")
    expect(desk.toast("cal_phone moved")).to_be_visible()
    assert f"{starts(product, schedule, occurrence):%H:%M}" == "15:30"
    assert not hand.evaluate("document.documentElement.scrollWidth > innerWidth")


def test_a_calendar_feed_is_made_shown_once_and_revoked(
    views: Desk, product: Product, fleet: dict[str, str]
) -> None:
    page = views.page
    show(views, "week")
    page.get_by_role("button", name="Account and theme").click()
    page.get_by_role("button", name="Subscribe in a calendar").click()
    dialog = page.get_by_role("dialog", name="Subscribe in a calendar")
    dialog.get_by_label("Name").fill("Weekly")
    dialog.get_by_label("What it shows").select_option("agent:cal_week")
    dialog.get_by_role("button", name="Make an address").click()
    address = dialog.get_by_label("Address of “Weekly”").input_value()
    feed = page.request.get(address)
    assert feed.ok
    assert "cal_week" in feed.text()
    assert "cal_day" not in feed.text()

    dialog.get_by_role("button", name="Revoke Weekly").click()
    expect(dialog.get_by_text("None yet.")).to_be_visible()
    expect(dialog.get_by_label("Address of “Weekly”")).to_have_count(0)
    assert page.request.get(address).status in (403, 404, 410)
    assert product.get("feeds/")["items"] == []


@pytest.mark.usefixtures("fleet")
def test_no_view_has_a_serious_fault_of_accessibility(
    screen: Page, product: Product
) -> None:
    faults = [fault for view in VIEWS for fault in faults_in(screen, product, view)]
    assert faults == []


def faults_in(page: Page, product: Product, view: str) -> list[str]:
    shows = f'[data-view="{view}"]'
    return faults_at(page, product, f"schedule?view={view}", shows=shows)
