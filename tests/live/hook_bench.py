"""A product that lets hooks fetch and archive, and how hooks are said and seen."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.depot import Depot, open_depot
from tests.live.harness import Product, running_product
from tests.waiting import wait_for

CONFIG = """
max_concurrent_agents: 40
paths: {{preload_roots: [{0}/data], archive_roots: [{0}/kept]}}
preload: {{private_hosts: [127.0.0.1]}}
results: {{allow_private_targets: true, timeout: 2, retries: [0.5s, 1s, 1s]}}
"""


@pytest.fixture(scope="module")
def hooks_product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("kos")
    for name in ("data", "kept"):
        (folder / name).mkdir()
    (folder / "config.yaml").write_text(CONFIG.format(folder))
    env = {"KOS_CONFIG": str(folder / "config.yaml")}
    with running_product(folder, env=env) as product:
        yield product


@pytest.fixture
def depot() -> Iterator[Depot]:
    with open_depot() as depot:
        yield depot


def packed(**files: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return file.getvalue()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def preload(source: str, to: str = "model", **more: Any) -> dict[str, Any]:
    return {"when": "pre-start", "preload": {"from": source, "to": to, **more}}


def before(*command: str, **more: Any) -> dict[str, Any]:
    return {"when": "pre-start", "run": list(command), **more}


def shell(when: str, script: str, **more: Any) -> dict[str, Any]:
    return {"when": when, "run": ["/bin/sh", "-c", script], **more}


def phases(product: Product, uid: str) -> list[tuple[str, str]]:
    return [(p["name"], p["outcome"]) for p in product.run(uid)["phases"]]


def settled(product: Product, uid: str) -> list[dict[str, Any]]:
    """The steps of a run that is over, once they are over too."""
    product.wait_for_end(uid)

    def over() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = product.run(uid)["phases"]
        return found if found and all(p["outcome"] for p in found) else []

    return wait_for(over, timeout_s=30, every_s=0.1)


def work(product: Product, uid: str) -> Path:
    return product.var / "runs" / uid[:2] / uid / "work"
