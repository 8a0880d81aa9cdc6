"""What no page may have: a serious fault of accessibility, or more than fits it.

A test that takes the fixture `screen` (conftest.py) is run four times: in light and in
dark, on a desktop and on a phone.
"""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.sync_api import Page

from tests.live.harness import ROOT, Product

AXE = ROOT / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
DESKTOP, PHONE = (1440, 900), (390, 844)
Scheme = Literal["light", "dark"]
SCREENS: dict[str, tuple[tuple[int, int], Scheme]] = {
    "desktop-light": (DESKTOP, "light"),
    "desktop-dark": (DESKTOP, "dark"),
    "phone-light": (PHONE, "light"),
    "phone-dark": (PHONE, "dark"),
}
FAULTS = """async () => (await axe.run()).violations
  .filter(fault => ["serious", "critical"].includes(fault.impact))
  .flatMap(fault => fault.nodes.slice(0, 3).map(
    node => `${fault.id}: ${node.html.slice(0, 200)}`))"""


def faults_at(
    page: Page, product: Product, path: str, *, shows: str = "h1"
) -> list[str]:
    """Open a page, wait until all of it is there, and list what axe finds serious."""
    page.goto(f"{product.url}/{path}")
    page.locator(shows).first.wait_for()
    page.wait_for_load_state("networkidle")
    return [f"{path}: {fault}" for fault in faults_here(page)]


def faults_here(page: Page) -> list[str]:
    """What axe finds serious in what the page shows now."""
    if not AXE.exists():
        pytest.skip("needs axe-core: npm --prefix frontend ci")
    too_wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not too_wide, f"{page.url} is wider than the window"
    page.evaluate(AXE.read_text())
    found: list[str] = page.evaluate(FAULTS)
    return found
