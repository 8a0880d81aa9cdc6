"""What exists: agents and their versions, nodes, and the journal of what happened."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from agents.priority import Priority

KINDS = ("persistent", "ephemeral", "cascading")
ENVIRONMENTS = ("subprocess", "docker", "systemd", "sandbox")
PRIORITIES = [(int(p), p.word) for p in Priority]


class Agent(models.Model):
    """An agent by its name; what it is stands in `current`, an immutable version.

    The columns below `current` repeat what lists filter and order by; only
    agents.agent_registry writes them, in the transaction that makes the version.
    """

    agent_id = models.CharField(max_length=64, unique=True)
    current = models.ForeignKey(
        "AgentVersion", models.PROTECT, null=True, related_name="+", editable=False
    )
    kind = models.CharField(max_length=10, choices=[(k, k) for k in KINDS])
    exec_env = models.CharField(max_length=10, choices=[(e, e) for e in ENVIRONMENTS])
    priority = models.PositiveSmallIntegerField(choices=PRIORITIES)
    capabilities = models.JSONField(default=list)
    tags = models.JSONField(default=list)
    enabled = models.BooleanField(default=True)
    held = models.BooleanField(default=False)  # stopped by a person; persistent only
    restarts_reset_at = models.DateTimeField(null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ["agent_id"]
        constraints = [
            models.UniqueConstraint(Lower("agent_id"), name="agent_id_ignores_case")
        ]

    def __str__(self) -> str:
        return self.agent_id

    @property
    def spec(self) -> dict[str, Any]:
        """The current definition, as registration.py normalised it."""
        assert self.current is not None, "an agent is made together with a version"
        return dict(self.current.spec)


class AgentVersion(models.Model):
    """One immutable definition of an agent. A run pins the one it was made from."""

    agent = models.ForeignKey(Agent, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    spec = models.JSONField()
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=150)
    note = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["agent", "-number"]
        constraints = [
            models.UniqueConstraint(
                fields=["agent", "number"], name="version_number_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.agent_id} v{self.number}"


class Node(models.Model):
    """A machine that runs agents. `usage` is what the sampler saw last."""

    name = models.CharField(max_length=64, unique=True)
    labels = models.JSONField(default=dict)
    cpu_millis = models.PositiveIntegerField()
    memory_bytes = models.BigIntegerField()
    gpus = models.PositiveSmallIntegerField(default=0)  # runs that may have one
    devices = models.JSONField(default=list)  # its GPUs, see agents.gpus
    address = models.CharField(  # where its runs' ports are reached
        max_length=64, default="127.0.0.1", db_default="127.0.0.1"
    )
    checks = models.JSONField(default=dict)  # what it found, see scheduling.node_checks
    environments = models.JSONField(default=list)  # exec_env names that work here
    taints = models.JSONField(default=dict)  # word -> "config" or who set it
    bandwidth_bps = models.BigIntegerField(null=True, blank=True)  # None: unknown
    usage = models.JSONField(default=dict)
    state = models.CharField(
        max_length=8, default="up", choices=[(s, s) for s in ("up", "down")]
    )
    cordoned = models.BooleanField(default=False)
    draining = models.BooleanField(default=False)
    heartbeat_at = models.DateTimeField(null=True)
    boot_id = models.CharField(max_length=64, blank=True)
    version = models.CharField(max_length=40, blank=True)
    environments_missing = models.JSONField(default=dict)  # name -> why not, for people
    yields = models.JSONField(  # environment -> how its runs can yield while they live
        default=dict, db_default={}
    )
    balance = models.JSONField(  # what it runs short of, see scheduling.balancing
        default=dict, db_default={}
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class NodeLog(models.Model):
    """How far one executor's log of a node was read; see scheduling.supervisor."""

    node = models.ForeignKey(Node, models.CASCADE, related_name="logs")
    executor = models.CharField(max_length=16)  # Executor.name
    offset = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["node", "executor"], name="one_offset_per_log"
            )
        ]

    def __str__(self) -> str:
        return f"{self.executor} of {self.node} at {self.offset}"


class Event(models.Model):
    """One thing that happened. Only agents.journal writes it; nobody changes it.

    `seq` is given at sealing, in the order the sealer saw events committed; until
    then it is null (at most about a second).
    """

    at = models.DateTimeField()
    kind = models.CharField(max_length=40)
    subject = models.CharField(max_length=120)
    actor = models.CharField(max_length=150)
    data = models.JSONField(default=dict)
    seq = models.BigIntegerField(null=True, unique=True)

    class Meta:
        indexes = [
            models.Index("subject", "id", name="event_by_subject"),
            models.Index("id", name="event_unsealed", condition=Q(seq__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"


class Seal(models.Model):
    """A sealed batch of events: HMAC over the batch and the seal before it."""

    first_seq = models.BigIntegerField(unique=True)
    last_seq = models.BigIntegerField(unique=True)
    count = models.PositiveIntegerField()
    sealed_at = models.DateTimeField()
    mac = models.CharField(max_length=64)

    class Meta:
        ordering = ["first_seq"]

    def __str__(self) -> str:
        return f"seal {self.first_seq}-{self.last_seq}"


class ConfigOverride(models.Model):
    """A configuration key changed while running; wins over the file."""

    key = models.CharField(
        max_length=80, unique=True
    )  # "nodes.down_after" for sections
    value = models.JSONField()  # as it would stand in the file
    set_at = models.DateTimeField()
    set_by = models.CharField(max_length=150)

    def __str__(self) -> str:
        return self.key


class Secret(models.Model):
    """A value by its name, sealed at rest. Only agents.secret_store touches it."""

    name = models.CharField(max_length=64, unique=True)
    sealed = models.TextField(editable=False)
    past = models.JSONField(default=list, editable=False)  # earlier ones, newest first
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=150)
    changed_at = models.DateTimeField()
    changed_by = models.CharField(max_length=150)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
