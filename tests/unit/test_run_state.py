from __future__ import annotations

from scheduling.run_state import (
    FINAL,
    HAS_PROGRAM,
    HOLDS_RESOURCES,
    TRANSITIONS,
    RunState,
    allowed,
)


def reachable(start: RunState) -> set[RunState]:
    found, todo = {start}, [start]
    while todo:
        for after in TRANSITIONS[todo.pop()] - found:
            found.add(after)
            todo.append(after)
    return found


def test_every_state_can_be_reached_and_every_run_can_end() -> None:
    assert reachable(RunState.QUEUED) == set(RunState)
    assert all(reachable(state) & FINAL for state in RunState)


def test_nothing_leaves_a_final_state() -> None:
    assert all(not allowed(state, after) for state in FINAL for after in RunState)


def test_only_an_admitted_run_goes_back_to_the_queue() -> None:
    back = {before for before in RunState if allowed(before, RunState.QUEUED)}
    assert back == {RunState.ADMITTED}


def test_what_has_a_program_holds_its_room() -> None:
    assert HAS_PROGRAM < HOLDS_RESOURCES
    assert RunState.QUEUED not in HOLDS_RESOURCES
