"""How an agent shows that it serves and that it lives: readiness, liveness, watchdog.

A probe names exactly one way to look: {"notify": true}, {"port": 8080},
{"http": "http://127.0.0.1:8080/health"} or {"command": ["pg_isready"]}.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from agents import names
from agents.definition_parts import Strict, fits_argv
from agents.quantities import parse_duration, shown

FORMS = ("notify", "port", "http", "command")
Ports = Mapping[str, tuple[int, int]]
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_URL = 500
MAX_FAILURES = 100
Seconds = Annotated[
    float, BeforeValidator(partial(parse_duration, least_s=0.1, most_s=86_400))
]
Silence = Annotated[
    float, BeforeValidator(partial(parse_duration, least_s=0.5, most_s=86_400))
]


def probed_url(url: str) -> str:
    """An http URL of this machine: a probe must not reach for anything else."""
    if len(url) > MAX_URL:
        raise ValueError(f"is longer than {MAX_URL} characters")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"{shown(url)} is not a URL") from None
    if parts.scheme not in ("http", "https") or parts.username is not None:
        raise ValueError(f"{shown(url)} is not a plain http:// or https:// URL")
    if host not in LOOPBACK:
        raise ValueError(f"{shown(url)} must be on 127.0.0.1, localhost or [::1]")
    if not url.isascii() or any(c <= " " for c in url):
        raise ValueError(f"{shown(url)} is not a URL")
    return url


def probed_port(port: int | str) -> int | str:
    if isinstance(port, str):
        return names.label(port)
    if isinstance(port, bool) or not 1 <= port <= 65_535:
        raise ValueError("a port lies between 1 and 65535")
    return port


def probe_command(command: list[str]) -> list[str]:
    names.program(command[0])
    return fits_argv(command)


class Probe(Strict):
    notify: Literal[True] | None = None
    port: Annotated[int | str, AfterValidator(probed_port)] | None = None
    http: Annotated[str, AfterValidator(probed_url)] | None = None
    command: (
        Annotated[
            list[str],
            Field(min_length=1, max_length=100),
            AfterValidator(probe_command),
        ]
        | None
    ) = None
    timeout: Seconds = 2.0

    @model_validator(mode="after")
    def names_one_way(self) -> Probe:
        given = [form for form in FORMS if getattr(self, form) is not None]
        if len(given) != 1:
            raise ValueError("must name exactly one of notify, port, http, command")
        return self

    @property
    def form(self) -> str:
        return next(form for form in FORMS if getattr(self, form) is not None)


class Readiness(Probe):
    every: Seconds = 1.0
    within: Seconds = 60.0


class Liveness(Probe):
    every: Seconds = 10.0
    after: Annotated[
        float, BeforeValidator(partial(parse_duration, least_s=0, most_s=86_400))
    ] = 0.0
    failures: Annotated[int, Field(ge=1, le=MAX_FAILURES)] = 3

    @model_validator(mode="after")
    def not_by_notify(self) -> Liveness:
        if self.notify:
            raise ValueError("notify is for readiness; for signs of life use watchdog")
        return self


def fits(probe: Probe | None, said: Mapping[str, Any]) -> None:
    """Raises ValueError where this way to look cannot work for the rest that is said
    of the agent: its environment, ports and user."""
    if probe is None or probe.form == "notify":
        return
    environment, ports = said.get("exec_env"), said.get("ports", {})
    if isinstance(probe.port, str) and probe.port not in ports:
        raise ValueError(f"port: {probe.port} is not the name of one of its ports")
    if probe.command is not None:
        if environment not in (None, "subprocess"):
            raise ValueError(
                f"command: runs in the node, not in the agent's {environment}; "
                "use notify, port or http"
            )
        if said.get("run_as"):
            raise ValueError("command: runs as the node's user, not as run_as")
    elif environment == "sandbox" and not has_network(said):
        raise ValueError("a sandbox has no network to probe; use notify")
    elif environment == "docker" and not is_declared(
        probe.port or probe.http or "", ports
    ):
        raise ValueError("of a container only the ports it names can be probed")


def has_network(said: Mapping[str, Any]) -> bool:
    """Is it a sandbox that shares the machine's network?"""
    sandbox = said.get("sandbox")
    return sandbox is not None and sandbox.network == "host"


def is_declared(place: int | str, ports: Ports) -> bool:
    """Whether a port's name or number, or that of a URL, is one of these ports."""
    if place in ports:
        return True
    number = port_of(place) if isinstance(place, str) else place
    return any(first <= number <= last for first, last in ports.values())


def port_of(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


def probe_spec(probe: Probe | None) -> dict[str, Any] | None:
    """As it stands in a spec: the way to look, and its times in seconds."""
    if probe is None:
        return None
    times = {"every": "every_s", "timeout": "timeout_s", "within": "within_s"}
    times |= {"after": "after_s", "failures": "failures"}
    said = probe.model_dump()
    target = said[probe.form]
    found = {"by": probe.form, "target": target}
    return found | {new: said[old] for old, new in times.items() if old in said}


def probe_words(spec: Mapping[str, Any] | None, usual: Probe) -> dict[str, Any] | None:
    """The definition that gives this spec again; what is as usual is left out."""
    if spec is None:
        return None
    said = {key.removesuffix("_s"): value for key, value in spec.items()}
    form, target = said.pop("by"), said.pop("target")
    ordinary = usual.model_dump()
    return {form: target} | {k: v for k, v in said.items() if v != ordinary[k]}


USUAL_READINESS, USUAL_LIVENESS = Readiness(notify=True), Liveness(port=1)
