"""The holder itself: small, at rest, and there as long as a program runs."""

from __future__ import annotations

import os
from pathlib import Path

from agents.executors.base import Ended
from tests.executors.harness import Bench, is_alive
from tests.waiting import wait_for


def test_the_holder_stays_small(bench: Bench) -> None:
    specs = [bench.spec("true") for _ in range(300)]
    bench.executor.start(specs)
    assert all(isinstance(bench.ended(spec.uid), Ended) for spec in specs)
    pid = bench.executor.about()["pid"]
    kept = Path(f"/proc/{pid}/smaps_rollup").read_text().split("Pss:")[1].split()[0]
    assert int(kept) < 15_000


def test_a_renewed_holder_keeps_its_programs_as_its_children(bench: Bench) -> None:
    gate = bench.folder / "gate"
    uid = bench.start("sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.02; done; exit 8")
    bench.started(uid)
    about = bench.executor.about()
    bench.executor.renew()
    assert bench.executor.about() == about
    assert bench.executor.alive() == {uid: 1}
    gate.touch()
    assert bench.ended(uid).exit_code == 8


def test_the_holder_stays_while_programs_run_and_goes_after_the_last(
    bench: Bench,
) -> None:
    uid = bench.start("sleep", "60")
    bench.started(uid)
    guard = bench.executor.about()["guard"]
    assert not bench.executor.shut_down()
    bench.executor.stop(uid, grace_s=5)
    bench.ended(uid)
    assert bench.executor.shut_down()
    wait_for(lambda: not is_alive(guard))


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_holder_with_nothing_to_do_rests(bench: Bench) -> None:
    about = bench.executor.about()  # by now it has tried what it can do
    before = cpu_s(about["pid"])
    bench.run("sleep", "2")
    assert cpu_s(about["pid"]) - before < 0.8  # it also makes folders meanwhile
