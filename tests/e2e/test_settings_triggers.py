"""Triggers, settings, audit and the first visit, as people use them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.axe import faults_at
from tests.e2e.desk import toast
from tests.live.harness import Product, running_product
from tests.waiting import wait_for

PLACES = (
    "triggers",
    "triggers?show=sensors",
    "triggers?show=hooks",
    "triggers?show=days",
    "settings",
    "settings?show=tokens",
    "settings?show=browser",
    "settings?show=about",
    "audit",
)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One of its own, whose registry is empty at first."""
    with running_product(tmp_path_factory.mktemp("kos")) as product:
        yield product


def go(page: Page, product: Product, place: str) -> None:
    page.goto(f"{product.url}/{place}")
    page.get_by_role("heading", level=1).wait_for()


# -- the first visit: these run first, in this order ------------------------


def test_the_pages_of_an_empty_installation_say_what_to_do(
    page: Page, product: Product
) -> None:
    go(page, product, "triggers")
    expect(page.get_by_text("Nothing fires anything yet")).to_be_visible()
    go(page, product, "triggers?show=sensors")
    expect(page.get_by_text("No sensor yet")).to_be_visible()
    go(page, product, "schedule")
    expect(page.get_by_role("button", name="Load the demo fleet")).to_be_visible()


def test_a_template_opens_the_drawer_filled_in(page: Page, product: Product) -> None:
    go(page, product, "agents")
    page.get_by_role("link", name="A long-running agent").click()
    drawer = page.get_by_role("complementary", name="New agent")
    expect(drawer.get_by_label("Name", exact=True)).to_have_value("my_service")
    command = drawer.get_by_role("textbox", name="Command")
    expect(command).to_have_value(re.compile("http.server"))
    drawer.get_by_role("button", name="Cancel").click()
    page.get_by_role("link", name="A container from an image").click()
    expect(drawer.get_by_label("Name", exact=True)).to_have_value("my_container")


def test_the_demo_fleet_is_loaded_from_the_page(page: Page, product: Product) -> None:
    go(page, product, "agents")
    page.get_by_role("button", name="Load the demo fleet").click()
    expect(page.get_by_role("link", name="health_monitor")).to_be_visible(
        timeout=30_000
    )
    assert len(product.get("agents/?limit=100")["items"]) == 10


# -- triggers ------------------------


def hooked(product: Product, agent: str) -> str:
    product.register(agent, "/bin/true")
    product.post("hooks/", {"name": f"hook_{agent}"})
    shape = {"agent": agent, "event": {"webhook": f"hook_{agent}"}}
    return str(product.post("schedules/", shape)["id"])


def row(page: Page, agent: str) -> Any:
    return page.get_by_role("listitem").filter(
        has=page.get_by_role("link", name=agent, exact=True)
    )


def test_a_dry_run_tells_and_a_test_fire_is_seen_to_run(
    page: Page, product: Product
) -> None:
    hooked(product, "fired_by_hand")
    go(page, product, "triggers?q=fired_by_hand")
    line = row(page, "fired_by_hand")
    line.get_by_role("button", name="Dry run").click()
    dialog = page.get_by_role("dialog", name="Dry run")
    expect(dialog.get_by_text("It would start", exact=True)).to_be_visible()
    expect(dialog.get_by_text("Nothing was started.")).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    assert product.get("runs/?agent=fired_by_hand")["items"] == []
    line.get_by_role("button", name="Test fire").click()
    page.get_by_role("dialog").get_by_role("button", name="Start it for real").click()
    expect(line.get_by_text("succeeded")).to_be_visible(timeout=20_000)


def test_a_rule_is_fired_and_paused_by_keyboard_alone(
    page: Page, product: Product
) -> None:
    hooked(product, "by_keys")
    page.keyboard.press("g")
    page.keyboard.press("t")
    expect(page.get_by_role("heading", name="Triggers", level=1)).to_be_visible()
    line = row(page, "by_keys")
    line.get_by_role("button", name="Test fire").focus()
    page.keyboard.press("Enter")
    start = page.get_by_role("button", name="Start it for real")
    expect(start).to_be_enabled()
    page.keyboard.press("Tab")
    for _ in range(3):
        if start.evaluate("it => it === document.activeElement"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(line.get_by_text("succeeded")).to_be_visible(timeout=20_000)
    line.get_by_role("button", name=re.compile("^More for")).focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Pause…").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Note").focus()
    page.keyboard.type("on holiday")
    page.keyboard.press("Enter")
    expect(line.get_by_text("paused: on holiday")).to_be_visible()


def test_a_rule_is_deleted_and_the_delete_undone(page: Page, product: Product) -> None:
    uid = hooked(product, "taken_away")
    go(page, product, "triggers?q=taken_away")
    line = row(page, "taken_away")
    line.get_by_role("button", name=re.compile("^More for")).click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(line).to_have_count(0)
    toast(page, "Deleted").get_by_role("button", name="Undo").click()
    expect(line).to_have_count(1)
    assert product.get(f"schedules/{uid}/")["ended_at"] is None


def test_a_window_of_time_is_added_and_deleted(page: Page, product: Product) -> None:
    go(page, product, "triggers?show=days")
    page.get_by_role("button", name="New window").click()
    dialog = page.get_by_role("dialog", name="New window")
    dialog.get_by_label("Name").fill("release")
    dialog.get_by_role("button", name="Add").click()
    expect(page.get_by_role("cell", name="release", exact=True)).to_be_visible()
    page.get_by_role("button", name="Delete window release").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("cell", name="release", exact=True)).to_have_count(0)
    assert product.get("windows/")["items"] == []


# -- settings ------------------------


def value_of(product: Product, key: str) -> Any:
    items = product.get("config/")["items"]
    return next(item["value"] for item in items if item["key"] == key)


def test_a_change_is_checked_made_and_undone(page: Page, product: Product) -> None:
    before = value_of(product, "max_concurrent_agents")
    go(page, product, "settings?q=max_concurrent")
    page.get_by_role("button", name="Change max_concurrent_agents").click()
    dialog = page.get_by_role("dialog", name="Change max_concurrent_agents")
    field = dialog.get_by_label("Value")
    save = dialog.get_by_role("button", name="Change it")
    field.fill("many")
    expect(dialog.get_by_text("expected a whole number")).to_be_visible()
    expect(save).to_be_disabled()
    field.fill("7")
    expect(dialog.get_by_text(f"{before} → 7")).to_be_visible()
    assert value_of(product, "max_concurrent_agents") == before
    save.click()
    expect(page.get_by_text("changed here by admin")).to_be_visible()
    assert value_of(product, "max_concurrent_agents") == 7
    toast(page, "Changed").get_by_role("button", name="Undo").click()
    expect(toast(page, "Taken back")).to_be_visible()
    assert value_of(product, "max_concurrent_agents") == before


def test_a_token_is_made_shown_once_and_revoked(page: Page, product: Product) -> None:
    go(page, product, "settings?show=tokens")
    page.get_by_role("button", name="New token").click()
    dialog = page.get_by_role("dialog", name="New token")
    dialog.get_by_label("Name").fill("nightly-script")
    dialog.get_by_label("Role").select_option("operator")
    dialog.get_by_role("button", name="Make it").click()
    once = page.get_by_role("dialog", name="The token nightly-script")
    text = once.locator("code").inner_text()
    assert re.fullmatch(r"kos_[\w-]{43}", text)
    product.tokens["nightly"] = text
    assert product.api("GET", "me/", role="nightly").expect(200)["role"] == "operator"
    once.get_by_role("button", name="Done").click()
    expect(page.get_by_text(text)).to_have_count(0)
    page.get_by_role("button", name="Revoke nightly-script").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("cell", name="nightly-script", exact=True)).to_have_count(0)
    assert product.api("GET", "me/", role="nightly").status == 401


def test_about_says_how_the_parts_are(page: Page, product: Product) -> None:
    go(page, product, "settings?show=about")
    parts = page.get_by_role("region", name="Parts").get_by_role("listitem")
    expect(parts.filter(has_text="Scheduler")).to_contain_text("leads")
    expect(parts.filter(has_text="Nodes")).to_contain_text("1 of 1 up")
    expect(parts.filter(has_text="Worker")).to_contain_text("at work")


# -- the audit ------------------------


def test_a_change_stands_in_the_audit_with_before_and_after(
    page: Page, product: Product
) -> None:
    product.api("PATCH", "config/", {"log_retention_days": 21}).expect(200)
    path = "audit/?object=config&way=api"
    wait_for(lambda: product.get(path)["items"], timeout_s=10)
    go(page, product, "audit?object=config&way=api")
    line = page.get_by_role("row").filter(has_text="log_retention_days").first
    line.get_by_role("button", name=re.compile("^Details")).click()
    expect(page.locator("del")).to_contain_text("14")
    expect(page.locator("ins")).to_contain_text("21")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    text = Path(download.value.path()).read_text()
    assert text.startswith("seq,at,actor,way")
    assert "log_retention_days" in text
    assert "run.queued" not in text


def test_the_chain_is_verified(page: Page, product: Product) -> None:
    go(page, product, "audit")
    page.get_by_role("button", name="Verify the chain").click()
    said = page.get_by_role("dialog", name="The chain of seals")
    expect(said.get_by_text("The journal is what was sealed.")).to_be_visible()


# -- for everybody ------------------------


def test_none_of_these_pages_has_a_serious_fault_of_accessibility(
    screen: Page, product: Product
) -> None:
    found = [fault for path in PLACES for fault in faults_at(screen, product, path)]
    assert found == []
