"""The sealed journal: what sealing costs, and what tampering it notices."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db.models import F

from agents import sealing
from agents.journal import Entry, record_many
from agents.models import Event, Seal
from monitor import audit
from tests.conftest import NOON

pytestmark = pytest.mark.django_db
KEY = b"k" * 32
PER_EVENT_S = 60e-6  # the budget is 10 µs; this allows for a busy machine


@pytest.fixture
def head(settings, tmp_path: Path) -> Path:
    settings.VAR = tmp_path
    return sealing.head_path()


@pytest.fixture
def seal(head, django_capture_on_commit_callbacks) -> Callable[[int], int]:
    """Record some events and seal them."""

    def make(count: int) -> int:
        record_many(events(count))
        with django_capture_on_commit_callbacks(execute=True):
            return sealing.seal_pending(NOON, KEY)

    return make


def events(count: int) -> list[Entry]:
    data = {
        "agent": "a",
        "before": "starting",
        "exit_code": None,
        "note": "ü 1.5",
        "n": 2.5,
    }
    return [
        Entry("run.running", f"run:{n:032x}", "node:a", NOON, {**data, "i": n})
        for n in range(count)
    ]


def verify(head: Path) -> audit.Report:
    return audit.verify(KEY, head)


def faults(head: Path) -> list[str]:
    return [finding.fault for finding in verify(head).findings]


def test_events_are_numbered_without_gaps_and_sealed_in_batches(seal, head) -> None:
    assert seal(3) == 3
    assert seal(2 * sealing.BATCH + 1) == 2 * sealing.BATCH + 1
    seqs = list(Event.objects.order_by("id").values_list("seq", flat=True))
    assert seqs == list(range(1, 2 * sealing.BATCH + 5))
    assert Seal.objects.count() == 4
    report = verify(head)
    assert report.ok
    assert (report.events, report.seals, report.unsealed) == (len(seqs), 4, 0)


def test_sealing_nothing_changes_nothing(seal, head) -> None:
    seal(1)
    assert sealing.seal_pending(NOON, KEY) == 0
    assert Seal.objects.count() == 1


def test_the_tail_that_is_not_sealed_yet_is_told(seal, head) -> None:
    seal(2)
    record_many(events(5))
    report = verify(head)
    assert (report.ok, report.unsealed) == (True, 5)


def test_sealing_costs_little(seal, head) -> None:
    record_many(events(5000))
    began = time.process_time()  # CPU: others may be using the machine
    assert sealing.seal_pending(NOON, KEY) == 5000
    assert (time.process_time() - began) / 5000 < PER_EVENT_S


def test_who_no_longer_leads_seals_nothing(seal, head) -> None:
    class Superseded(Exception):
        pass

    def check() -> None:
        raise Superseded

    record_many(events(1))
    with pytest.raises(Superseded):
        sealing.seal_pending(NOON, KEY, check)
    assert Event.objects.get().seq is None


def test_the_head_is_kept_in_a_file_only_we_can_read(seal, head) -> None:
    seal(3)
    assert stat.S_IMODE(head.stat().st_mode) == 0o600
    assert sealing.read_head(head) == (3, Seal.objects.get().mac)


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"agent": "b"}},
        {"actor": "user:mallory"},
        {"kind": "run.failed"},
        {"subject": "run:other"},
        {"at": NOON.replace(year=2025)},
    ],
)
def test_an_edited_event_is_found(seal, head, change) -> None:
    seal(10)
    seal(10)
    Event.objects.filter(seq=14).update(**change)
    found = verify(head).findings
    assert [(f.fault, f.seq) for f in found] == [("changed", 11)]


def test_a_deleted_event_is_found_where_it_was(seal, head) -> None:
    seal(10)
    Event.objects.filter(seq=7).delete()
    assert [(f.fault, f.seq) for f in verify(head).findings] == [("removed", 7)]


def test_two_events_that_changed_places_are_found(seal, head) -> None:
    seal(10)
    Event.objects.filter(seq=4).update(seq=1000)
    Event.objects.filter(seq=5).update(seq=4)
    Event.objects.filter(seq=1000).update(seq=5)
    assert faults(head) == ["changed"]


def test_renumbering_after_a_deletion_is_found(seal, head) -> None:
    seal(10)
    Event.objects.filter(seq=7).delete()
    for seq in (8, 9, 10):
        Event.objects.filter(seq=seq).update(seq=F("seq") - 1)
    Seal.objects.update(last_seq=9, count=9)
    assert "changed" in faults(head)


def test_a_forged_event_after_the_last_seal_is_found(seal, head) -> None:
    seal(3)
    record_many(events(1))
    Event.objects.filter(seq=None).update(seq=4)
    assert faults(head) == ["added"]


def test_a_journal_cut_short_is_found_by_its_head(seal, head) -> None:
    seal(5)
    seal(5)
    Event.objects.filter(seq__gt=5).delete()
    Seal.objects.filter(first_seq=6).delete()
    assert faults(head) == ["cut_off"]


def test_a_journal_emptied_is_found_by_its_head(seal, head) -> None:
    seal(5)
    Event.objects.all().delete()
    Seal.objects.all().delete()
    assert faults(head) == ["cut_off"]


def test_a_seal_removed_from_the_middle_is_found(seal, head) -> None:
    for _ in range(3):
        seal(4)
    Seal.objects.filter(first_seq=5).delete()
    Event.objects.filter(seq__in=range(5, 9)).delete()
    assert faults(head) == ["seal_removed"]


def test_a_seal_made_with_another_key_is_found(seal, head) -> None:
    seal(4)
    record_many(events(4))
    sealing.seal_pending(NOON, b"another key")
    assert faults(head) == ["changed"]


def test_a_lost_head_file_is_told(seal, head) -> None:
    seal(1)
    head.unlink()
    assert faults(head) == ["no_head"]


def test_a_head_one_seal_behind_is_a_crash_and_no_fault(seal, head) -> None:
    seal(3)
    record_many(events(2))
    sealing.seal_pending(NOON, KEY)  # the head is written after commit: not here
    assert sealing.read_head(head)[0] == 3
    assert verify(head).ok


def test_instants_with_and_without_microseconds_seal_alike(seal, head) -> None:
    odd = [
        Entry("x", "y:1", "z", NOON.replace(microsecond=us), {})
        for us in (0, 1, 120000)
    ]
    record_many(odd)
    seal(1)
    assert verify(head).ok


def test_the_command_says_what_it_found_and_fails(seal, head) -> None:
    record_many(events(4))
    sealing.seal_pending(NOON, sealing.sealing_key())
    sealing.write_head(head)
    said = StringIO()
    call_command("audit", "verify", stdout=said)
    assert "4 events under 1 seals, 0 not sealed yet: good" in said.getvalue()
    Event.objects.filter(seq=2).delete()
    wrong = StringIO()
    with pytest.raises(SystemExit):
        call_command("audit", "verify", stdout=said, stderr=wrong)
    assert "removed at 2" in wrong.getvalue()


def test_the_journal_is_read_over_http_after_a_number(seal, viewer) -> None:
    seal(5)
    body = viewer.get("/api/v1/audit/?since=2&limit=2").json()
    assert [item["seq"] for item in body["items"]] == [3, 4]
    assert body["next"] == 4
    assert viewer.get("/api/v1/audit/?since=4").json()["next"] is None
    assert viewer.delete("/api/v1/audit/").status_code in (403, 405)


def test_the_newest_are_read_first_when_asked_for(seal, viewer) -> None:
    seal(5)
    body = viewer.get("/api/v1/audit/?order=newest&limit=2").json()
    assert [item["seq"] for item in body["items"]] == [5, 4]
    older = viewer.get(f"/api/v1/audit/?order=newest&before={body['next']}").json()
    assert [item["seq"] for item in older["items"]] == [3, 2, 1]


def test_verifying_over_http(head, viewer, django_capture_on_commit_callbacks) -> None:
    record_many(events(3))
    with django_capture_on_commit_callbacks(execute=True):
        sealing.seal_pending(NOON, sealing.sealing_key())
    sealed = Event.objects.filter(seq__gt=0).count()
    body = viewer.get("/api/v1/audit/verify/").json()
    assert (body["ok"], body["events"], body["findings"]) == (True, sealed, [])
