"""What the planner sees: plain values, one instant, no database.

Waiting runs that the planner cannot tell apart share a class. A snapshot holds each
class with its first few runs, so that a thousand runs that cannot fit never hide one
that can, and the snapshot stays small however long the queue is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from scheduling.planner.wishes import NO_WISHES, Names, Wishes
from scheduling.task_queue import NO_AGEING, Ageing

if TYPE_CHECKING:
    from scheduling.planner.limits import Bucket, Cap


@dataclass(frozen=True, slots=True)
class Resources:
    cpu_millis: int = 0
    memory_bytes: int = 0
    gpus: int = 0
    bandwidth_bps: int = 0

    def __add__(self, other: Resources) -> Resources:
        return Resources(
            self.cpu_millis + other.cpu_millis,
            self.memory_bytes + other.memory_bytes,
            self.gpus + other.gpus,
            self.bandwidth_bps + other.bandwidth_bps,
        )

    def __sub__(self, other: Resources) -> Resources:
        return Resources(
            self.cpu_millis - other.cpu_millis,
            self.memory_bytes - other.memory_bytes,
            self.gpus - other.gpus,
            self.bandwidth_bps - other.bandwidth_bps,
        )

    def lacks(self, need: Resources) -> list[str]:
        """Names of what is short, for people to read; empty when `need` fits."""
        if (
            self.cpu_millis >= need.cpu_millis
            and self.memory_bytes >= need.memory_bytes
            and self.gpus >= need.gpus
            and self.bandwidth_bps >= need.bandwidth_bps
        ):
            return []
        short = {
            "CPU": self.cpu_millis - need.cpu_millis,
            "memory": self.memory_bytes - need.memory_bytes,
            "GPU": self.gpus - need.gpus,
            "bandwidth": self.bandwidth_bps - need.bandwidth_bps,
        }
        return [name for name, left in short.items() if left < 0]


NOTHING = Resources()
UNLIMITED = 2**62


@dataclass(frozen=True, slots=True)
class Measured:
    """Memory of a node by its sampler, not by what runs declare."""

    free_bytes: int  # under max_memory_usage, without what young runs may still take
    used_fraction: float
    limit_fraction: float
    was_over: bool = False  # the limit, and is not yet enough below it


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU; `share` runs may have it at once."""

    id: str
    share: int = 1


@dataclass(frozen=True, slots=True)
class PortWant:
    """A port on the node, of this range, under this name."""

    name: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Unmet:
    """Why a class cannot be on a node: something that it requires is not there."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Holding:
    """GPUs that one run has."""

    node: str
    devices: tuple[str, ...]
    yielding: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """What a run is given of its node by name."""

    devices: tuple[str, ...] = ()
    ports: Mapping[str, int] = field(default_factory=dict)
    needy: bool = False


@dataclass(frozen=True, slots=True)
class NodeView:
    name: str
    capacity: Resources  # what agents may use, max_memory_usage applied
    environments: frozenset[str]
    id: int = 0  # its primary key, for whoever applies the plan
    open: bool = True  # False: down, cordoned or draining; takes nothing further
    devices: tuple[Device, ...] = ()  # read when a waiting run wants one
    taken: Mapping[int, str] = field(default_factory=dict)  # port -> by whom; as above
    taints: tuple[str, ...] = ()  # only runs that tolerate them may come
    measured: Measured | None = None  # None: nobody measures it, or not lately
    here: Mapping[str, int] = field(default_factory=dict)  # what its runs are called
    up: bool = True  # what is frozen on it can go on, open or not


@dataclass(frozen=True, slots=True)
class Occupied:
    """What runs hold of one node together."""

    node: str
    need: Resources  # of all of them
    slots: int
    yielding: bool = False  # they were asked to stop; their room is on the way


@dataclass(frozen=True, slots=True)
class HeldRun:
    """A run that occupies a node and may be asked to yield to a more urgent one.
    `need` is what it holds now: a frozen one holds no CPU."""

    id: int
    node: str
    priority: int
    need: Resources
    devices: tuple[str, ...] = ()
    rungs: frozenset[int] = frozenset({4})  # how it can yield, see planner.rungs
    slots: int = 1  # 0: it is frozen
    ran_s: float = 0.0  # work that is lost when it is stopped


@dataclass(frozen=True, slots=True)
class WaitingRun:
    id: int
    token: int
    due_at: datetime  # since when it stands in line
    priority: int
    told: str = ""  # the reason code it was last told
    path_s: float = 0.0  # of a graph's node: the longest way from here to its end
    rates: tuple[str, ...] = ()  # buckets that its start is taken from
    front: bool = False  # put before all others by hand
    gang: str = ""  # those of one gang start together or not at all
    frozen: bool = False  # it is there already and waits for its CPU to go on


@dataclass(frozen=True, slots=True)
class QueueClass:
    """Waiting runs alike to the planner, its first ones in queue order."""

    name: str
    environment: str
    need: Resources
    priority: int
    first: tuple[WaitingRun, ...]  # never empty
    pinned_node: str = ""  # "": any node
    unmet: Mapping[str, Unmet] = field(default_factory=dict)  # node -> why not there
    ports: tuple[PortWant, ...] = ()
    needy: bool = False  # its node looks once more before it starts
    caps: tuple[Cap, ...] = ()  # groups and limits it falls under
    rates: tuple[str, ...] = ()  # names of buckets its starts are taken from
    wishes: Wishes = NO_WISHES

    @property
    def frozen(self) -> bool:
        """One run that was frozen and could go on."""
        return self.first[0].frozen


@dataclass(frozen=True, slots=True)
class End:
    """When a run that holds something is expected to be over."""

    node: str
    need: Resources
    ends_at: datetime | None  # None: nobody knows
    devices: tuple[str, ...] = ()
    yielding: bool = False
    slots: int = 1  # none, where it is frozen
    run: int = 0  # 0: one that this plan starts


@dataclass(frozen=True, slots=True)
class Horizon:
    """What is expected to come; read when a run that waits is overtaken."""

    now: datetime
    ends: tuple[End, ...]
    lengths: Mapping[int, timedelta]  # waiting run -> how long it will be there


@dataclass(frozen=True, slots=True)
class Snapshot:
    nodes: Mapping[str, NodeView]
    occupied: tuple[Occupied, ...]  # by all runs that hold something
    preemptible: tuple[HeldRun, ...]  # those of them less urgent than some waiting run
    waiting: tuple[QueueClass, ...]
    slots: int  # max_concurrent_agents
    mode: str = "priority"
    holdings: tuple[Holding, ...] = ()  # read when a waiting run wants a GPU
    running: Mapping[str, int] = field(default_factory=dict)  # by name of a cap
    buckets: Mapping[str, Bucket] = field(default_factory=dict)
    now: datetime | None = None  # waiting counts up to here
    ageing: Ageing = NO_AGEING
    strategy: str = "spread"  # or "pack"
    names: Mapping[int, Names] = field(default_factory=dict)  # of waiting runs, by id
    horizon: Horizon | None = None
