"""A table of phrases: each means what it says, and is never silently wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from scheduling.triggers.base import firings
from scheduling.triggers.days import Dates
from scheduling.triggers.human_parser import parse
from scheduling.triggers.human_print import to_text
from scheduling.triggers.human_trigger import HumanTrigger, human_trigger
from scheduling.triggers.solar import Place
from tests.unit.human_oracle import (
    BERLIN,
    HOLIDAYS,
    NIGHT_SHIFT,
    NOW,
    OBSERVER,
    walked,
)
from tests.unit.human_phrases import PHRASES, Row

CALENDARS = {
    "holidays": Dates(HOLIDAYS),
    "night-shift": Dates(NIGHT_SHIFT),
    "Night shift": Dates(NIGHT_SHIFT),
}
PLACE = Place(OBSERVER.latitude, OBSERVER.longitude)
each_phrase = pytest.mark.parametrize("row", PHRASES, ids=[r.phrase for r in PHRASES])


A_MINUTE = timedelta(minutes=1)  # almanacs agree on the sun to this


def by_the_sun(row: Row) -> bool:
    return isinstance(row.times, str) and ("+" in row.times or "-" in row.times)


def trigger_of(text: str) -> HumanTrigger:
    return human_trigger(
        parse(text), BERLIN, place=PLACE, anchor_at=NOW, calendars=CALENDARS
    )


def instant(text: str) -> datetime:
    form = "%a %d %b %Y %H:%M:%S" if text.count(":") == 2 else "%a %d %b %Y %H:%M"
    return datetime.strptime(text, form).replace(tzinfo=BERLIN).astimezone(UTC)


def test_there_are_enough_phrases_and_no_two_alike() -> None:
    assert len({row.phrase for row in PHRASES}) == len(PHRASES) >= 120


@each_phrase
def test_a_phrase_has_its_next_three_instants(row: Row) -> None:
    written = [instant(text) for text in row.instants]
    far = NOW + timedelta(days=14_000)
    found = firings(trigger_of(row.phrase), NOW, far, at_most=3)
    apart = [abs(at - wanted) for at, wanted in zip(found, written, strict=True)]
    assert max(apart) <= (A_MINUTE if by_the_sun(row) else timedelta())


@each_phrase
def test_the_instants_written_are_those_of_a_walk_over_every_day(row: Row) -> None:
    assert walked(row.days, row.times) == [instant(text) for text in row.instants]


@each_phrase
def test_a_phrase_has_one_canonical_form_that_reads_back_the_same(row: Row) -> None:
    rule = parse(row.phrase)
    assert to_text(rule) == row.canonical
    assert parse(row.canonical) == rule


@each_phrase
def test_counting_agrees_with_walking(row: Row) -> None:
    trigger = trigger_of(row.phrase)
    until = NOW + timedelta(days=45)
    found = firings(trigger, NOW, until, at_most=100_000)
    assert trigger.count(NOW, until) == len(found)


@each_phrase
def test_case_and_spaces_do_not_matter(row: Row) -> None:
    if '"' in row.phrase:  # what is quoted is a name, as it stands
        return
    assert parse(f"  {row.phrase.upper().replace(' ', '   ')}  ") == parse(row.phrase)
