"""Search for a short prompt that fits a set of examples, by small mutations.

A prompt's worth is how well its words tell the examples of its own task from those
of the others, less a little for its length.
"""

from __future__ import annotations

import random
import re
from collections import Counter

import run_context

TASKS = {
    "summarise": (
        "give the main points of the text in a few short sentences",
        "shorten this report and keep the main numbers",
        "what is this text about say it in one short sentence",
    ),
    "translate": (
        "say the same in french and keep the tone of the letter",
        "put this letter into plain german for a customer",
        "write the sentence in another language word for word",
    ),
    "extract": (
        "list every name and date that the contract mentions",
        "find all amounts in the invoice and give them as a table",
        "which dates and places does the letter mention list them",
    ),
}
GENERATIONS, POPULATION, MOST_WORDS = 30, 24, 8
WORD = re.compile(r"[a-z]+")


def weights(task: str) -> dict[str, float]:
    """How much a word speaks for the task rather than for the others."""
    own = Counter(w for text in TASKS[task] for w in WORD.findall(text))
    all_of_them = [text for texts in TASKS.values() for text in texts]
    every = Counter(w for text in all_of_them for w in WORD.findall(text))
    return {word: own[word] * (2 * own[word] / every[word] - 1) for word in every}


def worth(prompt: tuple[str, ...], value: dict[str, float]) -> float:
    return sum(value[word] for word in set(prompt)) - 0.15 * len(prompt)


def mutated(
    prompt: tuple[str, ...], words: list[str], chance: random.Random
) -> tuple[str, ...]:
    fresh = list(prompt)
    match chance.randrange(3):
        case 0 if len(fresh) < MOST_WORDS:
            fresh.insert(chance.randrange(len(fresh) + 1), chance.choice(words))
        case 1 if len(fresh) > 1:
            fresh.pop(chance.randrange(len(fresh)))
        case _:
            fresh[chance.randrange(len(fresh))] = chance.choice(words)
    return tuple(fresh)


def search(task: str, chance: random.Random) -> tuple[tuple[str, ...], float]:
    value = weights(task)
    words = sorted(value)
    herd = [tuple(chance.sample(words, 4)) for _ in range(POPULATION)]
    for generation in range(1, GENERATIONS + 1):
        young = [mutated(prompt, words, chance) for prompt in herd for _ in range(3)]
        herd = sorted({*herd, *young}, key=lambda p: -worth(p, value))[:POPULATION]
        if generation % 10 == 0:
            said = " ".join(herd[0])
            print(
                f"{task} {generation}: {worth(herd[0], value):.2f}  {said}", flush=True
            )
        run_context.pause(0.2)
    return herd[0], worth(herd[0], value)


def main() -> None:
    chance = random.Random(run_context.occurrence())
    found = {}
    for task in TASKS:
        prompt, score = search(task, chance)
        found[task] = {"prompt": " ".join(prompt), "worth": round(score, 2)}
    run_context.result(**found)


main()
