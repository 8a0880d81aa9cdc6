"""The graph of agents, the queue and the nodes: what they show, what hands do there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.axe import faults_at
from tests.e2e.desk import LIVE_WAIT_MS
from tests.live.harness import PYTHON, Product

WAITS = ("-c", "import time; time.sleep(300)")


def node(page: Page, name: str) -> Any:
    return page.locator(f'[data-node="{name}"]')


def edge(page: Page, first: str, then: str) -> Any:
    return page.locator(f'[data-edge="{first} {then}"]')


def open_graph(page: Page, product: Product, query: str = "") -> None:
    page.goto(f"{product.url}/graph{query}")
    expect(page.locator("svg[data-laid]")).to_be_visible(timeout=LIVE_WAIT_MS)


def agents(product: Product, *names: str, **definition: Any) -> None:
    for name in names:
        product.register(name, PYTHON, "-c", "pass", **definition)


def test_a_dependency_is_drawn_with_the_mouse_and_taken_back(
    page: Page, product: Product
) -> None:
    agents(product, "g-first", "g-then")
    open_graph(page, product)
    node(page, "g-first").hover()
    page.locator('[data-handle="g-first"]').hover()
    page.mouse.down()
    node(page, "g-then").hover()
    page.mouse.up()
    dialog = page.get_by_role("dialog", name="Add a dependency")
    expect(dialog.get_by_label("First")).to_have_value("g-first")
    dialog.get_by_role("button", name="Add").click()
    expect(edge(page, "g-first", "g-then")).to_have_count(1)
    page.keyboard.press("Control+z")
    expect(edge(page, "g-first", "g-then")).to_have_count(0)


def test_by_keyboard_a_circle_is_refused_in_words_and_an_edge_is_removed(
    page: Page, product: Product
) -> None:
    agents(product, "k-a")
    agents(product, "k-b", depends_on=["k-a"])
    open_graph(page, product, "?agent=k-a&focus=k-a")
    node(page, "k-a").focus()
    page.keyboard.press("ArrowRight")
    expect(node(page, "k-b")).to_be_focused()
    page.keyboard.press("a")
    dialog = page.get_by_role("dialog", name="Add a dependency")
    dialog.get_by_label("Then").fill("k-a")
    expect(dialog.get_by_role("status")).to_contain_text("circle")
    expect(dialog.get_by_role("status")).to_contain_text("k-a → k-b → k-a")
    expect(dialog.get_by_role("button", name="Add")).to_be_disabled()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Remove: k-b waits for k-a").press("Enter")
    expect(edge(page, "k-a", "k-b")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(edge(page, "k-a", "k-b")).to_have_count(1)


def test_focus_shows_only_what_hangs_together_and_enter_opens(
    page: Page, product: Product
) -> None:
    agents(product, "f-a", "f-alone")
    agents(product, "f-b", depends_on=["f-a"])
    open_graph(page, product)
    expect(node(page, "f-alone")).to_have_count(1)
    node(page, "f-b").focus()
    page.keyboard.press("f")
    expect(node(page, "f-alone")).to_have_count(0)
    expect(node(page, "f-a")).to_have_count(1)
    page.keyboard.press("f")
    expect(node(page, "f-alone")).to_have_count(1)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/agents"))


def test_a_run_of_a_graph_is_seen_and_retried_from_what_failed(
    page: Page, product: Product, tmp_path: Path
) -> None:
    agents(product, "r-good")
    flag = tmp_path / "ready"
    fails = f"import os, sys; sys.exit(not os.path.exists({str(flag)!r}))"
    product.register("r-bad", PYTHON, "-c", fails)
    steps = [{"agent": "r-good"}, {"agent": "r-bad", "after": ["r-good"]}]
    product.post("graphs/", {"name": "r-graph", "nodes": steps})
    page.goto(f"{product.url}/graph/graphs/r-graph")
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_url(re.compile("/graph/runs/"))
    bad = page.locator('[data-node="r-bad"]')
    expect(bad).to_have_attribute("data-state", "failed", timeout=LIVE_WAIT_MS)
    flag.touch()
    page.get_by_role("button", name="Retry from the failed node").click()
    expect(bad).to_have_attribute("data-state", "succeeded", timeout=LIVE_WAIT_MS)


# --- the queue ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def waiting(product: Product) -> list[str]:
    """Three runs that wait for more GPUs than there are."""
    for name in ("q-one", "q-two", "q-three"):
        product.register(name, PYTHON, *WAITS, priority="low", gpu=7)
    names = ("q-one", "q-two", "q-three")
    return [product.spawn(name)[0] for name in names]


def lane(page: Page) -> list[str]:
    found = page.locator("li[data-run]").filter(has_text="q-")
    return [
        uid or "" for uid in found.evaluate_all("all => all.map(e => e.dataset.run)")
    ]


def open_queue(page: Page, product: Product) -> None:
    page.goto(f"{product.url}/queue")
    expect(page.locator("li[data-run]")).to_have_count(3, timeout=LIVE_WAIT_MS)


def test_a_run_goes_up_and_down_its_lane_by_keyboard_and_by_mouse(
    page: Page, product: Product, waiting: list[str]
) -> None:
    one, two, three = waiting
    open_queue(page, product)
    assert lane(page) == [one, two, three]
    page.locator(f'[data-run="{three}"] .position').focus()
    page.keyboard.press("Alt+ArrowUp")
    expect(page.locator("li[data-run]").nth(1)).to_have_attribute("data-run", three)
    page.locator(f'[data-run="{two}"]').drag_to(page.locator(f'[data-run="{one}"]'))
    expect(page.locator("li[data-run]").first).to_have_attribute("data-run", two)
    assert lane(page) == [two, one, three]


def test_runs_are_held_and_released_together(
    page: Page, product: Product, waiting: list[str]
) -> None:
    open_queue(page, product)
    for name in ("q-one", "q-two"):
        page.get_by_label(f"Select this run of {name}").check()
    tools = page.get_by_role("toolbar", name="With the selected runs")
    tools.get_by_role("button", name="Hold").click()
    expect(page.get_by_text("held", exact=True)).to_have_count(2)
    page.get_by_label("Select this run of q-one").check()
    page.get_by_label("Select this run of q-two").check()
    tools.get_by_role("button", name="Release").click()
    expect(page.get_by_text("held", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Put this run of q-three to the front").click()
    expect(page.locator("li[data-run]").first).to_contain_text("q-three")


def test_the_order_is_changed_and_says_what_changes(
    page: Page, product: Product, waiting: list[str]
) -> None:
    open_queue(page, product)
    page.get_by_role("button", name="Order: priority").click()
    page.get_by_role("radio", name=re.compile("^fifo")).check()
    page.get_by_role("button", name="Change", exact=True).click()
    expect(page.get_by_role("button", name="Order: fifo")).to_be_visible()
    product.api("PATCH", "config/", {"scheduler_mode": "priority"})


# --- nodes ----------------------------------------------------------------------------


def test_a_node_is_cordoned_drained_and_let_work_again(
    page: Page, product: Product
) -> None:
    page.goto(f"{product.url}/nodes")
    for action, then in (("Cordon", "Uncordon"), ("Uncordon", "Cordon")):
        page.get_by_role("button", name=action, exact=True).click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("button", name=action, exact=True).click()
        expect(page.get_by_role("button", name=then, exact=True)).to_be_visible()
    page.get_by_role("button", name="Drain", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Drain", exact=True).click()
    expect(page.get_by_text("It is empty: nothing runs there any more.")).to_be_visible(
        timeout=LIVE_WAIT_MS
    )
    page.get_by_role("button", name="Uncordon", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Uncordon").click()
    expect(page.get_by_role("button", name="Drain", exact=True)).to_be_visible()


def test_charts_of_a_node_open_by_a_link_and_change_their_range(
    page: Page, product: Product
) -> None:
    page.goto(f"{product.url}/nodes")
    page.get_by_role("button", name="Charts").click()
    expect(page.get_by_role("figure").filter(has_text="Memory")).to_be_visible()
    page.get_by_text("7 d", exact=True).click()
    expect(page).to_have_url(re.compile("range=7d"))
    page.reload()
    expect(page.get_by_role("figure").filter(has_text="CPU")).to_be_visible()


@pytest.fixture(scope="module")
def pair(product: Product) -> None:
    """Two agents with a line between them."""
    agents(product, "axe-a")
    agents(product, "axe-b", depends_on=["axe-a"])


@pytest.mark.usefixtures("pair", "waiting")
def test_axe_finds_nothing_serious(screen: Page, product: Product) -> None:
    paths = ("graph?agent=axe-b", "graph/graphs", "queue", "nodes")
    assert [fault for path in paths for fault in faults_at(screen, product, path)] == []
