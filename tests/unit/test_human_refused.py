"""What is no rule is refused, at the word that does not fit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling.kinds import KINDS
from scheduling.triggers.human_parser import parse
from scheduling.triggers.human_print import to_text
from scheduling.triggers.human_tokens import RuleError
from scheduling.triggers.human_words import EXAMPLES, KNOWN

REFUSED = [  # the rule, the word it is refused at, and what is said
    ("every fortnite", "fortnite", 'did you mean "fortnight"?'),
    ("evry day at 9", "evry", 'did you mean "every"?'),
    ("every moonday", "moonday", 'did you mean "monday"?'),
    ("jeden tag um 9", "jeden", "not understood"),
    ("every third friday", "third", "third Friday of the month"),
    ("every second friday at 8", "second", "every 2 weeks on Friday"),
    ("every first day at 9", "first", "first day of the month"),
    ("last friday at 9", "last", "last Friday of the month"),
    ("last at 9", "at", "what is last"),
    ("biweekly", "biweekly", "every 2 weeks"),
    ("bimonthly", "bimonthly", "every 2 months"),
    ("nightly", "nightly", "does not say when"),
    ("every morning", "morning", "no time"),
    ("every evening at 10am", "10", "not in the evening"),
    ("every hour from 9 to 5", "5", "05:00 or 17:00"),
    ("every hour from 1 to 5pm", "1", "01:00 or 13:00"),
    ("every hour from 1pm to 4", "4", "04:00 or 16:00"),
    ("at 9 and 5", "5", "05:00 or 17:00"),
    ("at 5 and 9pm", "5", "05:00 or 17:00"),
    ("every day at 25:00", "25:00", "not a time of day"),
    ("every day at 9:75", "9:75", "not a time of day"),
    ("every day at 13pm", "13", "24 hours"),
    ("every day at 24:00", "24:00", "next day"),
    ("every day at 9.30", ".30", "not understood"),
    ("every day 9", "9", 'write "at"'),
    ("on 1 and 15 at noon", "1", "1st"),
    ("on february 30", "30", "February has no day 30"),
    ("on the 32nd", "32", "no month"),
    ("on the sixth monday of the month", "month", "no month has that many"),
    ("on december 24, 9", "9", "a day or an hour"),
    ("on december", "december", "no day of the month"),
    ("every june", "june", "no day"),
    ("every year in june", "june", "none of the rule's dates"),
    ("in june", "in", "neither days nor times"),
    ("except mondays", "except", "neither days nor times"),
    ("every weekday except weekdays", "weekdays", "leaves out all"),
    ("every weekday except christmas", "christmas", "not understood"),
    ("every weekday between 9 and 17", "between", "how often"),
    ("every 15 minutes at 9", "9", "second time"),
    ("every monday on tuesdays", "tuesdays", "second time"),
    ("every monday at 9 and every friday at 17", "and", "two schedules"),
    ("every monday or tuesday", "or", "which"),
    ("every 36 hours", "36", "every day"),
    ("every 0 minutes", "0", "not a number to count by"),
    ("every 1.5 hours", ".5", "not understood"),
    ("every other weekday", "weekday", "cannot be counted"),
    ("every 2 quarters", "2", "only months"),
    ("five times a day", "five", "1, 2, 3, 4, 6, 8, 12, 24"),
    ("twice a week", "week", "name the days"),
    ("30 minutes before lunch", "lunch", "sunset"),
    ("13 hours after sunset", "13", "12 hours"),
    ("every monday if it rains", "if", "does not fit"),
    ("tomorrow at 9", "tomorrow", "run_at"),
    ("next monday at 9", "next", "not understood"),
    ("0 9 * * 1-5", "9", 'write "at"'),
    ("every day at 9 Europe/Berlin", "Europe", "not understood"),
    ("every 5-10 minutes", "-", "not understood"),
    ("every hour from 9:30pm to 9:30pm", "9:30", "ends where it begins"),
    ("on the 1st monday and 3rd friday of the month", "friday", "does not go with"),
    ("every 400 days", "400", "more than 366"),
]


@pytest.mark.parametrize(("text", "word", "said"), REFUSED)
def test_a_rule_is_refused_at_the_word(text: str, word: str, said: str) -> None:
    with pytest.raises(RuleError) as refused:
        parse(text)
    assert refused.value.word == word
    assert text[refused.value.at - 1 :].startswith(word)
    message = str(refused.value)
    assert f'"{word}" ' in message
    assert f"(at {refused.value.at})" in message
    assert said in message
    assert "try: " in message


@pytest.mark.parametrize("text", ["", "   ", "every", "at", "every day except"])
def test_what_is_missing_is_missing_at_the_end(text: str) -> None:
    with pytest.raises(RuleError, match="missing at the end") as refused:
        parse(text)
    assert refused.value.at == len(text.rstrip()) + 1


def test_the_message_reads_as_people_would_say_it() -> None:
    with pytest.raises(RuleError) as refused:
        parse("every fortnite")
    assert str(refused.value).startswith(
        '"every fortnite": "fortnite" is not understood here (at 7); '
        'did you mean "fortnight"?; try: '
    )


def test_a_text_without_an_end_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than 400"):
        KINDS["rule"].read("every day at 9 " * 40)


@pytest.mark.parametrize("example", EXAMPLES)
def test_what_is_suggested_is_understood(example: str) -> None:
    assert parse(example)


words = st.lists(
    st.sampled_from(KNOWN) | st.integers(0, 70).map(str) | st.sampled_from(",-:@"),
    max_size=9,
)


@given(words.map(" ".join) | st.text(max_size=60))
def test_any_text_is_a_rule_that_reads_back_or_is_refused_with_a_place(
    text: str,
) -> None:
    try:
        rule = parse(text)
    except RuleError as refused:
        place = refused.at
    else:
        place = 1
        assert parse(to_text(rule)) == rule
    assert 1 <= place <= len(text) + 1
