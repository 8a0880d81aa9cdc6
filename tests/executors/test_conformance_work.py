"""A program may work in the folder of another run: a hook does, beside its run."""

from __future__ import annotations

from tests.executors.harness import WITHIN_S, Bench
from tests.waiting import wait_for


def test_it_works_in_the_folder_it_is_told_and_speaks_in_its_own(
    real_bench: Bench,
) -> None:
    owner = real_bench.start("sh", "-c", "echo mine >made; sleep 60")
    work = real_bench.folder / owner / "work"
    wait_for((work / "made").exists, timeout_s=WITHIN_S)
    helper = real_bench.start(
        *("sh", "-c", "cat made; echo yours >also; echo aside >&2"), work=work
    )
    assert real_bench.ended(helper).exit_code == 0, real_bench.text(helper, "err")
    assert real_bench.text(helper) == "mine\n"
    assert real_bench.text(helper, "err") == "aside\n"
    assert (work / "also").read_text() == "yours\n"
    assert real_bench.text(owner) == ""
    assert real_bench.executor.alive() == {owner: 1}
    real_bench.executor.stop(owner, grace_s=0)
    real_bench.ended(owner)
