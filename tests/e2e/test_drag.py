"""Moving planned runs with the mouse, with the keyboard, and with the dialog."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from playwright.sync_api import expect

from tests.e2e.desk import (
    Desk,
    next_minute,
    now,
    scheduled,
    seconds_between,
    stamp,
    stamped,
    utc,
)
from tests.waiting import wait_for

MINUTE_AHEAD_S = 55  # until the next full minute after this: one to two minutes


def test_an_occurrence_dragged_to_a_minute_ahead_runs_then_and_is_seen_live(
    desk: Desk, stamps: Path
) -> None:
    schedule, (first, second, *_) = scheduled(desk, "dragged", stamps)
    planned_at = desk.start_of(schedule, first)
    target = next_minute(now(), MINUTE_AHEAD_S)

    ghost = desk.drag(desk.bar(first), seconds_between(planned_at, target))
    expect(ghost).to_have_attribute("data-verdict", "good", timeout=5000)
    desk.drop()
    desk.decide("Only this run")

    expect(desk.toast("dragged moved")).to_be_visible()
    assert desk.start_of(schedule, first) == target
    assert seconds_between(desk.start_of(schedule, second), planned_at) == -600
    run = desk.run_of(first, timeout_s=150)
    expect(desk.bar(run["uid"])).to_have_attribute(
        "data-state", "succeeded", timeout=15_000
    )
    expect(desk.bar(first)).to_have_count(0)
    assert desk.was_not_reloaded()
    [ran_at] = stamped(stamps)
    assert 0 <= ran_at - target.timestamp() < 2


def test_undo_puts_a_dragged_occurrence_back(desk: Desk, stamps: Path) -> None:
    schedule, (first, *_) = scheduled(desk, "undone", stamps)
    planned_at, before_px = (
        desk.start_of(schedule, first),
        desk.left_px(desk.bar(first)),
    )

    desk.drag(desk.bar(first), 900)
    desk.drop()
    desk.decide("Only this run")
    wait_for(lambda: desk.start_of(schedule, first) != planned_at)
    desk.toast("undone moved").get_by_role("button", name="Undo").click()

    expect(desk.toast("Undone")).to_be_visible()
    assert desk.start_of(schedule, first) == planned_at
    wait_for(lambda: abs(desk.left_px(desk.bar(first)) - before_px) < 1)


def test_all_runs_can_be_moved_and_the_words_say_what_becomes_of_the_rule(
    desk: Desk, stamps: Path
) -> None:
    schedule, (first, second, *_) = scheduled(desk, "series", stamps)
    before = [desk.start_of(schedule, o) for o in (first, second)]

    desk.drag(desk.bar(first), 180)
    desk.drop()
    dialog = desk.page.get_by_role("dialog")
    expect(dialog.get_by_text("rule becomes").first).to_be_visible()
    desk.decide("All runs")

    def starts() -> list[float]:
        return [
            seconds_between(before[0], utc(i["start"])) for i in desk.planned(schedule)
        ]

    moved = wait_for(lambda: starts() if starts()[0] != 0 else None)
    assert moved[1] - moved[0] == 600
    assert 120 <= moved[0] <= 240


def test_escape_leaves_a_dragged_run_where_it_was(desk: Desk, stamps: Path) -> None:
    schedule, (first, *_) = scheduled(desk, "escaped", stamps)
    planned_at = desk.start_of(schedule, first)

    desk.drag(desk.bar(first), 900)
    desk.page.keyboard.press("Escape")
    desk.drop()

    expect(desk.page.get_by_role("dialog")).to_have_count(0)
    assert desk.start_of(schedule, first) == planned_at


def test_the_past_refuses_a_run_while_it_is_dragged(desk: Desk, stamps: Path) -> None:
    _, (first, *_) = scheduled(desk, "too_late", stamps)
    ghost = desk.drag(desk.bar(first), -1200)
    expect(ghost).to_have_attribute("data-verdict", "bad", timeout=5000)
    desk.page.keyboard.press("Escape")
    desk.drop()


def test_a_run_is_moved_by_keyboard_and_told_in_words(desk: Desk, stamps: Path) -> None:
    schedule, (first, *_) = scheduled(desk, "by_keys", stamps)
    target = next_minute(now(), MINUTE_AHEAD_S)
    steps = round(seconds_between(desk.start_of(schedule, first), target) / 60)
    keyboard, spoken = desk.page.keyboard, desk.page.locator("[data-spoken]")

    desk.bar(first).focus()
    for _ in range(abs(steps)):
        keyboard.press("Alt+ArrowLeft" if steps < 0 else "Alt+ArrowRight")
    expect(spoken).to_contain_text("Possible", timeout=5000)
    keyboard.press("Enter")
    dialog = desk.page.get_by_role("dialog")
    expect(dialog.get_by_label("Only this run")).to_be_focused()
    keyboard.press("Tab")
    keyboard.press("Tab")
    expect(dialog.get_by_role("button", name="Move", exact=True)).to_be_focused()
    keyboard.press("Enter")

    expect(desk.toast("by_keys moved")).to_be_visible()
    moved_to = desk.start_of(schedule, first)
    run = desk.run_of(first, timeout_s=200)
    expect(desk.bar(run["uid"])).to_have_attribute(
        "data-state", "succeeded", timeout=15_000
    )
    [ran_at] = stamped(stamps)
    assert 0 <= ran_at - moved_to.timestamp() < 2


def test_control_z_takes_back_a_move_made_by_keyboard(desk: Desk, stamps: Path) -> None:
    schedule, (first, *_) = scheduled(desk, "keys_undone", stamps)
    planned_at = desk.start_of(schedule, first)

    desk.bar(first).focus()
    for _ in range(5):
        desk.page.keyboard.press("Alt+ArrowRight")
    desk.page.keyboard.press("Enter")
    desk.decide("Only this run")
    wait_for(lambda: desk.start_of(schedule, first) != planned_at)
    desk.page.keyboard.press("Control+z")

    expect(desk.toast("Undone")).to_be_visible()
    assert desk.start_of(schedule, first) == planned_at


def test_alt_shift_arrows_change_the_time_limit(desk: Desk, stamps: Path) -> None:
    schedule, (first, *_) = scheduled(desk, "limited", stamps)
    desk.bar(first).focus()
    for _ in range(3):
        desk.page.keyboard.press("Alt+Shift+ArrowRight")
    desk.page.keyboard.press("Enter")
    dialog = desk.page.get_by_role("dialog", name="Change the time limit")
    dialog.get_by_role("button", name="Change").click()
    expect(desk.toast("limited may run")).to_be_visible()
    assert desk.planned(schedule)[0]["id"] == first


def test_pulling_the_end_of_a_run_changes_its_time_limit(
    desk: Desk, stamps: Path
) -> None:
    schedule, (first, *_) = scheduled(desk, "pulled", stamps)
    bar, mouse = desk.bar(first), desk.page.mouse
    box = bar.bounding_box()
    assert box is not None
    mouse.move(box["x"] + box["width"] - 2, box["y"] + 10)
    mouse.down()
    mouse.move(box["x"] + box["width"] + 240 * desk.px_per_second(), box["y"] + 10)
    expect(desk.page.locator("[data-verdict]")).to_contain_text("at most")
    desk.drop()
    dialog = desk.page.get_by_role("dialog", name="Change the time limit")
    dialog.get_by_label("All runs").check()
    dialog.get_by_role("button", name="Change").click()

    expect(desk.toast("pulled may run")).to_be_visible()
    limit_s = desk.product.get(f"schedules/{schedule}/")["timeout"]
    assert 240 <= limit_s <= 360


def test_at_the_edge_the_timeline_scrolls_on_while_dragging(
    desk: Desk, stamps: Path
) -> None:
    schedule, (first, *_) = scheduled(desk, "edged", stamps)
    before = desk.start_of(schedule, first)
    grid = desk.page.get_by_role("grid")
    box = grid.bounding_box()
    assert box is not None
    scrolled = grid.evaluate("it => it.scrollLeft")
    desk.drag(desk.bar(first), 60)
    desk.page.mouse.move(box["x"] + box["width"] - 8, box["y"] + 90)
    hour_px = 3600 * desk.px_per_second()
    wait_for(lambda: grid.evaluate("it => it.scrollLeft") > scrolled + hour_px)
    desk.drop()
    desk.decide("Only this run")

    expect(desk.toast("edged moved")).to_be_visible()
    moved_to = moved_start(desk, first)
    assert seconds_between(before, moved_to) > 3600


def moved_start(desk: Desk, occurrence: str) -> datetime:
    window = f"from={stamp(now())}&to={stamp(now() + timedelta(hours=8))}"
    items = desk.product.get(f"timeline/?{window}&group=agent")["items"]
    return next(utc(item["start"]) for item in items if item["id"] == occurrence)


def test_the_move_dialog_needs_no_drag(desk: Desk, stamps: Path) -> None:
    schedule, (first, *_) = scheduled(desk, "by_dialog", stamps)
    target = next_minute(now(), 1500)

    desk.bar(first).click()
    desk.page.get_by_role("button", name="Move…").click()
    dialog = desk.page.get_by_role("dialog")
    dialog.get_by_label("Start").fill(target.strftime("%Y-%m-%dT%H:%M:%S"))
    dialog.get_by_role("button", name="Move", exact=True).click()
    desk.decide("Only this run")

    wait_for(lambda: desk.start_of(schedule, first) == target)


def test_a_change_of_somebody_else_meanwhile_is_told_and_nothing_is_lost(
    desk: Desk, stamps: Path
) -> None:
    schedule, (first, second, *_) = scheduled(desk, "contested", stamps)
    planned_at = desk.start_of(schedule, first)
    desk.drag(desk.bar(first), 900)
    expect(desk.page.locator("[data-verdict=good]")).to_be_attached(timeout=5000)
    desk.product.api(
        "POST",
        f"occurrences/{second}/move/",
        {"start": next_minute(now(), 1800).isoformat(), "scope": "this"},
    ).expect(200)

    desk.drop()
    dialog = desk.page.get_by_role("dialog")
    expect(dialog.locator(".verdict .bad")).to_be_visible()
    dialog.get_by_role("button", name="Cancel").click()
    assert desk.start_of(schedule, first) == planned_at
