"""Pictures of every page, light, dark and on a phone, for docs/screens: `make screens`.

A product of its own with the demo fleet runs first, long enough that there are runs,
failures and a queue. Chromium makes the pictures; with `--format png --out FOLDER` they
are sharp ones to look at, and `--only agents,queue` makes a few.
"""

from __future__ import annotations

import argparse
import base64
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page
from playwright.sync_api import sync_playwright as start_playwright

from tests.live.harness import ROOT, Product, running_product
from tests.waiting import wait_for
from tools.screens_scenes import SCENES, Scene, Sights

OUT = ROOT / "docs" / "screens"
QUALITY = 72
CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"]
FILL_S = 240.0  # until the demo fleet has something to show
QUIET_MS = 900  # until what was asked for stands there, and nothing moves any more


@dataclass(frozen=True, slots=True)
class Look:
    """How a picture is taken."""

    name: str
    width: int
    height: int
    scheme: str
    phone: bool = False


LOOKS = (
    Look("light", 1440, 900, "light"),
    Look("dark", 1440, 900, "dark"),
    Look("phone", 390, 844, "light", phone=True),
)


# -- what there is to see -------------------------------------------------------------


def fill(product: Product) -> Sights:
    """Wait until the demo fleet has run, failed and queued; add runs that must wait."""
    product.register(
        "embedder", "/bin/sleep", "3600", cpu=0.2, memory="512MB", priority="high"
    )
    product.register(
        "summarizer", "/bin/sleep", "60", cpu=512, memory="1GB", priority="medium"
    )
    product.spawn("embedder", 2)
    product.spawn("summarizer", 3)
    for agent in ("report_daily", "log_archiver", "schema_migration", "flaky_importer"):
        product.spawn(agent)

    def failed() -> str | None:
        runs = product.get("runs/?state=failed&limit=1")["items"]
        return str(runs[0]["uid"]) if runs else None

    def many() -> bool:
        return bool(len(product.get("runs/?limit=12")["items"]) == 12)

    wait_for(many, timeout_s=FILL_S, every_s=2)
    uid = wait_for(failed, timeout_s=FILL_S, every_s=2)
    running = product.get("runs/?state=running&agent=embedder")["items"][0]["uid"]
    return Sights(failed=str(uid), running=str(running))


# -- taking pictures ------------------------------------------------------------------


@contextmanager
def looking(browser: Browser, look: Look) -> Iterator[BrowserContext]:
    context = browser.new_context(
        viewport={"width": look.width, "height": look.height},
        color_scheme="dark" if look.scheme == "dark" else "light",
        has_touch=look.phone,
        is_mobile=look.phone,
        reduced_motion="reduce",
        timezone_id="Europe/Berlin",
        locale="en-GB",
    )
    context.set_default_timeout(15_000)
    yield context
    context.close()


def log_in(page: Page, product: Product) -> None:
    page.goto(f"{product.url}/login/?next=/schedule")
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(product.admin_password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(re.compile("/schedule"))


def shoot(page: Page, file: Path) -> None:
    page.wait_for_timeout(QUIET_MS)
    asked: dict[str, object] = {"format": file.suffix[1:]}
    if file.suffix == ".webp":
        asked["quality"] = QUALITY
    taken = page.context.new_cdp_session(page).send("Page.captureScreenshot", asked)
    file.write_bytes(base64.b64decode(taken["data"]))


def take(page: Page, product: Product, scene: Scene, sights: Sights) -> None:
    """Bring a page into the state that is to be shown."""
    page.goto(product.url + scene.path.format(**sights.words()))
    page.wait_for_load_state("networkidle")
    if scene.act:
        page.wait_for_timeout(QUIET_MS)
        scene.act(page)


def album(
    browser: Browser,
    product: Product,
    scenes: list[Scene],
    sights: Sights,
    name: Callable[[Scene, Look], Path],
) -> None:
    for look in LOOKS:
        with looking(browser, look) as context:
            page = context.new_page()
            shown = [scene for scene in scenes if not (look.phone and scene.desk_only)]
            if not all(scene.anonymous for scene in shown):
                log_in(page, product)
            for scene in shown:
                if scene.anonymous:
                    context.clear_cookies()
                try:
                    take(page, product, scene, sights)
                except Exception as fault:  # one page must not cost all pictures
                    say(f"{scene.name} ({look.name}): {str(fault).splitlines()[0]}")
                shoot(page, name(scene, look))


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--format", choices=("webp", "png"), default="webp")
    parser.add_argument("--all", action="store_true", help="states of less note too")
    parser.add_argument("--only", default="", help="names of pictures, with commas")
    return parser.parse_args()


def main() -> int:
    if CHROMIUM is None:
        say("needs a browser: apt-get install chromium")
        return 1
    given = arguments()
    given.out.mkdir(parents=True, exist_ok=True)
    wanted = {name for name in given.only.split(",") if name}
    chosen = [
        scene
        for scene in SCENES
        if (scene.name in wanted if wanted else given.all or not scene.extra)
    ]

    def name(scene: Scene, look: Look) -> Path:
        return Path(given.out / f"{scene.name}-{look.name}.{given.format}")

    with start_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for fleet in (False, True):
            scenes = [scene for scene in chosen if scene.fleet is fleet]
            if not scenes:
                continue
            home = Path(folder) / ("fleet" if fleet else "empty")
            home.mkdir()
            with running_product(home, demo=fleet) as product:
                sights = fill(product) if fleet else Sights()
                album(browser, product, scenes, sights, name)
        browser.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
