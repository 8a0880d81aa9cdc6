"""What is shipped to run us as a service."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house.tree import APPS, ROOT, name_of

UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))


@pytest.mark.parametrize("unit", UNITS, ids=name_of)
def test_a_unit_leaves_agents_running_and_gives_them_cgroups(unit: Path) -> None:
    lines = unit.read_text().splitlines()
    assert "KillMode=process" in lines
    assert "Delegate=yes" in lines


@pytest.mark.parametrize("unit", UNITS, ids=name_of)
def test_a_unit_starts_a_command_there_is(unit: Path) -> None:
    [start] = [x for x in unit.read_text().splitlines() if x.startswith("ExecStart=")]
    command = start.partition("manage.py ")[2].split()[0]
    files = [ROOT / app / "management/commands" / f"{command}.py" for app in APPS]
    assert command == "up" or any(file.exists() for file in files)
