"""Logs of the Parallel Workloads Archive, read as traces."""

from __future__ import annotations

import pytest

from scheduling.simulation.swf import BadTrace, parse

HEADER = ["; Version: 2.2", "; MaxProcs: 128", ";"]
WAITED_AND_RAN = "1 100 5 60 8 -1 1024 8 600 2048 1 3 1 1 2 1 -1 -1"
EARLIER = "2 40 0 30 4 -1 -1 -1 -1 -1 1 3 1 1 2 1 -1 -1"
NEVER_RAN = "3 50 0 -1 4 -1 -1 4 600 -1 5 3 1 1 2 1 -1 -1"


def test_jobs_come_in_the_order_they_were_asked_for() -> None:
    trace = parse([*HEADER, WAITED_AND_RAN, EARLIER])
    assert [(job.name, job.at_s) for job in trace.jobs] == [("job-2", 0), ("job-1", 60)]


def test_a_job_needs_what_it_asked_for() -> None:
    job = parse([*HEADER, WAITED_AND_RAN]).jobs[0]
    assert (job.cpu_millis, job.takes_s, job.limit_s) == (8000, 60, 600)
    assert job.memory_bytes == 2048 * 1024 * 8


def test_what_was_not_asked_for_is_what_it_had() -> None:
    job = parse([*HEADER, EARLIER]).jobs[0]
    assert (job.cpu_millis, job.limit_s, job.memory_bytes) == (4000, None, 0)


def test_the_machine_is_as_large_as_the_header_says_or_the_largest_job() -> None:
    assert parse([*HEADER, EARLIER]).machines[0].cpu_millis == 128_000
    assert parse([EARLIER, WAITED_AND_RAN]).machines[0].cpu_millis == 8000


def test_a_job_that_never_ran_is_left_out_and_counted() -> None:
    trace = parse([*HEADER, EARLIER, NEVER_RAN])
    assert len(trace.jobs) == 1
    assert trace.notes == ("1 jobs left out: it never ran",)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1 2 3", "line 4: expected 18 numbers, found 3"),
        (EARLIER.replace("40", "noon"), "line 4: expected numbers only"),
        (EARLIER.replace("40", "nan"), "line 4: expected numbers only"),
        (NEVER_RAN, "there is no job in it that ran"),
    ],
)
def test_a_log_that_cannot_be_read_names_the_line(line: str, said: str) -> None:
    with pytest.raises(BadTrace, match=said):
        parse([*HEADER, line])
