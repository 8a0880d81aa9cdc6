"""The parts of a registration that have a shape of their own: docker, retries, hooks…

Short forms are widened here: 3 retries are {"limit": 3}, a cascade's name means "on
success". Every rule raises ValueError with one sentence.
"""

from __future__ import annotations

import signal
from collections import Counter
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    field_validator,
)

from agents import names
from agents.quantities import parse_duration, shown

MAX_ARGUMENT_BYTES = 131_071  # Linux: MAX_ARG_STRLEN less its NUL
MAX_ARGV_BYTES = 1_000_000  # half of what Linux gives argv and env together
MAX_ITEMS = 64  # of a list of names
MAX_RETRIES = 100

Item = TypeVar("Item")
AgentId = Annotated[str, AfterValidator(names.agent_id)]
Duration = Annotated[float, BeforeValidator(parse_duration)]
Factor = Annotated[float, Field(ge=1, le=10, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


def no_twins(items: list[Item]) -> list[Item]:
    """Raises ValueError naming the first item that comes twice."""
    seen: set[str] = set()
    for item in items:
        if (text := str(item)) in seen:
            raise ValueError(f"{shown(text)} is named twice")
        seen.add(text)
    return items


def fits_argv(arguments: list[str]) -> list[str]:
    """Raises ValueError where Linux would refuse to start a program with these."""
    sizes = [len(a.encode()) for a in arguments]
    if any(size > MAX_ARGUMENT_BYTES for size in sizes):
        raise ValueError(f"one argument is longer than {MAX_ARGUMENT_BYTES} bytes")
    if sum(sizes) + 9 * len(sizes) > MAX_ARGV_BYTES:
        raise ValueError(f"all arguments together exceed {MAX_ARGV_BYTES} bytes")
    return arguments


def ending(item: object) -> int | str:
    """An exit code of 1 to 255, or the name of a signal."""
    if isinstance(item, int) and not isinstance(item, bool) and 1 <= item <= 255:
        return item
    if isinstance(item, str) and item in signal.Signals.__members__:
        return item
    raise ValueError(
        f"{shown(item)} is neither an exit code (1 to 255) "
        'nor the name of a signal such as "SIGKILL"'
    )


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Mount(Strict):
    source: Annotated[str, AfterValidator(names.mount_source)]
    target: Annotated[str, AfterValidator(names.absolute)]
    read_only: bool = True


class Docker(Strict):
    image: Annotated[str, AfterValidator(names.image)] | None = None
    network: str = "none"
    mounts: Annotated[list[Mount], FailFast(), Field(max_length=MAX_ITEMS)] = []
    user: Annotated[str, AfterValidator(names.container_user)] | None = None
    workdir: Annotated[str, AfterValidator(names.absolute)] | None = None
    pull: Literal["missing", "always", "never"] = "missing"
    registry_secret: Annotated[str, AfterValidator(names.secret)] | None = None

    @field_validator("network")
    @classmethod
    def own_network(cls, name: str) -> str:
        if name == "host" or name.startswith("container:"):
            raise ValueError(f"{shown(name)} would share somebody else's network")
        return names.label(name)

    @field_validator("workdir")
    @classmethod
    def real_folder(cls, path: str | None) -> str | None:
        if path and names.is_under(path, names.KERNEL_FOLDERS):
            raise ValueError(f"{shown(path)} is not a folder to work in")
        return path


class Sandbox(Strict):
    """What a sandbox sees of the machine besides the system's own programs."""

    network: Literal["none", "host"] = "none"
    mounts: Annotated[list[Mount], FailFast(), Field(max_length=MAX_ITEMS)] = []

    @field_validator("mounts")
    @classmethod
    def beside_the_system(cls, mounts: list[Mount]) -> list[Mount]:
        for number, mount in enumerate(mounts, 1):
            if mount.target == "/" or names.is_under(mount.target, names.OF_SANDBOXES):
                said = f"nothing can be mounted at {shown(mount.target)}"
                raise ValueError(f"item {number}: {said}, which a sandbox has itself")
        if twin := next(iter(_twins([mount.target for mount in mounts])), None):
            raise ValueError(f"two mounts at {shown(twin)}")
        return mounts


def _twins(items: list[str]) -> list[str]:
    return sorted(item for item, times in Counter(items).items() if times > 1)


class Cascade(Strict):
    agent: AgentId
    on: Literal["success", "failure", "finish"] = "success"


class Retries(Strict):
    limit: Annotated[int, Field(ge=0, le=MAX_RETRIES)] = 0
    delay: Duration = 1.0
    factor: Factor = 2.0
    max_delay: Duration = 300.0
    jitter: Share = 0.1
    on: Annotated[
        list[Annotated[int | str, BeforeValidator(ending)]],
        FailFast(),
        Field(max_length=MAX_ITEMS),
        AfterValidator(no_twins),
    ] = []


class Backoff(Strict):
    delay: Duration = 1.0
    factor: Factor = 2.0
    max_delay: Duration = 300.0
    reset_after: Duration = 60.0
    crash_loop: Annotated[int, Field(ge=0, le=1_000)] = 10  # crashes in a row; 0: never


def widened(value: object, *, key: str, scalars: tuple[type, ...], form: str) -> Any:
    """{key: value} for the short form of an object; an object as it came."""
    if isinstance(value, scalars) and not isinstance(value, bool):
        return {key: value}
    if not isinstance(value, dict | BaseModel):
        raise ValueError(f"must be {form}, not {shown(value)}")
    return value


def _short(key: str, *scalars: type, form: str) -> BeforeValidator:
    return BeforeValidator(partial(widened, key=key, scalars=scalars, form=form))


widen_retries = _short(
    "limit", int, float, form='a number of retries or an object such as {"limit": 3}'
)
widen_backoff = _short(
    "delay", int, float, str, form='a duration or an object such as {"delay": "5s"}'
)
widen_cascade = _short(
    "agent", str, form='the id of an agent or {"agent": …, "on": "success"}'
)
