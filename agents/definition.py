"""The shape of a registration, field by field: what may be sent, in which bounds.

Strict: nothing is coerced, an unknown key is a fault. Fields that others depend on come
first, so that a rule finds them in `info.data` and all faults are told at once.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    FailFast,
    Field,
    PlainValidator,
    ValidationInfo,
    field_validator,
)

from agents import definition_gangs, names, requirements
from agents.definition_concurrency import Concurrency
from agents.definition_deadlines import OnMissedFinish, OnMissedStart, misfit
from agents.definition_health import (
    Liveness,
    Readiness,
    Silence,
    fits,
    has_network,
)
from agents.definition_hooks import Hook, fits_environment
from agents.definition_parts import (
    MAX_ITEMS,
    AgentId,
    Backoff,
    Cascade,
    Docker,
    Duration,
    Retries,
    Sandbox,
    Strict,
    fits_argv,
    no_twins,
    widen_backoff,
    widen_cascade,
    widen_retries,
)
from agents.definition_placement import Placement
from agents.definition_places import Requirement, Requirements, parse_ports
from agents.definition_results import (
    MAX_RESULTS,
    ResultItem,
    SecretItem,
    SecretUse,
    no_twin_places,
    no_twin_secrets,
    not_in_env,
)
from agents.definition_synonyms import Synonyms
from agents.quantities import (
    parse_bandwidth,
    parse_cpu,
    parse_duration,
    parse_memory,
)

MAX_ARGUMENTS = 1_000
MAX_VARIABLES = 200
MAX_VALUE_BYTES = 32_768
MAX_HOOKS = 20  # of all phases together
MAX_GPUS = 64
MAX_GRACE_S = 3_600.0

Kind = Literal["persistent", "ephemeral", "cascading"]
Environment = Literal["subprocess", "docker", "systemd", "sandbox"]
PriorityWord = Literal["critical", "high", "medium", "low", "background"]
Policy = Literal["always", "on-failure", "never"]

bounded = (FailFast(), Field(max_length=MAX_ITEMS))
Label = Annotated[str, AfterValidator(names.label)]
Tag = Annotated[str, AfterValidator(names.tag)]
Labels = Annotated[list[Label], *bounded, AfterValidator(no_twins)]
Grace = Annotated[
    float, BeforeValidator(partial(parse_duration, least_s=0, most_s=MAX_GRACE_S))
]


def short_value(text: str) -> str:
    if len(text.encode()) > MAX_VALUE_BYTES:
        raise ValueError(f"is longer than {MAX_VALUE_BYTES} bytes")
    return text


Variables = Annotated[
    dict[
        Annotated[str, AfterValidator(names.variable)],
        Annotated[str, AfterValidator(short_value)],
    ],
    Field(max_length=MAX_VARIABLES),
]
Arguments = Annotated[
    list[str],
    FailFast(),
    Field(max_length=MAX_ARGUMENTS),
    AfterValidator(fits_argv),
]
CascadeItem = Annotated[Cascade, widen_cascade]


class Definition(Strict):
    """A registration as it is sent. `model_fields_set` tells what was stated."""

    agent_id: AgentId
    kind: Kind = "ephemeral"
    exec_env: Environment
    entry_point: Annotated[str, AfterValidator(names.program)]
    args: Arguments = []
    env: Variables = {}
    docker: Docker | None = Field(None, validate_default=True)
    sandbox: Sandbox | None = None
    priority: PriorityWord = "medium"
    capabilities: Labels = []
    synonyms: Synonyms = []
    tags: Annotated[list[Tag], *bounded, AfterValidator(no_twins)] = []
    cpu: Annotated[int, BeforeValidator(parse_cpu)] = 100
    gpu: Annotated[int, Field(ge=0, le=MAX_GPUS)] = 0
    memory: Annotated[int, BeforeValidator(parse_memory)] = 128 * 10**6
    bandwidth: Annotated[int, BeforeValidator(parse_bandwidth)] | None = None
    ports: Annotated[dict[str, tuple[int, int]], PlainValidator(parse_ports)] = {}
    requires: Requirements = []
    placement: Placement | None = None
    depends_on: Annotated[
        list[AgentId],
        *bounded,
        AfterValidator(no_twins),
        Field(validate_default=True),
    ] = []
    cascades: Annotated[list[CascadeItem], *bounded, AfterValidator(no_twins)] = []
    hooks: Annotated[list[Hook], FailFast(), Field(max_length=MAX_HOOKS)] = []
    timeout: Duration | None = None
    start_by: Duration | None = None
    finish_by: Duration | None = None
    on_missed_start: OnMissedStart | None = None
    on_missed_finish: OnMissedFinish | None = None
    retries: Annotated[Retries, widen_retries] = Retries()
    restart: Policy | None = None
    restart_backoff: Annotated[Backoff, widen_backoff] = Backoff()
    grace_period: Grace = 10.0
    secrets: Annotated[list[SecretItem], *bounded, AfterValidator(no_twin_secrets)] = []
    results: Annotated[
        list[ResultItem],
        FailFast(),
        Field(max_length=MAX_RESULTS),
        AfterValidator(no_twin_places),
    ] = []
    artefacts: bool = False
    run_as: Annotated[str, AfterValidator(names.user)] | None = None
    readiness: Readiness | None = None
    liveness: Liveness | None = None
    watchdog: Silence | None = None
    concurrency: Concurrency | None = None
    gang: definition_gangs.Gang | None = None
    enabled: bool = True
    start_at_boot: bool = False

    @field_validator("docker")
    @classmethod
    def docker_has_an_image(cls, docker: Docker | None, info: ValidationInfo) -> object:
        environment = info.data.get("exec_env")
        if docker is not None and environment not in (None, "docker"):
            raise ValueError(f"goes with exec_env docker, not {environment}")
        if environment != "docker" or (docker is not None and docker.image):
            return docker
        image = f"kos/{info.data.get('agent_id', 'agent').lower()}"
        try:
            names.image(image)
        except ValueError:
            raise ValueError(
                f"name an image: {image} cannot be the name of one"
            ) from None
        return (docker or Docker()).model_copy(update={"image": image})

    @field_validator("sandbox")
    @classmethod
    def of_a_sandbox(cls, sandbox: Sandbox | None, info: ValidationInfo) -> object:
        environment = info.data.get("exec_env")
        if sandbox is not None and environment not in (None, "sandbox"):
            raise ValueError(f"goes with exec_env sandbox, not {environment}")
        return sandbox

    @field_validator("gpu", "ports")
    @classmethod
    def where_there_is_one(cls, wanted: Any, info: ValidationInfo) -> Any:
        if not wanted or info.data.get("exec_env") != "sandbox":
            return wanted
        if info.field_name == "gpu":
            raise ValueError("a sandbox has no devices; use another exec_env")
        if not has_network(info.data):
            raise ValueError(
                'a sandbox has no network unless it says sandbox: {"network": "host"}'
            )
        return wanted

    @field_validator("requires")
    @classmethod
    def not_itself(
        cls, items: list[Requirement], info: ValidationInfo
    ) -> list[Requirement]:
        if info.data.get("agent_id") in [i.agent for i in items if i.agent]:
            raise ValueError("an agent cannot wait for itself")
        return items

    @field_validator("depends_on")
    @classmethod
    def not_on_itself(cls, ids: list[str], info: ValidationInfo) -> list[str]:
        if info.data.get("agent_id") in ids:
            raise ValueError("an agent cannot depend on itself")
        waited_for = [i.agent for i in info.data.get("requires", ()) if i.agent]
        if pair := requirements.twins([*waited_for, *ids]):
            raise ValueError(f"{pair[0]} and {pair[1]} would share variables")
        return ids

    @field_validator("cascades")
    @classmethod
    def not_into_itself(
        cls, cascades: list[Cascade], info: ValidationInfo
    ) -> list[Cascade]:
        if info.data.get("agent_id") in [c.agent for c in cascades]:
            raise ValueError("an agent that triggers itself would never end")
        return cascades

    @field_validator("finish_by")
    @classmethod
    def can_be_finished_by(
        cls, finish_by: float | None, info: ValidationInfo
    ) -> float | None:
        kind, start_by = info.data.get("kind"), info.data.get("start_by")
        if finish_by is not None and (said := misfit(kind, start_by, finish_by)):
            raise ValueError(said)
        return finish_by

    @field_validator("gang")
    @classmethod
    def can_run_at_once(cls, size: int | None, info: ValidationInfo) -> int | None:
        kind, concurrency = info.data.get("kind"), info.data.get("concurrency")
        if size and (said := definition_gangs.misfit(kind, concurrency, size)):
            raise ValueError(said)
        return size

    @field_validator("secrets")
    @classmethod
    def not_set_twice(
        cls, uses: list[SecretUse], info: ValidationInfo
    ) -> list[SecretUse]:
        return not_in_env(uses, info.data.get("env", {}))

    @field_validator("retries")
    @classmethod
    def not_of_a_persistent_agent(
        cls, retries: Retries, info: ValidationInfo
    ) -> Retries:
        if info.data.get("kind") == "persistent" and retries.limit:
            raise ValueError("a persistent agent is restarted; use restart instead")
        return retries

    @field_validator("restart")
    @classmethod
    def only_of_a_persistent_agent(
        cls, policy: str | None, info: ValidationInfo
    ) -> str | None:
        kind = info.data.get("kind")
        if policy not in (None, "never") and kind not in (None, "persistent"):
            raise ValueError(f"an agent of kind {kind} is retried; use retries instead")
        return policy

    @field_validator("hooks")
    @classmethod
    def where_they_can_be_kept(
        cls, hooks: list[Hook], info: ValidationInfo
    ) -> list[Hook]:
        environment, ports = info.data.get("exec_env", ""), info.data.get("ports", {})
        is_open = has_network(info.data)
        for number, hook in enumerate(hooks, 1):
            if said := fits_environment(hook, environment, ports, has_network=is_open):
                raise ValueError(f"item {number}: {said}")
        return hooks

    @field_validator("run_as")
    @classmethod
    def only_where_a_user_matters(
        cls, user: str | None, info: ValidationInfo
    ) -> str | None:
        environment = info.data.get("exec_env")
        if user and environment in ("docker", "sandbox"):
            raise ValueError(f"goes with subprocess and systemd, not {environment}")
        return user

    @field_validator("readiness", "liveness")
    @classmethod
    def can_be_looked_at(
        cls, probe: Readiness | Liveness | None, info: ValidationInfo
    ) -> Readiness | Liveness | None:
        fits(probe, info.data)
        return probe
