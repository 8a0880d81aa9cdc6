"""What utterances ask for, and which are refused at which word."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from scheduling.triggers.human_tokens import RuleError
from scheduling.voice import Understood, hermes, understand

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)  # Monday, 13:00 in Berlin
BERLIN = ZoneInfo("Europe/Berlin")
NAMES = {
    "prompt optimizer": "prompt_optimizer",
    "embedder": "embedder",
    "report": "report",
    "night report": "wr-7",
    "wr 7": "wr-7",
    "backup": "backup",
}


def heard(text: str) -> Understood:
    return understand(text, NAMES, now=NOON, zone=BERLIN)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("start the embedder now", Understood("start", "embedder")),
        ("Please start the embedder.", Understood("start", "embedder")),
        ("could you run prompt-optimizer", Understood("start", "prompt_optimizer")),
        ("run prompt_optimizer", Understood("start", "prompt_optimizer")),
        ("start WR-7", Understood("start", "wr-7")),
        ("start the night report", Understood("start", "wr-7")),
        ("stop the report", Understood("stop", "report")),
        (
            "schedule the report every weekday at 9",
            Understood("schedule", "report", "every weekday at 09:00"),
        ),
        (
            "run the report every other tuesday at 8pm",
            Understood("schedule", "report", "every 2 weeks on Tuesday at 20:00"),
        ),
        ("pause the backups", Understood("pause", "backup")),
        ("resume the backups", Understood("resume", "backup")),
        ("when does the report run next?", Understood("when", "report")),
        ("what is running", Understood("running")),
        ("which agents are running right now?", Understood("running")),
    ],
)
def test_an_utterance_is_understood(text: str, wanted: Understood) -> None:
    assert heard(text) == wanted


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("run the prompt optimizer at five", "2026-11-23T17:00"),
        ("run the report at noon", "2026-11-24T12:00"),
        ("run the report at 13:30", "2026-11-23T13:30"),
        ("run the report at 6am", "2026-11-24T06:00"),
        ("run the report tomorrow at 8am", "2026-11-24T08:00"),
        ("run the report at half past two", "2026-11-23T14:30"),
        ("run the report on friday at 9:00", "2026-11-27T09:00"),
        ("run the report in 20 minutes", "2026-11-23T13:20"),
        ("pause the backups until tomorrow 8am", "2026-11-24T08:00"),
        ("pause the backups until friday", "2026-11-27T00:00"),
        ("pause the backups for 2 hours", "2026-11-23T15:00"),
        ("move the report to 6pm", "2026-11-23T18:00"),
    ],
)
def test_a_time_is_the_next_such_instant(text: str, moment: str) -> None:
    assert heard(text).at == at(moment)


@pytest.mark.parametrize(
    ("text", "word", "said"),
    [
        ("strat the embedder", "strat", 'did you mean "start"?'),
        ("start the embeder", "embeder", 'did you mean "embedder"?'),
        ("start nobody", "nobody", "no agent's name"),
        ("stop the report at 9", "at", "does not fit"),
        ("schedule the report every fortnite", "fortnite", "fortnight"),
        ("schedule the report every hour from 9 to 5", "5", "05:00 or 17:00"),
        ("run the report today at 6am", "6", "in the past"),
        ("move the report 6pm", "6", 'expected "to"'),
        ("what is the weather", "the", "what is running"),
        ("run the report at sunset", "sunset", "not a time by the clock"),
        ("delete everything", "delete", "there are start, stop"),
    ],
)
def test_what_is_not_understood_is_pointed_at(text: str, word: str, said: str) -> None:
    with pytest.raises(RuleError) as refused:
        heard(text)
    assert refused.value.word == word
    assert text[refused.value.at - 1 :].startswith(word)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "text", ["", "start", "start the", "please", "pause the backup for"]
)
def test_what_is_missing_is_said(text: str) -> None:
    with pytest.raises(RuleError, match="missing at the end"):
        heard(text)


def test_hermes_messages_carry_the_utterance() -> None:
    captured = b'{"text": "stop the report", "likelihood": 1, "siteId": "default"}'
    intent = b'{"input": "what is running", "intent": {"intentName": "x"}}'
    assert hermes(captured) == "stop the report"
    assert hermes(intent) == "what is running"


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"text": 5}', b"\xff"])
def test_what_is_no_hermes_message_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|Hermes"):
        hermes(payload)
