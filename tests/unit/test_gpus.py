"""The GPUs of a node: what a driver names, what is declared, and both together."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agents import gpus
from tests.house.tree import ROOT

DRIVER = """
#include <stdio.h>
#include <string.h>
struct memory { unsigned long long total, free, used; };
struct busy { unsigned int gpu, memory; };
int nvmlInitWithFlags(unsigned int flags) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) {
    *device = (void *)(unsigned long)(index + 1);
    return 0;
}
int nvmlDeviceGetUUID(void *device, char *text, unsigned int length) {
    snprintf(text, length, "GPU-%lu", (unsigned long)device);
    return 0;
}
int nvmlDeviceGetName(void *device, char *text, unsigned int length) {
    snprintf(text, length, "Test card");
    return 0;
}
int nvmlDeviceGetMemoryInfo(void *device, struct memory *found) {
    found->total = 24000000000ULL;
    found->used = 1000;
    found->free = found->total - found->used;
    return 0;
}
int nvmlDeviceGetUtilizationRates(void *device, struct busy *found) {
    if (device == (void *)2UL) return 3;  /* not supported: left out */
    found->gpu = 50;
    found->memory = 10;
    return 0;
}
"""
LOOK = """
import json, django
django.setup()
from monitor import resource_manager
print(json.dumps(resource_manager.gpus()))
"""
SEEN: list[dict[str, Any]] = [
    {"id": "GPU-1", "index": 0, "name": "A10", "memory_total_bytes": 24 * 10**9},
    {"id": "GPU-2", "index": 1, "name": "A10"},
]


def seen_by_the_sampler(**env: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "kos_scheduler.settings", **env},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(
    not shutil.which("cc") and not os.environ.get("CI"), reason="no C compiler"
)
def test_the_driver_is_asked_by_its_own_library(tmp_path: Path) -> None:
    source, library = tmp_path / "driver.c", tmp_path / "libnvidia-ml.so.1"
    source.write_text(DRIVER)
    built = ["cc", "-shared", "-fPIC", "-o", str(library), str(source)]
    subprocess.run(built, check=True, timeout=60)
    first, second = seen_by_the_sampler(LD_LIBRARY_PATH=str(tmp_path))
    assert first == {
        "id": "GPU-1",
        "index": 0,
        "name": "Test card",
        "memory_used_bytes": 1000,
        "memory_total_bytes": 24 * 10**9,
        "busy_fraction": 0.5,
    }
    assert second["id"] == "GPU-2"
    assert "busy_fraction" not in second


def test_a_declaration_speaks_of_the_drivers_device_by_its_id_or_number() -> None:
    declared = gpus.read([{"id": "GPU-1", "share": 2}, {"id": "1", "share": 3}])
    found = gpus.inventory(SEEN, declared)
    assert [(d["id"], d["share"], d["declared"]) for d in found] == [
        ("GPU-1", 2, False),
        ("GPU-2", 3, False),
    ]
    assert found[0]["memory_bytes"] == 24 * 10**9
    assert gpus.places(found) == 5


def test_a_device_no_driver_knows_is_only_declared() -> None:
    found = gpus.inventory([], gpus.from_words("gpu0:24GB:2, gpu1"))
    assert found == [
        {
            "id": "gpu0",
            "model": "",
            "memory_bytes": 24 * 10**9,
            "share": 2,
            "declared": True,
        },
        {
            "id": "gpu1",
            "model": "",
            "memory_bytes": None,
            "share": 1,
            "declared": True,
        },
    ]
    assert gpus.inventory([], ()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        "gpu0",
        [0],
        [{"id": ""}],
        [{"id": "a b"}],
        [{"id": "a"}, {"id": "a"}],
        [{"id": "a", "share": 0}],
        [{"id": "a", "share": True}],
        [{"id": "a", "memory": "much"}],
        [{"id": "a", "colour": "red"}],
        [{"id": "a", "model": 5}],
        [{"model": "A10"}],
    ],
)
def test_a_wrong_declaration_is_refused(wrong: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        gpus.read(wrong)


def test_a_declaration_is_written_as_it_was_read() -> None:
    said = [{"id": "gpu0", "model": "A10", "memory": "24GB", "share": 2}, {"id": "b"}]
    assert gpus.write(gpus.read(said)) == said


@pytest.mark.parametrize("words", ["a:1GB:2:3", "a b", "a::x", "a,a"])
def test_wrong_words_are_refused(words: str) -> None:
    with pytest.raises((TypeError, ValueError)):
        gpus.from_words(words)
