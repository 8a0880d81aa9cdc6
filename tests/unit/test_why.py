"""Why a run waits: the smallest set of obstacles, a change that helps, and when."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from random import Random

from scheduling.planner.admission import Admit, Preempt, plan
from scheduling.planner.changes import Case, Change
from scheduling.planner.forward import Running, forecast
from scheduling.planner.snapshot import (
    HeldRun,
    Holding,
    Occupied,
    PortWant,
    Snapshot,
    Unmet,
)
from scheduling.planner.why import (
    explain_run,
    lifted,
    nearest,
    smallest,
    those_ahead,
)
from tests.unit.situations import NOON, Situation, situation
from tests.unit.test_admission import cpu, line, node, snap

SITUATIONS = 1000


def cases(many: int = SITUATIONS):
    """Seeded situations with one of the waiting runs each that cannot start now."""
    seed = 0
    while many:
        random = Random(seed)
        drawn = situation(random)
        seed += 1
        waiting = [run for c in drawn.snapshot.waiting for run in c.first]
        starts = {d.run.id for d in plan(drawn.snapshot) if isinstance(d, Admit)}
        stuck = [run.id for run in waiting if run.id not in starts]
        if stuck:
            many -= 1
            yield Case(drawn.snapshot, running(drawn), random.choice(stuck))


def running(drawn: Situation) -> dict[int, Running]:
    return {
        one.held.id: Running(
            one.held.id,
            one.held.node,
            one.held.priority,
            one.held.need,
            one.ends_at,
            one.held.devices,
            yielding=one.yielding,
        )
        for one in drawn.live
    }


def test_the_change_that_is_proposed_starts_the_run(report) -> None:
    helped, kinds, missed = 0, Counter[str](), []
    for case in cases():
        answer = explain_run(case)
        changes = answer.changes
        kinds["+".join(sorted(c.kind for c in changes))] += 1
        if case.starts_after(changes):
            helped += 1
        else:
            missed.append(case.run_id)
    report(f"why: the proposed change starts the run in {helped} of {SITUATIONS}")
    report(f"why: {dict(kinds.most_common(12))}")
    assert helped >= 0.95 * SITUATIONS


def test_with_any_one_blocker_left_the_run_still_waits() -> None:
    for case in cases():
        answer = explain_run(case)
        if isinstance(answer.decision, Preempt):
            continue
        found = smallest(case, nearest_of(case))
        assert tuple(one.blocker for one in found) == answer.blockers
        assert answer.blockers
        all_gone = [lifted(one.gone) for one in found]
        assert case.starts_after(all_gone), (case.run_id, found)
        for n in range(len(all_gone)):
            rest = all_gone[:n] + all_gone[n + 1 :]
            assert not case.starts_after(rest)


def nearest_of(case: Case):
    return [*nearest(case), those_ahead(case)]


# --- when ----------------------------------------------------------------------------


def stepped(case: Case, takes: dict[int, int]) -> dict[int, int]:
    """Seconds after noon at which each waiting run starts when everything takes as
    long as expected: second by second, apart from the forecast's own steps."""
    live = {
        pk: [(one.ends_at - NOON).total_seconds(), one, one.yielding]
        for pk, one in case.running.items()
    }
    may_preempt = bool(case.snapshot.preemptible)
    waiting, starts = list(case.snapshot.waiting), dict[int, int]()
    for second in range(12_000):
        before = len(live)
        live = {pk: row for pk, row in live.items() if row[0] > second}
        if second and before == len(live):
            continue  # a plan is only made when something has changed
        while True:
            snapshot = seen(case, live, waiting, second, may_preempt)
            decisions = plan(snapshot)
            fresh = [d for d in decisions if isinstance(d, Admit)]
            for d in decisions:
                for victim in d.victims if isinstance(d, Preempt) else ():
                    live[victim.id][0] = min(live[victim.id][0], second + 10)
                    live[victim.id][2] = True
            if not fresh:
                break
            for d in fresh:
                line = next(c for c in waiting if d.run in c.first)
                waiting.remove(line)
                rest = tuple(r for r in line.first if r != d.run)
                waiting += [replace(line, first=rest)] if rest else []
                starts[d.run.id] = second
                devices = d.grant.devices if d.grant else ()
                ports = tuple(d.grant.ports.values()) if d.grant else ()
                one = Running(
                    d.run.id, d.node, d.run.priority, line.need, NOON, devices, ports
                )
                live[one.id] = [second + takes[one.id], one, False]
    return starts


def seen(case: Case, live, waiting, second: int, may_preempt: bool) -> Snapshot:
    ones = [(one, yields) for _, one, yields in live.values()]
    nodes = {
        n.name: replace(
            n,
            taken=dict(n.taken)
            | {p: "x" for o, _ in ones if o.node == n.name for p in o.ports},
        )
        for n in case.snapshot.nodes.values()
    }
    return replace(
        case.snapshot,
        nodes=nodes,
        occupied=tuple(Occupied(o.node, o.need, 1, yielding=y) for o, y in ones),
        preemptible=tuple(
            HeldRun(o.id, o.node, o.priority, o.need, o.devices)
            for o, y in ones
            if may_preempt and not y
        ),
        holdings=tuple(Holding(o.node, o.devices, y) for o, y in ones if o.devices),
        waiting=tuple(waiting),
        now=NOON + timedelta(seconds=second),
    )


def foreseen(case: Case, takes: dict[int, int]) -> float | None:
    found = forecast(
        case.snapshot,
        case.running.values(),
        takes,
        now=NOON,
        until=[case.run_id],
        preemption=bool(case.snapshot.preemptible),
    )
    at = found.starts.get(case.run_id)
    return None if at is None else (at - NOON).total_seconds()


def test_a_run_starts_when_it_was_said_to(report) -> None:
    """On the same situations, left to themselves."""
    true, said = 0, 0
    for case in cases(300):
        random = Random(case.run_id)
        waiting = [run for c in case.snapshot.waiting for run in c.first]
        takes = {run.id: random.randint(1, 60) * 10 for run in waiting}
        at = foreseen(case, takes)
        happened = stepped(case, takes).get(case.run_id)
        said += at is not None
        true += at == happened
    report(f"when: {true} of 300 start as foreseen, {said} of them at some time")
    assert true >= 0.95 * 300
    assert said > 60


def test_a_run_that_never_starts_has_no_expected_start() -> None:
    case = Case(snap([line("a", cpu(64))]), {}, 1)
    assert foreseen(case, {1: 10}) is None
    assert [b.kind for b in explain_run(case).blockers] == ["cpu"]


def test_a_forecast_is_bounded_in_steps() -> None:
    runs = range(1, 3000)
    many = Case(snap([line("a", cpu(2), runs=runs)]), {}, 2999)
    takes = dict.fromkeys(runs, 10)
    found = forecast(many.snapshot, [], takes, now=NOON, until=[2999], most_steps=50)
    assert 40 <= len(found.starts) <= 51


# --- what is said, one by one ---------------------------------------------------------


def kinds(case: Case) -> tuple[list[str], list[str]]:
    answer = explain_run(case)
    return [b.kind for b in answer.blockers], [c.kind for c in answer.changes]


def test_each_blocker_has_its_kind_and_the_change_that_fits() -> None:
    def live(*needs) -> dict[int, Running]:
        return {
            n: Running(n, "n1", 4, need, NOON) for n, need in enumerate(needs, start=50)
        }

    def case(waiting, live_runs=None, **also) -> Case:
        ones = live_runs or {}
        holding = [HeldRun(o.id, o.node, o.priority, o.need) for o in ones.values()]
        return Case(snap([waiting], holding, **also), ones, 1)

    one = line("a", cpu(1, 4))
    assert kinds(case(one, live(cpu(1.5)))) == (["cpu"], ["stop"])
    assert kinds(case(one, live(cpu(1, 5)))) == (["memory"], ["stop"])
    assert kinds(case(one, live(cpu(0.1)), slots=1)) == (["slots"], ["config"])
    both = case(one, live(cpu(1.5, 0)), slots=1)
    assert kinds(both) == (["cpu", "slots"], ["stop"])
    assert kinds(case(one, nodes=[node(open=False)])) == (["node"], ["open"])
    assert kinds(case(line("a", cpu(3)))) == (["cpu"], ["capacity"])
    assert kinds(case(line("a", cpu(1, gpus=1)))) == (["gpu"], ["capacity"])
    docker = replace(one, environment="docker")
    assert kinds(case(docker)) == (["environment"], ["environment"])
    unmet = replace(one, unmet={"n1": Unmet("requires:1", "waits for /x")})
    assert kinds(case(unmet)) == (["requirement"], ["requirement"])
    ports = replace(one, ports=(PortWant("http", 80, 80),))
    busy = case(ports, nodes=[node(taken={80: "another program"})])
    assert kinds(busy) == (["ports"], ["ports"])


def test_of_two_nodes_the_one_that_needs_less_is_named() -> None:
    full, shut = node("n1"), node("n2", open=False)
    ones = {50: Running(50, "n1", 4, cpu(2), NOON)}
    held = [HeldRun(50, "n1", 4, cpu(2))]
    answer = explain_run(
        Case(snap([line("a", cpu(1))], held, nodes=[full, shut]), ones, 1)
    )
    (blocker,) = answer.blockers
    assert (blocker.kind, blocker.node, blocker.short_by) == ("cpu", "n1", 1000)
    assert answer.changes == (Change("stop", node="n1", runs=(50,)),)
