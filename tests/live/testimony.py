"""Reads what witnesses wrote and matches it with what was due. The product's own
database is no evidence here."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Testimony:
    __test__ = False  # its name makes pytest curious

    starts: tuple[dict[str, Any], ...]
    ends: tuple[dict[str, Any], ...]

    @property
    def instants(self) -> Counter[str]:
        """How often each nominal instant was started, by its key."""
        return Counter(start["occurrence"].partition("@")[2] for start in self.starts)

    def lost(self, due: Iterable[str]) -> list[str]:
        return [key for key in due if key not in self.instants]

    def doubled(self) -> list[str]:
        """Instants, and runs, that began more than once."""
        runs = Counter(start["run"] for start in self.starts)
        counted = [*self.instants.items(), *runs.items()]
        return sorted(name for name, times in counted if name and times > 1)

    def unfinished(self) -> list[str]:
        """Runs that began and never told of their end."""
        ended = {end["run"] for end in self.ends}
        return [start["run"] for start in self.starts if start["run"] not in ended]

    def lateness_s(self) -> list[float]:
        """Of each scheduled start: negative is early."""
        return [
            start["at"] - instant_of(start["occurrence"].partition("@")[2]).timestamp()
            for start in self.starts
        ]


def read_testimony(path: Path) -> Testimony:
    lines = [json.loads(line) for line in read_lines(path)]
    by_moment = {
        moment: tuple(line for line in lines if line["moment"] == moment)
        for moment in ("start", "end")
    }
    return Testimony(by_moment["start"], by_moment["end"])


def read_lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def instant_of(key: str) -> datetime:
    return datetime.strptime(key, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def seconds_between(first: datetime, last: datetime) -> list[str]:
    """The key of every whole second after `first` and up to `last`."""
    start = first.replace(microsecond=0)
    count = int((last - start).total_seconds())
    instants = (start + timedelta(seconds=n) for n in range(1, count + 1))
    return [instant.strftime("%Y%m%dT%H%M%SZ") for instant in instants]
