"""Why a class of runs waits, in words, from the ledger as it stands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from scheduling.planner import pressure
from scheduling.planner.snapshot import QueueClass, Resources

if TYPE_CHECKING:
    from scheduling.planner.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Blocked:
    code: str  # stable: a Wait is written only when it changes
    text: str
    until: datetime | None = None  # when it is over, where that is known


def explain(wanted: QueueClass, ledger: Ledger) -> Blocked:
    """The blocker nearest to the run: no node, never enough, not enough now."""
    if not ledger.nodes:
        return Blocked("no_node", "no node has joined yet")
    able = ledger.able(wanted)
    if not able:
        return _no_node(wanted, ledger)
    usable = ledger.usable(wanted)
    if not usable:
        return _barred(able, wanted, ledger)
    never = {name: ledger.lacks_ever(name, wanted.need) for name in usable}
    if all(never.values()):
        return Blocked(
            f"never:{_codes(never)}",
            f"needs {describe(wanted.need, never)}; "
            + _each(usable, never, "does not have that much"),
        )
    if ledger.slots_coming <= 0:
        return Blocked("slots", "all agent slots are in use (max_concurrent_agents)")
    short = {name: ledger.lacks_later(name, wanted.need) for name in usable}
    if text := pressure.said(ledger, usable, short):
        return Blocked("pressure", text)
    text = _each(usable, short, "has too little free")
    return Blocked(f"busy:{_codes(short)}", text or "waits for room")


def _no_node(wanted: QueueClass, ledger: Ledger) -> Blocked:
    if wanted.pinned_node:
        return Blocked("pinned", f"waits for node {wanted.pinned_node} to take runs")
    able = [n for n in ledger.nodes.values() if wanted.environment in n.environments]
    if able:
        text = "every node that could take it is down or cordoned"
        return Blocked("closed", text)
    never = {n.name: n.capacity.lacks(wanted.need) for n in ledger.nodes.values()}
    text = f"no node offers {wanted.environment}"
    if all(never.values()):
        text += f", and none has the {describe(wanted.need, never)} it needs"
    return Blocked(f"env:{wanted.environment}+{_codes(never)}", text)


def _barred(able: list[str], wanted: QueueClass, ledger: Ledger) -> Blocked:
    """What is required and not there: said once where it is the same everywhere."""
    found = {name: bar for name in able if (bar := ledger.bar(name, wanted))}
    texts = {name: bar.text for name, bar in found.items()}
    code = min(bar.code for bar in found.values())
    if len(set(texts.values())) == 1:
        return Blocked(code, next(iter(texts.values())))
    said = "; ".join(f"on {name}: {text}" for name, text in texts.items())
    return Blocked(code, said)


def _codes(lacks: dict[str, list[str]]) -> str:
    return "+".join(sorted({what for short in lacks.values() for what in short}))


def _each(names: list[str], lacks: dict[str, list[str]], verb: str) -> str:
    parts = [f"{n} {verb} {' and '.join(lacks[n])}" for n in names if lacks[n]]
    return "; ".join(parts)


def describe(need: Resources, lacks: dict[str, list[str]]) -> str:
    """The part of the need that is short: "1 GPU and 64.0 GB memory"."""
    said = {
        "CPU": f"{need.cpu_millis / 1000:g} cores",
        "memory": f"{need.memory_bytes / 1e9:.1f} GB memory",
        "GPU": f"{need.gpus} GPU" + ("s" if need.gpus > 1 else ""),
        "bandwidth": f"{need.bandwidth_bps / 1e6:g} Mbit/s of bandwidth",
    }
    wanted = {what for short in lacks.values() for what in short}
    return " and ".join(text for what, text in said.items() if what in wanted)
