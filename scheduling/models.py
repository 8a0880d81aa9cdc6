"""When agents run, what is due, and the runs themselves."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce

from agents.models import PRIORITIES, Agent, AgentVersion, Node
from scheduling.backfill_models import Backfill as Backfill
from scheduling.calendar_models import Calendar as Calendar
from scheduling.deadline_models import RUN_WATCHED, WithDeadline
from scheduling.deadline_models import MissedDeadlines as MissedDeadlines
from scheduling.graph_models import Graph as Graph
from scheduling.graph_models import GraphNode as GraphNode
from scheduling.graph_models import GraphRun as GraphRun
from scheduling.lease_models import Lease as Lease
from scheduling.limit_models import Bucket as Bucket
from scheduling.node_history_models import NodeSample as NodeSample
from scheduling.run_state import FINAL, RunState

RULE_KINDS = (
    *("cron", "interval", "run_at"),
    *("rrule", "rule", "solar", "condition", "event"),
)
OVERLAP = (
    *("skip", "buffer_one", "buffer_all"),
    *("cancel_other", "terminate_other", "allow_all"),
)
MISSED = ("skip", "latest", "all")
DID_NOT_RUN = Q(state__in=("skipped", "missed"))


def new_uid() -> str:
    return uuid.uuid4().hex


class Schedule(models.Model):
    """When an agent runs, or a graph: `agent` is then that of its first node, see
    scheduling.graph_schedules. Only scheduling.schedules writes it.

    `rule` is the text of the trigger as its kind keeps it, see scheduling.kinds: a
    cron expression, seconds for an interval. Every change raises `version`.
    """

    uid = models.CharField(max_length=32, unique=True, default=new_uid)
    agent = models.ForeignKey(Agent, models.PROTECT, related_name="schedules")
    graph = models.CharField(max_length=64, blank=True, default="", db_default="")
    version = models.PositiveIntegerField(default=1)
    kind = models.CharField(max_length=10, choices=[(k, k) for k in RULE_KINDS])
    rule = models.CharField(max_length=4000)
    anchor_at = models.DateTimeField(null=True)  # an interval counts from here
    shift_s = models.IntegerField(default=0)  # "all" moved by this; rule not rewritable
    timezone = models.CharField(max_length=64)
    dst = models.CharField(max_length=4, blank=True)  # once|both|skip; "": by the rule
    start_at = models.DateTimeField(null=True, blank=True)
    end_at = models.DateTimeField(null=True, blank=True)
    place = models.JSONField(null=True)  # {latitude, longitude}, for the sun
    calendar = models.JSONField(null=True)  # {on, except, shift}: names of calendars
    calendars_stamp = models.BigIntegerField(default=0, db_default=0)  # as last read
    jitter_s = models.PositiveIntegerField(default=0)
    exdates = models.JSONField(default=list)  # instants (ISO, UTC) or dates (local)
    overlap = models.CharField(
        max_length=16, default="skip", choices=[(o, o) for o in OVERLAP]
    )
    missed = models.CharField(
        max_length=8, default="latest", choices=[(m, m) for m in MISSED]
    )
    catchup_window_s = models.PositiveIntegerField(default=3600)
    max_runs = models.PositiveIntegerField(null=True, blank=True)
    params = models.JSONField(default=dict)
    gang = models.PositiveSmallIntegerField(default=0, db_default=0)  # runs at once
    priority = models.PositiveSmallIntegerField(
        null=True, blank=True, choices=PRIORITIES
    )
    timeout_s = models.FloatField(null=True, blank=True)  # the resized end
    concurrency = models.JSONField(null=True, blank=True)  # over the agent's own
    deadlines = models.JSONField(null=True, blank=True)  # as stated, over the agent's
    enabled = models.BooleanField(default=True)
    paused_at = models.DateTimeField(null=True, blank=True)
    paused_until = models.DateTimeField(null=True, blank=True)
    paused_note = models.CharField(max_length=300, blank=True)
    paused_by = models.CharField(max_length=150, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)  # deleted or used up
    split_from = models.ForeignKey("self", models.SET_NULL, null=True, blank=True)
    cursor_at = models.DateTimeField()  # every nominal instant up to here is decided
    next_due_at = models.DateTimeField(null=True, db_index=True)
    trigger_state = models.JSONField(null=True)  # of a condition: armed, since when, …
    fired_count = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=150)

    class Meta:
        indexes = [
            models.Index(  # the words of scheduling.conditions.store
                "id",
                name="schedule_conditions",
                condition=Q(kind="condition", ended_at__isnull=True),
            ),
            models.Index(
                "id",
                name="schedule_of_events",
                condition=Q(kind="event", ended_at=None),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.agent_id}: {self.kind} {self.rule}"


class Occurrence(models.Model):
    """One nominal instant of one schedule (or one event of a triggered one).

    Most have a row only from the moment they are decided; one that was moved has it
    earlier, as "planned". `key` never changes and never becomes free again.
    """

    schedule = models.ForeignKey(Schedule, models.CASCADE, related_name="occurrences")
    key = models.CharField(max_length=80)  # "20261123T090000Z", or the event's own id
    nominal_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField()  # where it stands now: nominal (+ jitter), or moved
    state = models.CharField(
        max_length=8,
        choices=[(s, s) for s in ("planned", "run", "skipped", "missed")],
    )
    reason = models.CharField(max_length=300, blank=True)
    moved = models.BooleanField(default=False)
    params = models.JSONField(null=True)  # what the event brought, over the schedule's
    cause = models.ForeignKey(  # the run whose end fired it
        "Run", models.SET_NULL, null=True, related_name="+", db_index=False
    )
    timeout_s = models.FloatField(null=True)  # its end was resized
    node = models.ForeignKey(Node, models.SET_NULL, null=True)  # dropped on this row
    decided_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["schedule", "key"], name="an_instant_happens_once"
            )
        ]
        indexes = [
            models.Index(
                "due_at", name="occurrence_planned", condition=Q(state="planned")
            ),
            models.Index("schedule", "due_at", name="occurrence_by_time"),
            models.Index("nominal_at", name="occurrence_by_nominal"),
            models.Index(
                "schedule",
                "due_at",
                name="occurrence_planned_of",
                condition=Q(state="planned"),
            ),
            models.Index("due_at", name="occurrence_passed", condition=DID_NOT_RUN),
        ]

    def __str__(self) -> str:
        return f"{self.schedule_id}@{self.key}"


class Gap(models.Model):
    """A run of consecutive instants with one outcome: a month off, a blackout."""

    schedule = models.ForeignKey(Schedule, models.CASCADE, related_name="gaps")
    from_at = models.DateTimeField()
    to_at = models.DateTimeField()
    count = models.PositiveBigIntegerField()
    counted_exactly = models.BooleanField(default=True)
    outcome = models.CharField(
        max_length=8, choices=[(s, s) for s in ("skipped", "missed")]
    )
    reason = models.CharField(max_length=300)
    recorded_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.count} {self.outcome} of {self.schedule_id}"


class Run(WithDeadline):
    """One attempt to run one agent. A retry is a new Run of the same occurrence.

    Only scheduling.runs writes it; everyone else reads.
    """

    uid = models.CharField(max_length=32, unique=True, default=new_uid)
    agent = models.ForeignKey(Agent, models.PROTECT, related_name="runs")
    version = models.ForeignKey(AgentVersion, models.PROTECT, related_name="+")
    state = models.CharField(
        max_length=10,
        choices=[(s.value, s.value) for s in RunState],
        default=RunState.QUEUED,
        editable=False,
    )
    state_since = models.DateTimeField()
    reason = models.CharField(max_length=300, blank=True)  # why it is in this state
    reason_code = models.CharField(max_length=24, blank=True)
    priority = models.PositiveSmallIntegerField(choices=PRIORITIES)
    token = models.BigIntegerField(default=0)  # fencing; rises with every admission
    attempt = models.PositiveIntegerField(default=1)
    occurrence = models.ForeignKey(
        Occurrence, models.PROTECT, null=True, related_name="runs"
    )
    occurrence_key = models.CharField(max_length=120)  # stable over retries
    schedule = models.ForeignKey(Schedule, models.PROTECT, null=True)
    retry_of = models.ForeignKey("self", models.SET_NULL, null=True, related_name="+")
    parent = models.ForeignKey(
        "self", models.SET_NULL, null=True, related_name="children"
    )
    root_uid = models.CharField(max_length=32, blank=True)  # first of its cascade
    depth = models.PositiveSmallIntegerField(default=0)
    params = models.JSONField(default=dict)
    requested_by = models.CharField(max_length=150)
    # what it needs: repeated from the version, so that a snapshot joins nothing
    exec_env = models.CharField(max_length=10)
    cpu_millis = models.PositiveIntegerField()
    memory_bytes = models.BigIntegerField()
    gpus = models.PositiveSmallIntegerField(default=0)
    queue_class = models.CharField(max_length=80)  # runs alike to the planner share it
    concurrency = models.JSONField(null=True)  # its group, see scheduling.groups
    path_s = models.FloatField(default=0, db_default=0)  # of a graph's node: to its end
    may_follow = models.BooleanField(default=True)  # something may come after its end
    pinned_node = models.ForeignKey(Node, models.SET_NULL, null=True, related_name="+")
    gang = models.CharField(max_length=32, blank=True, default="", db_default="")
    timeout_s = models.FloatField(null=True)
    # when
    due_at = models.DateTimeField()
    line_at = models.DateTimeField(null=True)  # where it was put in line by hand
    queued_at = models.DateTimeField()
    admitted_at = models.DateTimeField(null=True)
    starting_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    # where and how
    node = models.ForeignKey(Node, models.PROTECT, null=True, related_name="runs")
    handle = models.JSONField(null=True, editable=False)
    stop_as = models.CharField(max_length=10, blank=True)  # final state a stop asks for
    stop_grace_s = models.FloatField(null=True)
    exit_code = models.IntegerField(null=True)
    signal = models.PositiveSmallIntegerField(null=True)
    oom_killed = models.BooleanField(default=False)
    cpu_seconds = models.FloatField(null=True)
    peak_memory_bytes = models.BigIntegerField(null=True)
    result = models.JSONField(null=True)
    # what its program says of itself while it runs
    ready_at = models.DateTimeField(null=True)  # it serves: its readiness was shown
    progress = models.FloatField(null=True)  # 0 to 1
    status_text = models.CharField(max_length=300, blank=True)
    # what it was given with its node
    devices = models.JSONField(null=True)  # ids of GPUs
    ports = models.JSONField(null=True)  # name -> port on the node
    # when it yields to others while it lives, see scheduling.wishes
    wish = models.CharField(max_length=10, blank=True, default="", db_default="")
    suspended_at = models.DateTimeField(null=True)  # frozen since
    suspended_by = models.CharField(
        max_length=10, blank=True, default="", db_default=""
    )
    suspended_reason = models.CharField(
        max_length=300, blank=True, default="", db_default=""
    )
    frozen_s = models.FloatField(default=0.0, db_default=0.0)  # in all, before that
    reclaimed_bytes = models.BigIntegerField(null=True)  # measured; None: not tried
    rung = models.CharField(max_length=10, blank=True, default="", db_default="")
    slowed_millis = models.PositiveIntegerField(null=True)  # CPU it may use for now

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="run_state_is_known", condition=Q(state__in=sorted(RunState))
            ),
            models.UniqueConstraint(
                fields=["agent", "occurrence_key"],
                name="one_live_run_per_occurrence",
                condition=~Q(state__in=sorted(FINAL)),
            ),
        ]
        indexes = [
            models.Index(
                "queue_class",
                Coalesce("line_at", "due_at"),
                "id",
                name="run_waiting",
                condition=Q(state=RunState.QUEUED),
            ),
            models.Index(
                *("queue_class", F("path_s").desc(), "due_at", "id"),
                name="run_ranked",
                condition=Q(state=RunState.QUEUED, path_s__gt=0),
            ),
            models.Index("due_at", name="run_due", condition=Q(state=RunState.QUEUED)),
            models.Index(
                "state",
                "node",
                name="run_live",
                condition=~Q(state__in=sorted(FINAL | {RunState.QUEUED})),
            ),
            models.Index(fields=["agent", "-id"], name="run_by_agent"),
            RUN_WATCHED,
            models.Index("started_at", name="run_by_start"),
            models.Index("ended_at", name="run_by_end"),
            models.Index("root_uid", name="run_by_root", condition=~Q(root_uid="")),
        ]

    def __str__(self) -> str:
        return f"run {self.uid} of {self.agent_id}"


class Phase(models.Model):
    """One step in a run's life besides its states: a hook, a warm-up, an archive.

    Only scheduling.phases writes it.
    """

    run = models.ForeignKey(Run, models.CASCADE, related_name="phases")
    when = models.CharField(max_length=16)  # pre_start, post_start, on_shutdown
    number = models.PositiveSmallIntegerField()  # in the order of the definition
    name = models.CharField(max_length=80)  # "preload", "warm-up", "archive", a command
    started_at = models.DateTimeField(null=True)  # None while it is due
    ended_at = models.DateTimeField(null=True)
    outcome = models.CharField(  # "" while it goes on
        max_length=8,
        blank=True,
        choices=[(s, s) for s in ("done", "failed", "warned", "ignored", "stopped")],
    )
    detail = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["run", "when", "number"], name="one_row_per_phase"
            )
        ]
        indexes = [
            models.Index(
                fields=["run"], name="phase_open", condition=Q(ended_at__isnull=True)
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} of run {self.run_id}"


class Delivery(models.Model):
    """A finished run on its way to one sink. Due again at next_attempt_at."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="deliveries")
    sink = models.CharField(max_length=16)  # "cascade", later webhook, file, …
    target = models.CharField(max_length=300)
    state = models.CharField(
        max_length=9,
        default="pending",
        choices=[(s, s) for s in ("pending", "delivered", "dead")],
    )
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    detail = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["run", "sink", "target"], name="one_delivery_per_sink"
            )
        ]
        indexes = [
            models.Index(
                "next_attempt_at", name="delivery_due", condition=Q(state="pending")
            ),
            models.Index(  # a step asks for cascades, however much waits elsewhere
                fields=["sink", "state", "next_attempt_at"], name="delivery_by_sink"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.sink} of run {self.run_id}"


class Undo(models.Model):
    """How to take back one change of a schedule; good once, until it expires."""

    token = models.CharField(max_length=32, unique=True, default=new_uid)
    what = models.CharField(max_length=200)
    before = models.JSONField()
    made_by = models.CharField(max_length=150)
    made_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.what


from scheduling import (  # noqa: E402 - registers them
    feed_models,  # noqa: F401
    sensor_models,  # noqa: F401
    webhook_models,  # noqa: F401
    window_models,  # noqa: F401
)
from scheduling.sensor_models import Reading, Sensor  # noqa: E402, F401 - found here
