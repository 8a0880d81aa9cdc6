"""The parts of a registration about what leaves an agent and what it is told in
confidence: `results` and `secrets`.

Short forms are widened here: a secret's name means "as a variable", a URL or an
absolute path "when it has ended". `secret_uses` reads them back from a stored spec.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from agents import names, web_targets
from agents.definition_parts import Strict
from agents.quantities import shown
from agents.secret_uses import DEFAULT_FORM, Use, variable_of

MAX_RESULTS = 16
MAX_PATH_CHARS = 300
SINKS = ("webhook", "stream", "file")
STREAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}", re.ASCII)
SecretName = Annotated[str, AfterValidator(names.secret)]


def stream_name(name: str) -> str:
    if not STREAM.fullmatch(name):
        raise ValueError(
            f"{shown(name)} is not the name of a stream: at most 100 ASCII letters, "
            "digits or any of _ . : -, beginning with a letter or digit"
        )
    return name


def file_path(path: str) -> str:
    """An absolute path; one that ends with / is a folder of files."""
    if len(path) > MAX_PATH_CHARS:
        raise ValueError(f"is longer than {MAX_PATH_CHARS} characters")
    names.absolute(path.rstrip("/") or path)
    return path


class Result(Strict):
    """One place that hears of a run that ended."""

    webhook: Annotated[str, AfterValidator(web_targets.url)] | None = None
    stream: Annotated[str, AfterValidator(stream_name)] | None = None
    file: Annotated[str, AfterValidator(file_path)] | None = None
    secret: SecretName | None = None
    on: Literal["success", "failure", "finish"] = "finish"

    @model_validator(mode="after")
    def one_place(self) -> Result:
        if sum(getattr(self, sink) is not None for sink in SINKS) != 1:
            raise ValueError(f"must name exactly one of {', '.join(SINKS)}")
        if self.secret and self.webhook is None:
            raise ValueError("a secret goes with a webhook, which it signs")
        return self


def widened_result(value: object) -> object:
    if isinstance(value, str):
        if value.startswith("/"):
            return {"file": value}
        return {"webhook": value}
    return value


ResultItem = Annotated[Result, BeforeValidator(widened_result)]


def no_twin_places(results: list[Result]) -> list[Result]:
    """Raises ValueError naming a place that comes twice: it would hear once."""
    seen: set[tuple[str, str]] = set()
    for one in results:
        place = place_of(one.model_dump())
        if place in seen:
            raise ValueError(f"{shown(place[1])} is named twice")
        seen.add(place)
    return results


def place_of(result: Mapping[str, Any]) -> tuple[str, str]:
    """(sink, target) of a result as a definition writes it."""
    return next((sink, result[sink]) for sink in SINKS if result.get(sink))


def stored_results(results: Sequence[Result]) -> list[dict[str, Any]]:
    return [one.model_dump(exclude_none=True) for one in results]


class SecretUse(Strict):
    """How one secret is given to the program."""

    name: SecretName
    form: Annotated[Literal["env", "file"], Field(alias="as")] = DEFAULT_FORM
    env: Annotated[str, AfterValidator(names.variable)] | None = None

    @model_validator(mode="after")
    def a_variable_that_can_be(self) -> SecretUse:
        if self.form == "file" and self.env:
            raise ValueError("env goes with as: env")
        if self.form == "env" and not self.env:
            _derived_is_fit(self.name)
        return self


def _derived_is_fit(name: str) -> None:
    try:
        names.variable(variable_of(name))
    except ValueError:
        raise ValueError(
            f"{shown(name)} makes no name of a variable; add one as env"
        ) from None


def widened_secret(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


SecretItem = Annotated[SecretUse, BeforeValidator(widened_secret)]


def no_twin_secrets(uses: list[SecretUse]) -> list[SecretUse]:
    """Raises ValueError for a secret, or a variable, that comes twice."""
    seen: set[str] = set()
    for use in uses:
        variable = _variable(use)
        for text in (use.name, f"${variable}" if variable else ""):
            if text and text in seen:
                raise ValueError(f"{shown(text)} is named twice")
            seen.add(text)
    return uses


def not_in_env(uses: list[SecretUse], env: Mapping[str, str]) -> list[SecretUse]:
    """Raises ValueError for a variable that `env` sets as well."""
    for use in uses:
        if _variable(use) in env:
            raise ValueError(f"{shown(_variable(use))} is set by env as well")
    return uses


def _variable(use: SecretUse) -> str:
    if use.form == "file":
        return ""
    return use.env or variable_of(use.name)


def stored_secrets(uses: Sequence[SecretUse]) -> list[Any]:
    """As the spec keeps them: a name alone where that says it all."""
    return [Use(u.name, u.form, _variable(u)).written() for u in uses]
