"""`synonyms`: other names people say for an agent, as in "start the report writer".

Unique among the agents there are, and no agent's own name; by words, without case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, FailFast, Field

from agents.errors import Invalid
from agents.quantities import shown

MOST = 10
PHRASE = re.compile(r"[^\W\d_][^\W_]*(?: [^\W_]+){0,4}")
MOST_CHARS = 60


def phrase(text: str) -> str:
    words = " ".join(text.split()).lower()
    if len(words) > MOST_CHARS or not PHRASE.fullmatch(words):
        raise ValueError(
            f"{shown(text)} is not a name of one to five words (letters and digits, "
            "a letter first)"
        )
    return words


def no_twins(found: list[str]) -> list[str]:
    if len(set(found)) != len(found):
        raise ValueError("names the same twice")
    return found


Synonyms = Annotated[
    list[Annotated[str, AfterValidator(phrase)]],
    FailFast(),
    Field(max_length=MOST),
    AfterValidator(no_twins),
]


def spoken(agent_id: str) -> str:
    """An agent's id as people say it: "prompt_optimizer" is "prompt optimizer"."""
    return " ".join(re.split(r"[\s_.\-]+", agent_id.lower())).strip()


def names_of(spec: Mapping[str, Any]) -> list[str]:
    """What an agent is called by, its own name first."""
    return [spoken(spec["agent_id"]), *spec.get("synonyms", [])]


def check_unique(spec: Mapping[str, Any], others: list[Mapping[str, Any]]) -> None:
    """Raises Invalid for a synonym that names another agent already."""
    taken = {
        name: other["agent_id"]
        for other in others
        if other["agent_id"] != spec["agent_id"]
        for name in names_of(other)
    }
    for synonym in spec["synonyms"]:
        if synonym in taken:
            said = f'"{synonym}" is a name of {taken[synonym]} already'
            raise Invalid(f"synonyms: {said}", {"synonyms": [said]})
