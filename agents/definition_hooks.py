"""Life-cycle hooks as a registration states them, and as a spec keeps them.

Each has a `when` and exactly one thing to do: run, preload, warm_up, archive or
dispatch.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    FailFast,
    Field,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticUndefined

from agents import names
from agents.definition_health import Ports, is_declared
from agents.definition_parts import Duration, Strict, fits_argv, no_twins
from agents.definition_results import Result, ResultItem
from agents.hooks import beneath
from agents.quantities import parse_duration, shown
from agents.text import unreadable

Phase = Literal["pre-start", "post-start", "checkpoint", "on-shutdown"]
Rule = Literal["fail", "warn", "ignore"]
RULE = {
    "pre-start": "fail",
    "post-start": "warn",
    "checkpoint": "warn",
    "on-shutdown": "warn",
}
ONLY_AT = {
    "preload": "pre-start",
    "warm_up": "post-start",
    "signal": "checkpoint",
    "archive": "on-shutdown",
    "dispatch": "on-shutdown",
}
DOES = ("run", *ONLY_AT)
SIGNALS = ("SIGUSR1", "SIGUSR2", "SIGHUP", "SIGINT", "SIGALRM", "SIGWINCH")
MOST_WORDS = 100
MOST_URL_CHARS = 2000
SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
ARCHIVE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,200}\.tar\.gz", re.ASCII)
Every = Annotated[
    float, BeforeValidator(partial(parse_duration, least_s=0.1, most_s=600))
]


def plain(text: str) -> str:
    """Text that is taken as it stands."""
    if said := unreadable(text):
        raise ValueError(said)
    if "{{" in text or "{%" in text:
        raise ValueError(
            f"templates are not filled in here: {shown(text)} would be passed "
            "as it stands"
        )
    return text


def command(words: list[str] | None) -> list[str] | None:
    if words is None:
        return None
    if not 1 <= len(words) <= MOST_WORDS:
        raise ValueError(f"must have 1 to {MOST_WORDS} entries")
    for text in words:
        plain(text)
    names.program(words[0])
    return fits_argv(words)


Command = Annotated[list[str] | None, AfterValidator(command)]


def inside(name: str) -> str:
    """A name in the work folder."""
    try:
        parts = beneath.parts_of(plain(name))
    except beneath.Unsafe as unsafe:
        raise ValueError(f"{shown(name)} {unsafe}") from None
    if not parts or name.endswith("/"):
        raise ValueError("must name a file or folder in the work folder")
    return "/".join(parts)


def whence(text: str) -> str:
    """A URL, a path of the node, or a name in the work folder."""
    plain(text)
    if "://" not in text and not text.startswith(("http:", "https:", "file:")):
        return names.absolute(text) if text.startswith("/") else inside(text)
    try:
        parts = urlsplit(text)
        whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole or parts.scheme not in ("http", "https") or parts.fragment:
        raise ValueError(f"{shown(text)} is neither a URL of https nor a plain path")
    if parts.username or parts.password:
        raise ValueError("a URL with a password in it would be shown to everybody")
    if len(text) > MOST_URL_CHARS or not text.isascii() or " " in text:
        raise ValueError(f"must be ASCII of at most {MOST_URL_CHARS} characters")
    return text


def digest(text: str) -> str:
    if not SHA256.fullmatch(text):
        raise ValueError("must be 64 hexadecimal digits in lower case")
    return text


def archive_name(text: str) -> str:
    if not ARCHIVE.fullmatch(text):
        raise ValueError(f"{shown(text)} is not a plain name that ends in .tar.gz")
    return text


def kept(text: str) -> str:
    """ "output", "logs", "artefacts" or a glob in the work folder."""
    return inside(text)


def is_of_this_machine(url: str) -> bool:
    """Whether a URL of http leads to this machine and nowhere else."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if parts.scheme != "http" or parts.username or parts.password or not host:
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Preload(Strict):
    source: Annotated[str, AfterValidator(whence)] = Field(alias="from")
    to: Annotated[str, AfterValidator(inside)]
    sha256: Annotated[str, AfterValidator(digest)] | None = None
    unpack: bool = False
    cache: bool | None = None

    @model_validator(mode="after")
    def can_be_checked(self) -> Preload:
        if self.source.startswith("http:") and not self.sha256:
            raise ValueError("what comes over http needs its sha256; or use https")
        if self.cache and not self.sha256:
            raise ValueError("cache needs the sha256: the cache is ordered by it")
        return self


class WarmUp(Strict):
    http: Annotated[str, AfterValidator(plain)] | None = None
    expect: Annotated[int, Field(ge=100, le=599)] = 200
    command: Command = None
    every: Every = 1.0

    @field_validator("http")
    @classmethod
    def on_this_machine(cls, url: str | None) -> str | None:
        if url and not is_of_this_machine(url):
            raise ValueError(
                f"{shown(url)} does not lead to the agent's own node: "
                "http://127.0.0.1:PORT/… does"
            )
        return url

    @model_validator(mode="after")
    def asks_one_way(self) -> WarmUp:
        if (self.http is None) == (self.command is None):
            raise ValueError("needs exactly one of http and command")
        if self.command and "expect" in self.model_fields_set:
            raise ValueError(
                "expect goes with http; a command answers by ending with 0"
            )
        return self


class Archive(Strict):
    what: Annotated[
        list[Annotated[str, AfterValidator(kept)]],
        FailFast(),
        Field(min_length=1, max_length=20),
        AfterValidator(no_twins),
    ] = ["output"]
    to: Annotated[str, AfterValidator(names.absolute), AfterValidator(plain)]
    name: Annotated[str, AfterValidator(archive_name)] | None = None


def signal_name(name: str) -> str:
    if name not in SIGNALS:
        raise ValueError(f"expected one of {', '.join(SIGNALS)}")
    return name


class Hook(Strict):
    when: Phase
    run: Command = None
    signal: Annotated[str, AfterValidator(signal_name)] | None = None
    preload: Preload | None = None
    warm_up: WarmUp | None = None
    archive: Archive | None = None
    dispatch: ResultItem | None = None
    timeout: Duration = 30.0
    on_failure: Rule | None = None

    @property
    def does(self) -> str:
        return next(name for name in DOES if getattr(self, name) is not None)

    @model_validator(mode="after")
    def does_one_thing_in_its_time(self) -> Hook:
        stated = [name for name in DOES if getattr(self, name) is not None]
        if len(stated) != 1:
            raise ValueError(f"needs exactly one of {', '.join(DOES)}")
        only = ONLY_AT.get(stated[0], self.when)
        if self.when != only:
            raise ValueError(f"{stated[0]} goes with {only}, not {self.when}")
        if self.when == "on-shutdown" and self.on_failure == "fail":
            raise ValueError(
                "on_failure: the run is over by then and cannot fail: warn or ignore"
            )
        if self.when == "checkpoint" and self.on_failure == "fail":
            raise ValueError(
                "on_failure: the run yields whether it was saved or not: warn or ignore"
            )
        return self


def fits_environment(
    hook: Hook, environment: str, ports: Ports, *, has_network: bool
) -> str:
    """Why the hook cannot be kept there; "" if it can. `has_network`: of a sandbox."""
    if hook.warm_up is None or hook.warm_up.http is None:
        return ""
    if environment == "sandbox" and not has_network:
        return "warm_up: http cannot reach into a sandbox, which has its own network"
    if environment == "docker" and not is_declared(hook.warm_up.http, ports):
        return "warm_up: http reaches only those ports of a container that it names"
    return ""


# -- as a spec keeps them -------------------------------------------------------------


def normalised(hooks: Sequence[Hook]) -> dict[str, list[dict[str, Any]]]:
    """Phase -> its steps in order: {"run": […] | "preload": {…} | …, "timeout_s",
    "on_failure"}."""
    phases: dict[str, list[dict[str, Any]]] = {}
    for hook in hooks:
        step = {
            hook.does: _options(hook),
            "timeout_s": hook.timeout,
            "on_failure": hook.on_failure or RULE[hook.when],
        }
        phases.setdefault(hook.when.replace("-", "_"), []).append(step)
    return phases


def _options(hook: Hook) -> Any:
    if hook.run is not None:
        return list(hook.run)
    if hook.signal is not None:
        return hook.signal
    if hook.preload is not None:
        options = hook.preload.model_dump(by_alias=True)
        return {**options, "cache": options["cache"] is not False}
    if hook.warm_up is not None:
        options = hook.warm_up.model_dump()
        every_s = options.pop("every")
        return {**options, "every_s": every_s}
    if hook.dispatch is not None:
        return hook.dispatch.model_dump(exclude_none=True)
    assert hook.archive is not None
    return hook.archive.model_dump()


def in_words(phases: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The hooks of a registration that give these phases again, short."""
    return [
        _in_words(phase.replace("_", "-"), step)
        for phase, steps in phases.items()
        for step in steps
    ]


def _in_words(when: str, step: Mapping[str, Any]) -> dict[str, Any]:
    does = next(name for name in DOES if name in step)
    said: dict[str, Any] = {"when": when, does: step[does]}
    if does not in ("run", "signal"):
        said[does] = _shortened(does, step[does])
    said["timeout"] = step["timeout_s"]
    rule = step.get("on_failure", RULE[when])  # not in specs of before
    return said if rule == RULE[when] else {**said, "on_failure": rule}


SHAPES: dict[str, type[Strict]] = {
    "preload": Preload,
    "warm_up": WarmUp,
    "archive": Archive,
    "dispatch": Result,
}


def _shortened(does: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is as usual."""
    stated = {("every" if k == "every_s" else k): v for k, v in options.items()}
    if does == "preload" and stated["cache"]:
        del stated["cache"]
    fields = SHAPES[does].model_fields
    usual = {f.alias or name: f.default for name, f in fields.items()}
    return {
        k: v
        for k, v in stated.items()
        if usual[k] is PydanticUndefined or v != usual[k]
    }
