"""Why a run does not start now: what is in its way, and the least that helps. Pure.

What is in its way is a smallest set of obstacles: with all of them gone the plan admits
the run, with any one of them left it does not. Both are tried with the plan itself, so
an answer is never a guess.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from scheduling.planner.admission import Decision, Preempt, Wait, in_order, plan
from scheduling.planner.changes import Case, Change
from scheduling.planner.explain import Blocked
from scheduling.planner.forward import find
from scheduling.planner.ledger import Ledger
from scheduling.planner.snapshot import QueueClass, Resources

NEW_NODE = "another node"
PARTS = (("cpu", "cpu_millis"), ("memory", "memory_bytes"), ("gpu", "gpus"))
COSTS = {  # what is easier to change counts less, when a node is chosen
    "wait": 1,
    "boost": 1,
    "config": 2,
    "stop": 3,
    "open": 5,
    "ports": 6,
    "requirement": 8,
    "environment": 20,
    "capacity": 30,
    "node": 100,
}


@dataclass(frozen=True, slots=True)
class Blocker:
    """One thing in its way. need, have and short_by are in the unit of the kind:
    thousandths of a core, bytes, devices, agents."""

    kind: str
    text: str
    node: str = ""
    need: int | None = None
    have: int | None = None
    short_by: int | None = None


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A blocker, and what would take it away."""

    blocker: Blocker
    gone: Change


@dataclass(frozen=True, slots=True)
class Answer:
    decision: Decision | None  # of the plan; None: it stands behind another
    blockers: tuple[Blocker, ...]
    changes: tuple[Change, ...]  # to be done together; () where nothing is needed
    ahead: tuple[int, ...]  # shown runs that are looked at before it


def explain_run(case: Case) -> Answer:
    """Raises KeyError for a run that the snapshot does not show as waiting."""
    find(case.snapshot, case.run_id)
    decisions = {d.run.id: d for d in plan(case.snapshot)}
    decision = decisions.get(case.run_id)
    ahead = _ahead(case)
    if case.starts():
        return Answer(decision, (), (), ahead)
    if isinstance(decision, Preempt):
        return _preempting(case, decision, ahead)
    found = smallest(case, [*nearest(case), those_ahead(case)])
    if not case.starts_after([lifted(one.gone) for one in found]):
        found = [_as_told(decision)]
    blockers = tuple(one.blocker for one in found)
    return Answer(decision, blockers, smallest_change(case, found), ahead)


def _preempting(case: Case, decision: Preempt, ahead: tuple[int, ...]) -> Answer:
    """The scheduler is about to do it; it starts once they have gone."""
    blocker = Blocker("preempting", told(decision, None).text, decision.node)
    stop = Change("stop", runs=tuple(victim.id for victim in decision.victims))
    wait, boost = Change("wait"), Change("boost")
    ways = ([stop], [wait, stop], [stop, boost], [wait, stop, boost])
    way = next((way for way in ways if case.starts_after(way)), [stop])
    return Answer(decision, (blocker,), tuple(way), ahead)


def _as_told(decision: Decision | None) -> Obstacle:
    """What keeps it back is none of the things that can be lifted here: as the plan
    says it."""
    why = told(decision, None)
    return Obstacle(Blocker(why.code.partition(":")[0], why.text), Change("wait"))


def _ahead(case: Case) -> tuple[int, ...]:
    ahead = []
    for run in in_order(case.snapshot):
        if run.id == case.run_id:
            break
        ahead.append(run.id)
    return tuple(ahead)


def those_ahead(case: Case) -> Obstacle:
    ahead = _ahead(case)
    text = f"{len(ahead)} runs that go before it get the room"
    return Obstacle(Blocker("ahead", text), Change("boost", runs=ahead))


# --- obstacles -------------------------------------------------------------------


def nearest(case: Case) -> list[Obstacle]:
    """What is in its way on the node where that is least, if nobody else waited."""
    line, _ = find(case.snapshot, case.run_id)
    alone = case.alone()
    ledger = Ledger(alone.snapshot)
    slots = _slots(ledger, case)
    found = [
        [*_on(name, line, ledger), *slots]
        for name in ledger.nodes
        if line.pinned_node in ("", name)
    ]
    freed = alone.after([Change("wait")])
    if freed.starts() and not alone.starts():
        blocker = Blocker("preempting", _stopping_text(case))
        return [Obstacle(blocker, Change("wait"))]
    if not found:
        return [_no_node(line), *slots]
    return min(found, key=lambda some: sum(COSTS[one.gone.kind] for one in some))


def _stopping_text(case: Case) -> str:
    stopping = [one for one in case.running.values() if one.yielding]
    nodes = ", ".join(sorted({one.node for one in stopping}))
    return f"{len(stopping)} runs on {nodes} are stopping" if nodes else "runs stop"


def _no_node(line: QueueClass) -> Obstacle:
    name = line.pinned_node or NEW_NODE
    said = f"node {name} is not there" if line.pinned_node else "no node has joined yet"
    change = Change("node", node=name, amount=line.need, environment=line.environment)
    return Obstacle(Blocker("node", said, line.pinned_node), change)


def _slots(ledger: Ledger, case: Case) -> list[Obstacle]:
    have = max(ledger.slots, 0)
    short = 1 - min(ledger.slots, ledger.slots_coming)
    if short <= 0:
        return []
    text = f"all {case.snapshot.slots} agent slots are in use (max_concurrent_agents)"
    blocker = Blocker("slots", text, need=1, have=have, short_by=short)
    return [Obstacle(blocker, Change("config", slots=short))]


def _on(name: str, line: QueueClass, ledger: Ledger) -> Iterator[Obstacle]:
    node = ledger.nodes[name]
    if not node.open:
        said = f"{name} takes nothing: it is down, cordoned or draining"
        yield Obstacle(Blocker("node", said, name), Change("open", node=name))
    if line.environment not in node.environments:
        said = f"{name} does not offer {line.environment}"
        change = Change("environment", node=name, environment=line.environment)
        yield Obstacle(Blocker("environment", said, name), change)
    if name in line.unmet:
        blocker = Blocker("requirement", line.unmet[name].text, name)
        yield Obstacle(blocker, Change("requirement", node=name))
    if (bar := ledger.bar(name, replace(line, unmet={}))) is not None:
        blocker = Blocker("ports", bar.text, name)
        yield Obstacle(blocker, Change("ports", node=name))
    yield from _room(name, line.need, ledger)


def _room(name: str, need: Resources, ledger: Ledger) -> Iterator[Obstacle]:
    """CPU, memory and GPUs that are short there, each by how much."""
    free, node = ledger.free[name], ledger.nodes[name]
    for kind, column in PARTS:
        wants, all_of_it = getattr(need, column), getattr(node.capacity, column)
        have = max(getattr(free, column), 0)
        if kind == "gpu" and wants:
            have = _free_devices(name, ledger)
        short = wants - have if wants else 0
        if short <= 0:
            continue
        verb = "has" if wants > all_of_it else "has free"
        text = f"{name} {verb} {_said(kind, min(have, all_of_it))} of the "
        text += f"{_said(kind, wants)} it needs"
        blocker = Blocker(kind, text, name, need=wants, have=have, short_by=short)
        missing = max(wants - getattr(free, column), short)
        amount = Resources(**{column: missing})
        way = "stop" if wants <= all_of_it else "capacity"
        yield Obstacle(blocker, Change(way, node=name, amount=amount))


def _free_devices(name: str, ledger: Ledger) -> int:
    used = ledger.gpus[name]
    free = sum(1 for d in ledger.devices_of(name) if used[d.id] < d.share)
    return max(min(free, ledger.free[name].gpus), 0)


def _said(kind: str, amount: int) -> str:
    if kind == "cpu":
        return f"{amount / 1000:g} cores"
    return f"{amount / 1e9:.2f} GB" if kind == "memory" else f"{amount} GPUs"


def lifted(change: Change) -> Change:
    """The obstacle itself gone: room is simply more room, and who goes before it does
    not."""
    if change.kind == "boost":
        return Change("hold", runs=change.runs)
    if change.kind == "stop":
        return Change("capacity", node=change.node, amount=change.amount)
    return change


def smallest(case: Case, obstacles: list[Obstacle]) -> list[Obstacle]:
    """Those of them that are all needed: without any one lifted it does not start."""
    kept = list(obstacles)
    for one in obstacles:
        rest = [other for other in kept if other is not one]
        if rest and case.starts_after([lifted(other.gone) for other in rest]):
            kept = rest
    return kept


# --- the least to do -------------------------------------------------------------


def smallest_change(case: Case, obstacles: list[Obstacle]) -> tuple[Change, ...]:
    """The first of the proposals, cheapest first, after which the plan admits it."""
    for proposal in proposals(case, obstacles):
        if case.starts_after(proposal):
            return tuple(needed(case, proposal))
    return tuple(lifted(one.gone) for one in obstacles)


def proposals(case: Case, obstacles: list[Obstacle]) -> Iterator[list[Change]]:
    yield [Change("wait")]
    yield [Change("boost")]
    others = [one.gone for one in obstacles if one.gone.kind not in ("stop", "boost")]
    front = [Change("boost")]
    back = [Change("hold", runs=_ahead(case))] if _ahead(case) else []
    nodes = [one.gone.node for one in obstacles if one.gone.kind == "stop"]
    stops = [stop for node in [*nodes, ""] if (stop := stopped_on(case, node, others))]
    if not nodes:
        yield others
        yield [*others, *front]
    for stop in stops:
        yield [stop]
        yield [stop, *front]
        yield [*others, stop]
        yield [*others, stop, *front]
    rooms = [lifted(one.gone) for one in obstacles if one.gone.kind == "stop"]
    for order in (front, back):
        for stop in stops:
            yield [*others, stop, *order]
        yield [*others, *rooms, *order]


def stopped_on(case: Case, node: str, others: list[Change]) -> Change | None:
    """As few runs to end there ("" for anywhere) as let it start if nobody else
    waited and the other changes were made; the least urgent and newest first."""
    alone = case.alone().after(others)
    live = [
        one
        for one in case.running.values()
        if not one.yielding and node in ("", one.node)
    ]
    live.sort(key=lambda one: (one.priority, -one.id))
    chosen = list[int]()
    for one in live:
        if alone.starts_after([Change("stop", runs=tuple(chosen))]):
            break
        chosen.append(one.id)
    if not chosen or not alone.starts_after([Change("stop", runs=tuple(chosen))]):
        return None
    for pk in tuple(chosen):
        rest = tuple(other for other in chosen if other != pk)
        if alone.starts_after([Change("stop", runs=rest)]):
            chosen.remove(pk)
    return Change("stop", node=node, runs=tuple(chosen)) if chosen else None


def needed(case: Case, changes: list[Change]) -> list[Change]:
    """Those of them without which it would not start."""
    kept = list(changes)
    for one in changes:
        rest = [other for other in kept if other is not one]
        if rest and case.starts_after(rest):
            kept = rest
    return kept


def told(decision: Decision | None, behind: Decision | None) -> Blocked:
    """Code and text of where it stands in the plan."""
    at = decision or behind
    match at:
        case Wait(why=why):
            return why
        case Preempt(node=node, victims=victims):
            text = f"{len(victims)} less urgent runs on {node} stop for it"
            return Blocked("preempting", text)
        case None:
            return Blocked("pending", "the scheduler looks at it in a moment")
        case _:
            text = f"there is room on {at.node}: it is about to start"
            return Blocked("starting", text)
