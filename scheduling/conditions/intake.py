"""Messages into values: which sensors a topic concerns, what its payload says, what is
counted. No database, no network; what is to be stored collects until it is taken.

After a (re)connection the first value of a sensor, and every retained one, sets the
level of conditions and is no edge.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from scheduling import sensor_values
from scheduling.conditions.engine import Engine
from scheduling.sensor_values import LEAST, Came, Unfit, Value

ROUTES_KEPT = 10_000
READINGS_A_WRITE = 25  # of one sensor; of a flood the newest are history enough


@dataclass(slots=True)
class Spec:
    """A sensor as messages meet it."""

    id: int
    name: str
    topic: str
    kind: str
    path: tuple[str | int, ...] = ()
    at_path: tuple[str | int, ...] = ()
    parent_id: int | None = None
    per_topic: bool = False
    pattern: re.Pattern[str] | None = None  # of a filter with wildcards
    is_known: bool = False  # a value came since the connection was made


@dataclass(slots=True)
class News:
    """What became of one sensor since it was last written."""

    received: int = 0
    rejected: int = 0
    error: str = ""
    error_at: datetime | None = None
    value: Value | None = None
    previous: Value | None = None
    at: datetime | None = None
    retained: bool = False
    seen_reading: int = 0
    readings: deque[tuple[datetime, Value, bool]] = field(default_factory=deque)


@dataclass(frozen=True, slots=True)
class Newborn:
    """A sensor that a filter brings forth."""

    parent_id: int
    name: str
    topic: str
    came: Came
    retained: bool


class Intake:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.specs: dict[int, Spec] = {}
        self.news: dict[int, News] = {}
        self.newborn: dict[tuple[int, str], Newborn] = {}  # until they are specs
        self.asked: set[tuple[int, str]] = set()  # of these: to be stored, or stored
        self.messages = 0
        self.keep = 1000
        self.max_topics = 1000
        self.max_payload_bytes = 65_536
        self._names: set[str] = set()
        self._children: dict[int, set[str]] = {}
        self._routes: dict[str, tuple[Spec, ...]] = {}
        self._exact: dict[str, list[Spec]] = {}
        self._wild: list[Spec] = []

    def know(self, specs: Iterable[Spec], names: Iterable[str]) -> None:
        """Take messages for exactly these; `names` of all sensors are taken."""
        before, self.specs = self.specs, {spec.id: spec for spec in specs}
        self._names, self._routes = set(names), {}
        self._exact, self._wild, self._children = {}, [], {}
        for spec in self.specs.values():
            old = before.get(spec.id)
            spec.is_known = old is not None and old.is_known and old.topic == spec.topic
            if spec.parent_id is not None:
                self._children.setdefault(spec.parent_id, set()).add(spec.topic)
            if spec.pattern is None:
                self._exact.setdefault(spec.topic, []).append(spec)
            else:
                self._wild.append(spec)

    def settle(self, now: datetime) -> None:
        """What came for a sensor while it was being made. The engine knows it now."""
        for spec in self.specs.values():
            if spec.parent_id is None:
                continue
            born = self.newborn.pop((spec.parent_id, spec.topic), None)
            self.asked.discard((spec.parent_id, spec.topic))
            held = self.engine.held.get(spec.name)
            if born is None or held is None:
                continue
            if held.at is None or born.came.at > held.at:
                self._accept(spec, self._news(spec.id), born.came, born.retained, now)

    @property
    def filters(self) -> set[str]:
        """What to subscribe to: a child's topic is met by its parent's filter."""
        return {s.topic for s in self.specs.values() if s.parent_id is None}

    def connected(self) -> None:
        """What was known before the connection was lost may have changed unseen."""
        for spec in self.specs.values():
            spec.is_known = False

    def message(
        self, topic: str, payload: bytes, *, retained: bool, now: datetime
    ) -> None:
        self.messages += 1
        for spec in self._route(topic):
            if spec.per_topic:
                self._bring_forth(spec, topic, payload, retained, now)
            else:
                self._take(spec, payload, retained, now)

    def _route(self, topic: str) -> tuple[Spec, ...]:
        known = self._routes.get(topic)
        if known is None:
            if len(self._routes) >= ROUTES_KEPT:
                self._routes.clear()
            met = [*self._exact.get(topic, ())]
            met += [s for s in self._wild if self._concerns(s, topic)]
            known = self._routes[topic] = tuple(met)
        return known

    def _concerns(self, spec: Spec, topic: str) -> bool:
        assert spec.pattern is not None
        if spec.per_topic and topic in self._children.get(spec.id, ()):
            return False
        return sensor_values.meets(spec.pattern, topic) is not None

    def _take(self, spec: Spec, payload: bytes, retained: bool, now: datetime) -> None:
        news = self._news(spec.id)
        news.received += 1
        try:
            came = self._in_order(spec, self._read(spec, payload, now))
        except Unfit as unfit:
            reject(news, str(unfit), now)
            return
        self._accept(spec, news, came, retained, now)

    def _accept(
        self, spec: Spec, news: News, came: Came, retained: bool, now: datetime
    ) -> None:
        held = self.engine.held.get(spec.name)
        before = None if held is None else held.value
        edges = spec.is_known and not retained
        spec.is_known = True
        self.engine.feed(spec.name, came.value, came.at, now, edges=edges)
        news.previous, news.value, news.at = before, came.value, came.at
        news.retained = retained
        news.readings.append((came.at, came.value, retained))

    def replay(
        self, sensor_id: int, name: str, one: Came, *, reading: int, now: datetime
    ) -> None:
        """A value that came by HTTP, and is stored already."""
        self.engine.feed(name, one.value, one.at, now)
        self._news(sensor_id).seen_reading = reading

    def _read(self, spec: Spec, payload: bytes, now: datetime) -> Came:
        if len(payload) > self.max_payload_bytes:
            raise Unfit(f"{len(payload)} bytes; {self.max_payload_bytes} are allowed")
        return sensor_values.taken(
            payload, kind=spec.kind, path=spec.path, at_path=spec.at_path, now=now
        )

    def _in_order(self, spec: Spec, came: Came) -> Came:
        """Nothing goes back in time: an older value is refused."""
        held = self.engine.held.get(spec.name)
        if held is None or held.at is None or came.at > held.at:
            return came
        if spec.at_path:
            raise Unfit("its time is not after that of the value there is")
        return Came(came.value, held.at + LEAST)

    def _bring_forth(
        self, spec: Spec, topic: str, payload: bytes, retained: bool, now: datetime
    ) -> None:
        assert spec.pattern is not None
        news = self._news(spec.id)
        news.received += 1
        differing = sensor_values.meets(spec.pattern, topic) or ()
        name = sensor_values.child_name(spec.name, differing)
        born = self.newborn.get((spec.id, topic))
        try:
            if born is None and name in self._names:
                raise Unfit(f"{topic[:80]} would be named {name}, and that is taken")
            if born is None and self._brood(spec) >= self.max_topics:
                raise Unfit(f"more than {self.max_topics} topics")
            came = self._read(spec, payload, now)
        except Unfit as unfit:
            reject(news, str(unfit), now)
            return
        self._names.add(name)
        self.newborn[spec.id, topic] = Newborn(spec.id, name, topic, came, retained)

    def _brood(self, spec: Spec) -> int:
        to_come = sum(parent == spec.id for parent, _ in self.newborn)
        return len(self._children.get(spec.id, ())) + to_come

    def _news(self, sensor_id: int) -> News:
        news = self.news.get(sensor_id)
        if news is None:
            most = min(self.keep, READINGS_A_WRITE)
            readings: deque[tuple[datetime, Value, bool]] = deque(maxlen=most)
            news = self.news[sensor_id] = News(readings=readings)
        return news

    def take(self) -> tuple[dict[int, News], list[Newborn]]:
        """What is to be stored since the last time."""
        fresh = self.newborn.keys() - self.asked
        taken = self.news, [self.newborn[key] for key in self.newborn if key in fresh]
        self.news = {}
        self.asked |= fresh
        return taken

    def give_back(self, news: dict[int, News], newborn: list[Newborn]) -> None:
        """It could not be stored; what came meanwhile is newer."""
        for sensor_id, old in news.items():
            if (new := self.news.get(sensor_id)) is not None:
                merge(old, new)
            self.news[sensor_id] = old
        self.asked -= {(born.parent_id, born.topic) for born in newborn}


def reject(news: News, why: str, now: datetime) -> None:
    news.rejected += 1
    news.error, news.error_at = why[:300], now


def merge(old: News, new: News) -> None:
    """Lay what came later over what was not stored."""
    old.received += new.received
    old.rejected += new.rejected
    if new.error:
        old.error, old.error_at = new.error, new.error_at
    if new.at is not None:
        old.value, old.previous, old.at = new.value, new.previous, new.at
        old.retained = new.retained
    old.seen_reading = max(old.seen_reading, new.seen_reading)
    old.readings.extend(new.readings)
