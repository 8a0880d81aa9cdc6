"""The timeline with many runs at once: chosen by mouse, by keys, by a frame."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from playwright.sync_api import expect

from tests.e2e.desk import (
    Desk,
    scheduled,
    seconds_between,
)
from tests.waiting import wait_for


def starts(desk: Desk, schedule: str, ids: list[str]) -> list[datetime]:
    return [desk.start_of(schedule, one) for one in ids]


def moved_by(before: list[datetime], after: list[datetime]) -> list[float]:
    return [seconds_between(a, b) for a, b in zip(before, after, strict=True)]


def apply(desk: Desk) -> None:
    dialog = desk.page.get_by_role("dialog")
    button = dialog.get_by_role("button", name="Apply")
    expect(button).to_be_enabled()
    button.click()
    dialog.wait_for(state="detached")


def test_runs_chosen_with_the_mouse_are_shifted_together_and_taken_back_at_once(
    desk: Desk, stamps: Path
) -> None:
    schedule, ids = scheduled(desk, "together", stamps)
    pair = ids[2:4]
    before = starts(desk, schedule, pair)

    desk.bar(pair[0]).click(modifiers=["Control"])
    desk.bar(pair[1]).click(modifiers=["Shift"])
    bar = desk.page.get_by_role("toolbar", name="Chosen runs")
    expect(bar).to_contain_text("2 runs chosen")
    bar.get_by_role("button", name="Shift by").click()
    desk.page.get_by_label("By minutes").fill("3")
    apply(desk)

    wait_for(lambda: moved_by(before, starts(desk, schedule, pair)) == [180, 180])
    expect(bar).to_have_count(0)
    desk.page.keyboard.press("Control+z")
    wait_for(lambda: starts(desk, schedule, pair) == before)
    desk.page.keyboard.press("Control+Shift+z")
    wait_for(lambda: moved_by(before, starts(desk, schedule, pair)) == [180, 180])


def test_runs_are_chosen_and_shifted_by_keyboard_alone(
    desk: Desk, stamps: Path
) -> None:
    schedule, ids = scheduled(desk, "keyed", stamps)
    pair = ids[1:3]
    before = starts(desk, schedule, pair)
    keyboard = desk.page.keyboard

    desk.bar(pair[0]).focus()
    keyboard.press("Space")
    keyboard.press("ArrowRight")
    expect(desk.bar(pair[1])).to_be_focused()
    keyboard.press("Space")
    expect(desk.page.locator("[data-spoken]")).to_contain_text("2 chosen")
    shift = desk.page.get_by_role("button", name="Shift by")
    for _ in range(200):
        if shift.evaluate("it => it === document.activeElement"):
            break
        keyboard.press("Tab")
    keyboard.press("Enter")
    expect(desk.page.get_by_label("By minutes")).to_be_focused()
    keyboard.press("Control+a")
    keyboard.type("2")
    expect(desk.page.get_by_role("button", name="Apply")).to_be_enabled()
    keyboard.press("Enter")

    wait_for(lambda: moved_by(before, starts(desk, schedule, pair)) == [120, 120])


def test_a_frame_drawn_over_empty_space_chooses_what_it_touches(
    desk: Desk, stamps: Path
) -> None:
    _, ids = scheduled(desk, "framed", stamps)
    desk.bar(ids[1]).scroll_into_view_if_needed()
    one, two = desk.bar(ids[1]).bounding_box(), desk.bar(ids[2]).bounding_box()
    assert one is not None
    assert two is not None
    mouse, keyboard = desk.page.mouse, desk.page.keyboard
    keyboard.down("Shift")
    mouse.move(one["x"] - 12, one["y"] + 2)
    mouse.down()
    mouse.move(two["x"] + 4, two["y"] + 14, steps=6)
    mouse.up()
    keyboard.up("Shift")
    for chosen in ids[1:3]:
        expect(desk.bar(chosen)).to_have_attribute("data-chosen", "true")
    expect(desk.page.locator("[data-chosen]")).to_have_count(2)
    keyboard.press("Escape")
