"""Nothing in the tree tells of the machine it was written on."""

from __future__ import annotations

import re
from pathlib import Path

from tests.house.tree import ROOT, every_file, name_of

BINARY = {".png", ".ico", ".woff2", ".woff", ".jpg", ".gz", ".br"}
TEXTS = [path for path in every_file() if path.suffix not in BINARY]
MACHINE_PATHS = re.compile(
    "|".join(
        re.escape(part) for part in {str(ROOT) + "/", "/" + "work/", "/tmp/" + "w/"}
    )
)
INDEX_HOSTS = re.compile(
    "|".join(re.escape(a + b) for a, b in [("pypi", ".org"), ("npmjs", ".org")])
)


def faults(path: Path) -> set[str]:
    text = path.read_text(errors="replace")
    return {*MACHINE_PATHS.findall(text), *INDEX_HOSTS.findall(text)}


def test_no_file_names_a_path_of_a_machine_or_a_package_host() -> None:
    found = {name_of(path): faults(path) for path in TEXTS}
    assert {name: told for name, told in found.items() if told} == {}
