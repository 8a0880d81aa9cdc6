"""The real product in a real browser, logged in through the real form.

A page that logs an error, throws, or gets a server error fails its test, whatever else
it shows.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Playwright,
    Response,
)
from playwright.sync_api import sync_playwright as start_playwright

from tests.e2e.axe import SCREENS
from tests.e2e.desk import Desk, log_in
from tests.live.harness import Product, running_product

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker("alone")


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with start_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs a browser: apt-get install chromium")
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One product for all browser tests; each uses agents of its own."""
    with running_product(tmp_path_factory.mktemp("kos")) as product:
        yield product


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(
        viewport={"width": 1440, "height": 900}, timezone_id="UTC", locale="en-GB"
    )
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def blank(context: BrowserContext) -> Iterator[Page]:
    """A page nobody has logged in on. What goes wrong in it fails the test."""
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.extend(fault_of(said)))
    page.on("response", lambda got: faults.extend(broken(got)))
    yield page
    assert faults == []


def fault_of(said: ConsoleMessage) -> list[str]:
    """A refusal (4xx) may be what a test is about; the browser logs it all the same."""
    refused = said.text.startswith("Failed to load resource")
    return [said.text] if said.type == "error" and not refused else []


def broken(got: Response) -> list[str]:
    return [f"{got.status} {got.url}"] if got.status >= 500 else []


@pytest.fixture
def page(blank: Page, product: Product) -> Page:
    log_in(blank, product)
    return blank


@pytest.fixture(params=SCREENS)
def screen(
    request: pytest.FixtureRequest, browser: Browser, product: Product
) -> Iterator[Page]:
    """A logged-in page for each way people look at it (axe.py)."""
    (width, height), scheme = SCREENS[request.param]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme
    )
    page = context.new_page()
    log_in(page, product)
    yield page
    context.close()


@pytest.fixture
def desk(page: Page, product: Product) -> Desk:
    """The schedule, an hour wide, with its live feed connected."""
    return Desk(page, product).open()


@pytest.fixture
def stamps(tmp_path: Path) -> Path:
    """Where an agent writes down that it ran: our evidence from outside the product."""
    return tmp_path / "stamps"
