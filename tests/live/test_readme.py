"""The README's first five minutes, as a reader would type them."""

from __future__ import annotations

import re
import subprocess

from tests.live.harness import PYTHON, ROOT, Product

CODE_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)


def script_of_the_readme(product: Product) -> str:
    """The block that makes a token and talks to the API, for this product."""
    blocks = CODE_BLOCK.findall((ROOT / "README.md").read_text())
    [script] = [block for block in blocks if "manage.py token" in block]
    script = script.replace("http://127.0.0.1:8000", product.url)
    return script.replace(".venv/bin/python", PYTHON)


def test_the_readmes_commands_make_an_agent_and_its_schedule(product: Product) -> None:
    ran = subprocess.run(
        ["bash", "-euc", script_of_the_readme(product)],
        cwd=ROOT,
        env=product.environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert product.get("agents/hello/")["agent_id"] == "hello"
    [schedule] = product.get("schedules/?agent=hello")["items"]
    assert schedule["next_due_at"]
