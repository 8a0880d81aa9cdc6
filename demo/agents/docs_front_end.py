"""Look for changed documents, choose a question about them, hand both on.

Its result is the work of the agent it triggers.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import run_context

PROJECT = Path(__file__).resolve().parents[2]
MOST_FILES = 120
QUESTIONS = (
    "how is a run started",
    "what happens when a node dies",
    "which priorities are there",
    "how does a schedule survive a change of clocks",
    "who may stop an agent",
    "where is the state kept",
)


def documents() -> list[Path]:
    found = [*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")]
    found += sorted((PROJECT / "agents").glob("*.py"))
    return [file for file in found if file.is_file()][:MOST_FILES]


def main() -> None:
    seen_file = run_context.shared_folder() / "documents-seen.json"
    seen = json.loads(seen_file.read_text()) if seen_file.exists() else {}
    now: dict[str, str] = {}
    changed = []
    for file in documents():
        now[str(file)] = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
        if seen.get(str(file)) != now[str(file)]:
            changed.append(str(file))
            print(f"changed: {file.relative_to(PROJECT)}", flush=True)
            run_context.pause(0.05)
    gone = sorted(seen.keys() - now.keys())
    run_context.save(seen_file, json.dumps(now))
    question = run_context.params().get("question")
    if question is None:
        question = QUESTIONS[int(time.time() // 300) % len(QUESTIONS)]
    print(f"{len(now)} documents, {len(changed)} changed, {len(gone)} gone", flush=True)
    print(f"next question: {question}?", flush=True)
    run_context.pause(1.5)
    run_context.result(question=question, files=sorted(now), changed=len(changed))


main()
