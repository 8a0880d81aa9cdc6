"""The words of a rule with their places, a cursor over them, and errors that point."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NoReturn

from scheduling.triggers.human_words import (
    ARTICLES,
    KNOWN,
    NUMBER,
    ORDINAL,
    SUFFIXES,
    TENS,
    TWO_MEANINGS,
    example_like,
    nearest,
)

MAX_CHARS = 3_000  # a canonical text may be longer than what was typed
SHOWN_CHARS = 80
TOKEN = re.compile(
    r"(?P<time>[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?(?![0-9:]))"
    r"|(?P<number>[0-9]{1,9}(?![0-9:]))"
    r'|(?P<quoted>"[^"]*")'
    r"|(?P<word>[^\W\d_]+(?:['\u2019.][^\W\d_]+)*\.?)"
    r"|(?P<mark>[,&@\-\u2013\u2014])"
    r"|(?P<other>[^\s,]+)"
)
DASHES = str.maketrans("\u2013\u2014\u2019", "--'")
Kind = Literal["time", "number", "quoted", "word", "mark", "other", "end"]


class RuleError(ValueError):
    """The rule cannot be taken; the message quotes the word and says where it is."""

    def __init__(self, message: str, word: str, at: int) -> None:
        super().__init__(message)
        self.word = word
        self.at = at  # the first character is 1


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str  # in lower case, without the dots of an abbreviation
    raw: str
    at: int


def tokens(text: str) -> list[Token]:
    found = []
    for match in TOKEN.finditer(text):
        kind: Kind = match.lastgroup or "other"  # type: ignore[assignment]
        raw = match.group()
        plain = raw.lower().translate(DASHES)
        if kind == "word":
            plain = plain.replace(".", "")
        found.append(Token(kind, plain, raw, match.start() + 1))
    if found and found[-1].raw in (".", "!"):
        found.pop()
    found.append(Token("end", "", "", len(text.rstrip()) + 1))
    return found


class Cursor:
    """Where the reading stands."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens(text)
        self.place = 0
        self.leaving_out = False  # behind "except"
        self.example = ""  # told with a refusal; "": the rule most like the text

    @property
    def here(self) -> Token:
        return self.tokens[self.place]

    @property
    def last(self) -> Token:
        return self.tokens[max(0, self.place - 1)]

    @property
    def done(self) -> bool:
        return self.here.kind == "end"

    def ahead(self, by: int = 1) -> Token:
        return self.tokens[min(self.place + by, len(self.tokens) - 1)]

    def step(self) -> Token:
        token = self.here
        self.place = min(self.place + 1, len(self.tokens) - 1)
        return token

    def take(self, *words: str) -> bool:
        """Whether one of the words stands here; the reading goes on behind it."""
        if self.here.kind not in ("word", "mark") or self.here.text not in words:
            return False
        self.step()
        return True

    def sees(self, *words: str) -> bool:
        return self.here.kind in ("word", "mark") and self.here.text in words

    def skip_articles(self) -> None:
        while self.take(*ARTICLES):
            pass

    def number(self) -> int | None:
        """ "15", "fifteen" or "twenty-five"."""
        if self.here.kind == "number":
            return int(self.step().text)
        if self.here.text in NUMBER:
            return NUMBER[self.step().text]
        if self.here.text not in TENS:
            return None
        tens = TENS[self.step().text]
        return tens + self._ones_behind(NUMBER)

    def ordinal(self) -> int | None:
        """ "15th", "first", "twenty-first"; "last" is -1."""
        here = self.here
        if here.kind == "number" and self.ahead().text in SUFFIXES:
            self.step()
            self.step()
            return int(here.text)
        if here.text in ORDINAL:
            return ORDINAL[self.step().text]
        if here.text in TENS:
            start = self.place
            tens = TENS[self.step().text]
            if ones := self._ones_behind(ORDINAL):
                return tens + ones
            self.place = start
        return None

    def _ones_behind(self, table: dict[str, int]) -> int:
        by = 1 if self.here.text == "-" else 0
        ones = table.get(self.ahead(by).text, 0)
        if not 1 <= ones <= 9:
            return 0
        self.place += by + 1
        return ones

    def fail(self, said: str = "", token: Token | None = None) -> NoReturn:
        """Refuse the rule at a word. Without `said`: it is not understood there."""
        token = token or self.here
        shown = self.text if len(self.text) <= SHOWN_CHARS else self.text[:77] + "..."
        word = token.raw[:40]
        if token.kind == "end":
            said = f"something is missing at the end{': ' if said else ''}{said}"
            where = f"{said} (at {token.at})"
        else:
            where = f'"{word}" {said or why_not(token)} (at {token.at})'
            if not said and (meant := meant_by(token)):
                where += f'; did you mean "{meant}"?'
        message = f'"{shown}": {where}; try: {self.example or example_like(self.text)}'
        raise RuleError(message, word, token.at)


def why_not(token: Token) -> str:
    if token.kind == "word" and token.text in TWO_MEANINGS:
        return TWO_MEANINGS[token.text]
    if token.kind == "word" and token.text in KNOWN:
        return "does not fit here"
    return "is not understood here"


def meant_by(token: Token) -> str | None:
    if token.kind != "word" or token.text in KNOWN:
        return None
    return nearest(token.text)
