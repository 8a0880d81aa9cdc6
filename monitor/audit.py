"""Checking the sealed journal: was anything changed, removed, moved or cut off?

It reads what agents/sealing.py wrote and computes every seal again. It is not a
second log: the journal is the only history.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from django.db.models import Q

from agents import sealing
from agents.models import Event, Seal

PART_EVENTS = 20_000  # that a part looks at: a fraction of a second
Fault = Literal["changed", "removed", "added", "seal_removed", "cut_off", "no_head"]


@dataclass(frozen=True, slots=True)
class Finding:
    fault: Fault
    seq: int  # where it begins
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    events: int  # that stand under a good seal
    seals: int
    unsealed: int  # the last second or so; not covered yet
    findings: tuple[Finding, ...]
    last: int = 0  # the newest sealed number
    following: int | None = None  # a part: where to go on

    @property
    def ok(self) -> bool:
        return not self.findings


def verify(key: bytes, head: Path) -> Report:
    """Compute every seal again and compare; findings say where and what."""
    return _verify(key, head, 0, None)


def verify_part(key: bytes, head: Path, after: int) -> Report:
    """The same for the seals behind number `after`, a bounded piece of them: for who
    shows how far it is. What lies behind the last seal is looked at with the last."""
    return _verify(key, head, after, PART_EVENTS)


def _verify(key: bytes, head: Path, after: int, most: int | None) -> Report:
    findings: list[Finding] = []
    seals = events = looked = 0
    before = Seal.objects.filter(last_seq__lte=after).order_by("-last_seq").first()
    last = Seal.objects.order_by("-last_seq").values_list("last_seq", flat=True).first()
    rest = Seal.objects.filter(last_seq__gt=after).order_by("first_seq")
    for seal in rest.iterator():
        if most is not None and looked >= most and before is not None:
            return Report(events, seals, 0, tuple(findings), last or 0, before.last_seq)
        seals, looked = seals + 1, looked + seal.count
        faults = list(_check(seal, before, key))
        events += 0 if faults else seal.count
        findings += faults
        before = seal
    findings += _after(before)
    findings += _check_head(before, sealing.read_head(head))
    unsealed = Event.objects.filter(seq=None).count()
    return Report(events, seals, unsealed, tuple(findings), last or 0)


def _check(seal: Seal, before: Seal | None, key: bytes) -> Iterator[Finding]:
    expected = before.last_seq + 1 if before else 1
    if seal.first_seq != expected:
        last = seal.first_seq - 1
        text = f"the seals of events {expected} to {last} are gone"
        yield Finding("seal_removed", expected, text)
    rows = sealing.read_sealed(seal.first_seq, seal.last_seq)
    missing = _missing(seal, [row[0] for row in rows])
    if missing is not None:
        gone = seal.count - len(rows)
        yield Finding("removed", missing, f"{gone} events from {missing} on are gone")
        return
    mac = sealing.mac_of(rows, before.mac if before else "", key)
    if mac != seal.mac and seal.first_seq == expected:
        span = f"{seal.first_seq} to {seal.last_seq}"
        text = f"events {span} or their seal are not what was sealed"
        yield Finding("changed", seal.first_seq, text)


def _missing(seal: Seal, found: Sequence[int]) -> int | None:
    """The first number of the seal that no event carries."""
    if len(found) == seal.count == seal.last_seq - seal.first_seq + 1:
        return None
    wanted = range(seal.first_seq, seal.last_seq + 1)
    return next(iter(sorted(set(wanted) - set(found))), seal.first_seq)


def _after(last: Seal | None) -> Iterator[Finding]:
    """Numbered events beyond the last seal: forged, or their seal was removed."""
    sealed = last.last_seq if last else 0
    beyond = Event.objects.filter(Q(seq__gt=sealed) | Q(seq__lt=1)).order_by("seq")
    first = beyond.values_list("seq", flat=True).first()
    if first is not None:
        text = f"events from {first} on carry a number but no seal"
        yield Finding("added", first, text)


def _check_head(last: Seal | None, head: tuple[int, str] | None) -> Iterator[Finding]:
    """The head file may be a seal behind (a crash in between), never ahead."""
    if head is None:
        if last is not None:
            yield Finding("no_head", last.last_seq, "the head file is gone or damaged")
        return
    seq, mac = head
    sealed = last.last_seq if last else 0
    if seq > sealed:
        text = f"the journal was sealed up to {seq} and now ends at {sealed}"
        yield Finding("cut_off", sealed + 1, text)
    elif not Seal.objects.filter(last_seq=seq, mac=mac).exists():
        yield Finding("changed", seq, f"the seal at {seq} is not the one in the head")
