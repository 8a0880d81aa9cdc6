"""Runs and agents in the browser: lists, a run's whole log, an agent's page."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.axe import faults_at
from tests.e2e.desk import LIVE_WAIT_MS
from tests.live.harness import PYTHON, Product

LONG = 30_000
PRINTS = f"""
import sys
for n in range(1, {LONG} + 1): print("line", n)
print("\\x1b[31mred alert\\x1b[0m")
print('{{"level": "error", "msg": "disk full", "path": "/srv"}}')
print("to the errors", file=sys.stderr)
"""
WAITS = """
import os, time
print("first", flush=True)
while not os.path.exists("go"): time.sleep(0.05)
for n in range(200): print("more", n, flush=True)
while not os.path.exists("end"): time.sleep(0.05)
"""
TELLS = "import os; print('day', os.environ['KOS_PARAMS'])"


@pytest.fixture(scope="module")
def long_run(product: Product) -> str:
    """A run that printed more than any page holds."""
    product.register("printer", PYTHON, "-c", PRINTS)
    (uid,) = product.spawn("printer")
    product.wait_for_end(uid)
    return uid


def test_a_permalink_opens_a_line_and_shift_click_marks_a_range(
    page: Page, product: Product, long_run: str
) -> None:
    page.goto(f"{product.url}/runs/{long_run}#L15000")
    line = page.locator('[data-line="15000"]')
    expect(line).to_contain_text("line 15000")
    expect(line).to_be_in_viewport()
    expect(line).to_have_class(re.compile("marked"))
    page.locator('[data-line="15003"] a').click(modifiers=["Shift"])
    assert page.url.endswith("#L15000-L15003")
    expect(page.locator("[role=log] .marked")).to_have_count(4)
    assert page.locator("[role=log] .row").count() < 200


def test_a_long_log_is_searched_by_keyboard_alone(
    page: Page, product: Product, long_run: str
) -> None:
    page.goto(f"{product.url}/runs/{long_run}")
    log = page.get_by_role("log")
    expect(page.locator('[data-line="1"]')).to_contain_text("line 1")
    log.focus()
    page.keyboard.press("/")
    page.keyboard.type("line 2345")
    page.keyboard.press("Enter")
    expect(page.locator('[data-line="2345"]')).to_be_in_viewport()
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    expect(page.locator('[data-line="23450"]')).to_be_in_viewport()
    page.keyboard.press("N")
    expect(page.locator('[data-line="2345"]')).to_be_in_viewport()
    page.keyboard.press("G")
    expect(page.locator(f'[data-line="{LONG + 2}"]')).to_be_in_viewport()
    page.keyboard.press("g")
    expect(page.locator('[data-line="1"]')).to_be_in_viewport()
    assert "/runs/" in page.url


def test_colours_levels_and_streams_are_shown(
    page: Page, product: Product, long_run: str
) -> None:
    page.goto(f"{product.url}/runs/{long_run}#L{LONG + 1}")
    expect(page.locator(".ansi-red")).to_have_text("red alert")
    page.get_by_label("Level", exact=True).select_option("error")
    expect(page.locator("[role=log] .row")).to_have_count(1)
    expect(page.locator("[role=log] .row")).to_contain_text("disk full path=/srv")
    page.get_by_label("Level", exact=True).select_option("")
    page.get_by_text("Errors", exact=True).click()
    expect(page.locator("[role=log] .row")).to_contain_text("to the errors")


def test_a_running_program_is_followed_and_left_alone_once_one_scrolls(
    page: Page, product: Product
) -> None:
    product.register("talker", PYTHON, "-c", WAITS)
    (uid,) = product.spawn("talker")
    page.goto(f"{product.url}/runs/{uid}")
    expect(page.get_by_text("first", exact=True)).to_be_visible(timeout=LIVE_WAIT_MS)
    work = product.var / "runs" / uid[:2] / uid / "work"
    (work / "go").touch()
    last = page.locator('[data-line="201"]')
    expect(last).to_be_in_viewport(timeout=LIVE_WAIT_MS)
    page.get_by_role("log").focus()
    page.keyboard.press("g")
    expect(page.get_by_label("Follow")).not_to_be_checked()
    (work / "end").touch()
    product.wait_for_end(uid)
    expect(page.locator('[data-line="1"]')).to_be_in_viewport()


def test_a_run_is_run_again_with_other_parameters(page: Page, product: Product) -> None:
    product.register("teller", PYTHON, "-c", TELLS)
    (uid,) = product.spawn("teller")
    product.wait_for_end(uid)
    page.goto(f"{product.url}/runs/{uid}")
    page.get_by_role("button", name="Run again with changes…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Parameters").fill("no JSON")
    expect(dialog.get_by_role("button", name="Run now")).to_be_disabled()
    dialog.get_by_label("Parameters").fill('{"day": 3}')
    dialog.get_by_label("Priority").select_option("high")
    dialog.get_by_role("button", name="Run now").click()
    expect(page.get_by_text(re.compile(r'day \{"day": ?3\}'))).to_be_visible(
        timeout=LIVE_WAIT_MS
    )
    assert product.run(page.url.rsplit("/", 1)[1])["priority"] == "high"


def test_the_grid_is_walked_by_keyboard(
    page: Page, product: Product, long_run: str
) -> None:
    product.register("graded", PYTHON, "-c", "raise SystemExit(3)")
    for _ in range(2):
        product.wait_for_end(product.spawn("graded")[0])
    page.goto(f"{product.url}/runs?view=grid&q=graded")
    squares = page.locator(".square")
    expect(squares).to_have_count(2)
    squares.last.focus()
    page.keyboard.press("ArrowLeft")
    expect(squares.first).to_be_focused()
    expect(squares.first).to_have_attribute("aria-label", re.compile("failed.*exit 3"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("It failed with exit code 3.")).to_be_visible()


def test_the_table_is_filtered_from_the_address(
    page: Page, product: Product, long_run: str
) -> None:
    page.goto(f"{product.url}/runs?run_state=succeeded&agent=printer&order=longest")
    expect(page.get_by_role("link", name="printer")).to_have_count(1)
    expect(page.get_by_label("State", exact=True)).to_have_value("succeeded")
    page.get_by_label("Search runs").fill("nobody has this")
    expect(page.get_by_text("No run fits")).to_be_visible()


def test_versions_are_compared_and_rolled_back(page: Page, product: Product) -> None:
    product.register("changing", "/bin/true", timeout="1m")
    product.api("PATCH", "agents/changing/", {"timeout": "2m"}).expect(200)
    page.goto(f"{product.url}/agents/changing?tab=configuration")
    row = page.get_by_role("row").filter(has_text="timeout")
    expect(row).to_contain_text("60")
    expect(row).to_contain_text("120")
    page.get_by_role("button", name="Version 1").click()
    page.get_by_role("button", name="Go back to version 1").click()
    expect(page.get_by_text("Version 3, in force")).to_be_visible()
    definition = product.get("agents/changing/")["definition"]
    assert (
        definition["timeout"]
        == product.get("agents/changing/versions/")["items"][-1]["definition"][
            "timeout"
        ]
    )


@pytest.mark.parametrize(
    ("tab", "shown"),
    [
        ("overview", "Last runs"),
        ("schedules", "Nothing plans it yet"),
        ("runs", "succeeded"),
        ("hooks", "It has no hooks"),
        ("metrics", "Duration"),
        ("logs", "line 1"),
        ("audit", "agent registered"),
    ],
)
def test_each_part_of_an_agent_has_its_data(
    page: Page, product: Product, long_run: str, tab: str, shown: str
) -> None:
    page.goto(f"{product.url}/agents/printer?tab={tab}")
    expect(page.get_by_text(shown).first).to_be_visible()


def test_a_compose_service_is_tested_with_its_live_log_before_it_is_kept(
    page: Page, product: Product
) -> None:
    page.goto(f"{product.url}/agents?new=agent")
    page.get_by_text("Compose service", exact=True).click()
    page.get_by_label("Compose file, or one service of it").fill(
        "services:\n  hello:\n    image: busybox\n    command: /bin/echo hi from here\n"
    )
    page.get_by_role("button", name="Take hello").click()
    text = page.get_by_label("Registration", exact=True)
    expect(text).to_have_value(re.compile('"/bin/echo"'))
    plain = '{"agent_id": "hello", "exec_env": "subprocess", "memory": "64MB", '
    text.fill(plain + '"entry_point": "/bin/echo", "args": ["hi", "from here"]}')
    page.get_by_role("button", name="Test run").click()
    test = page.get_by_role("region", name="Test run")
    expect(test.get_by_text("hi from here")).to_be_visible(timeout=LIVE_WAIT_MS)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("hello is registered.")).to_be_visible()


def test_no_part_has_a_serious_fault_of_accessibility(
    screen: Page, product: Product, long_run: str
) -> None:
    parts = ("overview", "configuration", "metrics", "logs", "audit")
    paths = [
        *("runs", "runs?view=grid", f"runs/{long_run}#L{LONG + 1}"),
        *("agents", "agents?view=table"),
        *(f"agents/printer?tab={tab}" for tab in parts),
    ]
    assert [fault for path in paths for fault in faults_at(screen, product, path)] == []
