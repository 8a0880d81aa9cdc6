"""Docs that cannot rot: what the code has, the docs name."""

from __future__ import annotations

import re
from functools import cache

import pytest

from agents.config_keys import KEYS
from kos_scheduler.api_errors import STATUS_BY_CODE
from kos_scheduler.roles import RULES
from monitor.metrics import METRICS
from tests.house.tree import APPS, ROOT
from tools.run_states import PAGE, render

CODE_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
COMMANDS = sorted(
    path.stem
    for app in APPS
    for path in (ROOT / app / "management" / "commands").glob("[a-z]*.py")
)


@cache
def page(name: str) -> str:
    return (ROOT / name).read_text()


def environment_variables() -> list[str]:
    """Those of ours that a person may set: settings read them."""
    settings = page("kos_scheduler/settings.py")
    read = re.findall(r"(?:environ\.get|environ|words)[(\[]\s*\"(\w+)\"", settings)
    return sorted(set(read) - {"KOS_PROCESS"})


@pytest.mark.parametrize("key", KEYS)
def test_a_config_key_is_explained(key: str) -> None:
    assert f"`{key}`" in page("docs/operations.md")


@pytest.mark.parametrize("variable", environment_variables())
def test_an_environment_variable_is_explained(variable: str) -> None:
    assert f"`{variable}`" in page("docs/operations.md")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_management_command_is_explained(command: str) -> None:
    assert f"`manage.py {command}" in page("docs/operations.md")


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_is_explained(metric: str) -> None:
    assert f"`{metric}`" in page("docs/operations.md")


@pytest.mark.parametrize("route", [r for r in RULES if r.startswith("api/")])
def test_a_route_is_explained_with_its_methods(route: str) -> None:
    written = route.removeprefix("api/v1/").replace("{}", "{id}")
    rows = re.findall(rf"^\| `{re.escape(written)}` \|(.*?)\|", api(), re.MULTILINE)
    assert rows, f"docs/api.md has no row for {written}"
    told = {part.strip() for part in rows[0].split(",")}
    rule = RULES[route].items()
    assert told == {f"{m} {role or 'anyone'}" for m, role in rule if m != "HEAD"}


def api() -> str:
    return page("docs/api.md")


@pytest.mark.parametrize(("code", "status"), STATUS_BY_CODE.items())
def test_an_error_code_is_explained_with_its_status(code: str, status: int) -> None:
    assert f"| `{code}` | {status} |" in api()


def test_the_page_of_states_is_up_to_date() -> None:
    assert PAGE.read_text() == render(), "run: make docs"


def test_the_readme_has_exactly_two_commands_to_set_up() -> None:
    first = CODE_BLOCK.search(page("README.md"))
    assert first
    commands = [line.partition("#")[0].strip() for line in first[1].splitlines()]
    assert [command for command in commands if command] == ["make run", "make test"]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/operations.md"])
def test_a_make_target_that_is_named_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", page("Makefile"), re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z0-9-]+)", page(name), re.M)) <= targets


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "CONTRIBUTING.md",
        "docs/operations.md",
        "docs/api.md",
        "docs/agents.md",
    ],
)
def test_a_link_to_a_file_leads_somewhere(name: str) -> None:
    here = (ROOT / name).parent
    links = re.findall(r"\]\(((?!https?:|#)[^)#]+)", page(name))
    assert [link for link in links if not (here / link).exists()] == []
