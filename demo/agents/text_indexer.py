"""Build an inverted index of documents and answer a question from it.

Takes documents and question from the run that triggered it; started by hand, it
indexes the project's own documents.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from pathlib import Path

import run_context

PROJECT = Path(__file__).resolve().parents[2]
WORD = re.compile(r"[a-z][a-z0-9_]{2,}")
ENDINGS = ("ing", "ed", "es", "s")
TELL_EVERY = 10


def words(text: str) -> list[str]:
    """Lower-case words with the commonest endings taken off."""
    return [stem(word) for word in WORD.findall(text.lower())]


def stem(word: str) -> str:
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) > 3:
            return word[: -len(ending)]
    return word


def build(files: list[Path]) -> dict[str, dict[str, int]]:
    """word -> document -> how often."""
    index: dict[str, dict[str, int]] = defaultdict(dict)
    for number, file in enumerate(files, 1):
        for word, count in Counter(words(file.read_text(errors="replace"))).items():
            index[word][str(file)] = count
        if number % TELL_EVERY == 0:
            print(f"{number} of {len(files)}: {len(index)} words", flush=True)
        run_context.pause(0.2)
    return index


def best(
    index: dict[str, dict[str, int]], question: str, documents: int
) -> list[tuple[str, float]]:
    """Documents by the weight of the question's words: rare ones count more."""
    scores: Counter[str] = Counter()
    for word in set(words(question)):
        places = index.get(word, {})
        rarity = math.log((1 + documents) / (1 + len(places)))
        for document, count in places.items():
            scores[document] += (1 + math.log(count)) * rarity
    return scores.most_common(5)


def main() -> None:
    asked = run_context.parent_result()
    named = asked.get("files") or [str(f) for f in PROJECT.rglob("docs/*.md")]
    files = [Path(name) for name in named if Path(name).is_file()]
    question = asked.get("question", "how is a run started")
    print(f"indexing {len(files)} documents", flush=True)
    index = build(files)
    kept = run_context.shared_folder() / "index.json"
    run_context.save(kept, json.dumps(index))
    answers = best(index, question, len(files))
    print(f"{question}?", flush=True)
    for document, score in answers:
        print(f"  {score:6.2f}  {Path(document).name}", flush=True)
    run_context.result(
        documents=len(files),
        words=len(index),
        question=question,
        best=[{"file": Path(d).name, "score": round(s, 3)} for d, s in answers],
        index_bytes=kept.stat().st_size,
    )


main()
