"""Reads a human rule: clauses in any order, each said once, every word accounted for.

    every weekday | at 9am | in June | except holidays

A word that is not understood where it stands is refused with its place; nothing is
left out and nothing is guessed. See docs/triggers.md for the grammar.
"""

from __future__ import annotations

from scheduling.triggers.human import (
    Rule,
)
from scheduling.triggers.human_clocks import (
    check_list,
    has_minutes,
    point,
    starts_point,
)
from scheduling.triggers.human_dates import (
    Chosen,
    day_item,
    goes_on,
    in_months,
    month_list,
)
from scheduling.triggers.human_draft import Draft
from scheduling.triggers.human_every import count_by, every, times_a_day
from scheduling.triggers.human_print import nth_text
from scheduling.triggers.human_tokens import MAX_CHARS, Cursor, RuleError
from scheduling.triggers.human_words import (
    ADVERBS,
    EXCEPT,
    MONTH,
    PARTS,
    TO,
    WEEKDAY,
)


def parse(text: str) -> Rule:
    """The rule a text stands for.

    Raises RuleError (a ValueError) pointing at the first word that does not fit.
    """
    if len(text) > MAX_CHARS:
        raise RuleError(f"longer than {MAX_CHARS} characters", "", MAX_CHARS + 1)
    return parse_rest(Cursor(text))


def parse_rest(cursor: Cursor) -> Rule:
    """The rule that stands from the cursor on, to the end of the text."""
    draft = Draft(cursor)
    if cursor.done:
        cursor.fail("say when")
    while not cursor.done:
        if not cursor.take(","):
            _clause(draft)
    return draft.rule()


def _clause(draft: Draft) -> None:
    cursor = draft.cursor
    if cursor.take("every", "each"):
        every(draft)
    elif cursor.here.text in ADVERBS:
        token = cursor.step()
        count_by(draft, 1, ADVERBS[token.text], token)
    elif cursor.take("at", "@"):
        _at(draft)
    elif cursor.take("on"):
        _on(draft)
    elif cursor.take("in", "during"):
        _in(draft)
    elif cursor.take("from", "between"):
        _from(draft)
    elif cursor.sees("until", "till"):
        token = cursor.step()
        draft.window(token, None, point(cursor))
    elif cursor.sees(*EXCEPT):
        _except(draft)
    elif cursor.sees("only"):
        cursor.step()
    else:
        _without_preposition(draft)


def _without_preposition(draft: Draft) -> None:
    """ "weekdays at 7", "twice a day", "9am every weekday", "an hour after dusk"."""
    cursor = draft.cursor
    token = cursor.here
    if times_a_day(draft):
        return
    if cursor.here.text in PARTS and cursor.ahead().text != "golden":
        draft.in_part(token, PARTS[cursor.step().text])
        return
    if cursor.sees("and", "or", "&"):
        _second_rule(cursor)
    chosen = day_item(cursor)
    if chosen is not None:
        draft.choose(chosen)
        return
    if not starts_point(cursor):
        cursor.fail()
    first = point(cursor, opens=True)
    if cursor.take(*TO):
        draft.window(token, first, point(cursor))
    elif first.bare and not has_minutes(first):
        cursor.fail('is not clear here; write "at" before a time', token)
    else:
        cursor.place = cursor.tokens.index(token)
        _at(draft)


def _second_rule(cursor: Cursor) -> None:
    if cursor.ahead().text in ("every", "each", "at", "on", "from", "in"):
        cursor.fail(
            "would join two rules; one schedule has one set of days and times, make "
            "two schedules"
        )
    cursor.fail()


def _at(draft: Draft) -> None:
    cursor = draft.cursor
    token = cursor.here
    if cursor.take("minute"):
        minute = cursor.number()
        if minute is None or minute > 59:
            cursor.fail("expected a minute from 0 to 59", cursor.last)
        draft.at_minute(token, minute)
        return
    found = [point(cursor)]
    while goes_on(cursor, starts_point):
        found.append(point(cursor))
    if not draft.part:
        check_list(cursor, found)
    draft.at(token, found)


def _on(draft: Draft) -> None:
    cursor = draft.cursor
    chosen = day_item(cursor)
    if chosen is None:
        if cursor.here.text in MONTH:
            cursor.step()
            cursor.fail("says no day of the month", cursor.last)
        if cursor.here.kind == "number":
            cursor.fail(f'is not a day; write "{nth_text(int(cursor.here.text))}"')
        cursor.fail("says no days" if cursor.done else "")
    draft.choose(chosen)


def _in(draft: Draft) -> None:
    cursor = draft.cursor
    place = cursor.place
    cursor.skip_articles()
    if cursor.here.text in PARTS and cursor.ahead().text != "golden":
        token = cursor.step()
        draft.in_part(token, PARTS[token.text])
    elif cursor.here.text in MONTH:
        draft.in_months(cursor.here, month_list(cursor))
    elif cursor.sees("calendar"):
        cursor.place = place
        chosen = day_item(cursor)
        assert chosen is not None, "the word was seen"
        draft.choose(chosen)
    else:
        cursor.fail()


def _from(draft: Draft) -> None:
    cursor = draft.cursor
    token = cursor.last
    ends: tuple[str, ...] = ("and", "to", "-") if token.text == "between" else TO
    if cursor.here.text in WEEKDAY:
        chosen = day_item(cursor)
        assert chosen is not None, "the word was seen"
        draft.choose(chosen)
    elif cursor.here.text in MONTH:
        draft.in_months(cursor.here, month_list(cursor))
    else:
        start = point(cursor, opens=True)
        if cursor.take(*ends):
            draft.window(token, start, point(cursor))
        elif token.text == "between":
            cursor.fail('expected "and" with the end of the window')
        else:
            draft.window(token, start, None)


def _except(draft: Draft) -> None:
    cursor = draft.cursor
    token = cursor.step()
    cursor.take("not", "for")
    cursor.leaving_out = True
    while True:
        cursor.take("on", "it", "is", "it's")
        cursor.skip_articles()
        draft.leave_out(token, _left_out(cursor))
        if not goes_on(cursor, _starts_left_out):
            cursor.leaving_out = False
            return


def _left_out(cursor: Cursor) -> Chosen:
    cursor.take("in")
    if cursor.here.text in MONTH and cursor.ahead().kind != "number":
        return in_months(cursor)
    chosen = day_item(cursor)
    if chosen is None:
        cursor.fail("says no days to leave out" if cursor.done else "")
    return chosen


def _starts_left_out(cursor: Cursor) -> bool:
    """Whether days to leave out stand here, rather than the rule's next clause."""
    place = cursor.place
    if not cursor.take("on"):
        cursor.take("in")
    cursor.skip_articles()
    try:
        starts = cursor.here.text in MONTH or day_item(cursor) is not None
    except RuleError:
        starts = False
    cursor.place = place
    return starts
