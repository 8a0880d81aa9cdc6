"""Write docs/run_states.md from the table of states, so that the two cannot differ.

The words for a state are the comment on its line in scheduling/run_state.py.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from scheduling import run_state
from scheduling.run_state import FINAL, HOLDS_RESOURCES, TRANSITIONS, RunState

PAGE = Path(__file__).resolve().parents[1] / "docs" / "run_states.md"
HEAD = """# The states of a run

Written from `scheduling/run_state.py` by `make docs`; a test fails when it differs.

A run is one attempt. It moves only along these arrows, each time in one transaction
with the event that tells of it; a final state never changes. A retry, a restart and
work that had to make room are new runs of the same occurrence.
"""
MEMBER = re.compile(r"^    ([A-Z_]+) = \"\w+\"(?:  # (.+))?$", re.MULTILINE)


def meanings() -> dict[str, str]:
    source = inspect.getsource(run_state)
    return {name: said or "it is over" for name, said in MEMBER.findall(source)}


def diagram() -> str:
    arrows = [f"    [*] --> {RunState.QUEUED}"]
    arrows += [
        f"    {before} --> {after}"
        for before, possible in TRANSITIONS.items()
        for after in RunState
        if after in possible
    ]
    arrows += [f"    {state} --> [*]" for state in RunState if state in FINAL]
    return "\n".join(["```mermaid", "stateDiagram-v2", *arrows, "```"])


def table() -> str:
    said = meanings()
    lines = [
        "| state | what it says | may become | holds resources |",
        "|---|---|---|---|",
    ]
    for state in RunState:
        after = [f"`{s}`" for s in RunState if s in TRANSITIONS[state]]
        holds = "yes" if state in HOLDS_RESOURCES else "no"
        becomes = ", ".join(after) or "nothing: final"
        lines.append(f"| `{state}` | {said[state.name]} | {becomes} | {holds} |")
    return "\n".join(lines)


def render() -> str:
    return f"{HEAD}\n{diagram()}\n\n{table()}\n"


if __name__ == "__main__":
    PAGE.write_text(render())
