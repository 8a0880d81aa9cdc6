"""Conditions: as people write them, as CEL answers, and as the engine watches them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduling.conditions import cel, rules
from scheduling.conditions.engine import Definition, Engine, Firing
from scheduling.conditions.intake import Intake, Spec
from scheduling.conditions.values import Held
from scheduling.sensor_values import matcher

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)


def at(second: float) -> datetime:
    return NOW + timedelta(seconds=second)


class Bench:
    """An engine with conditions over x (number), door (boolean) and mode (text)."""

    KINDS: Mapping[str, cel.Kind] = {"x": "number", "door": "boolean", "mode": "text"}

    def __init__(self, *conditions: Any, stale_after_s: float | None = None) -> None:
        self.engine = Engine()
        self.stale_after_s = stale_after_s
        self.fired: list[Firing] = []
        self.states: dict[int, Any] = {}
        self.watch(*conditions)

    def watch(
        self, *conditions: Any, kept: Any = None, second: float = 0, **more: Any
    ) -> None:
        given = {"zone": "UTC", "start_at": None, "end_at": None, "enabled": True}
        given |= more
        definitions = [
            Definition(number, 1, rules.stored(rules.read(one)), kept=kept, **given)
            for number, one in enumerate(conditions)
        ]
        held = {n: Held(stale_after_s=self.stale_after_s) for n in self.KINDS}
        assert self.engine.watch(definitions, held, self.KINDS, at(second)) == {}

    def feed(self, value: Any, second: float, *, name: str = "x", **how: Any) -> int:
        """How often it has fired so far."""
        self.engine.feed(name, value, at(second), at(second), **how)
        return self.count()

    def count(self) -> int:
        taken = self.engine.take()
        self.states |= taken.states
        self.fired += taken.firings
        return len(self.fired)

    def waits(self, number: int = 0) -> str:
        return self.engine.watches[number].waits


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("sensors.x >", "at 12: Syntax error"),
        ("speed > 1", "at 1: undeclared reference to 'speed'"),
        ("sensors.x * 2 > 3", "do not fit together"),
        ('sensors.x > "a"', "do not fit together"),
        ("sensors.mode > 3", "no matching overload"),
        ("sensors.x", "true or false"),
        ("sensors.x > 1 ? 1 : 2", "true or false"),
        ("1 == 1", "names no sensor"),
        ("agents[x].running > 1", 'agents is written agents["NAME"].FIELD'),
        ('agents["x"].runing > 1', "did you mean running?"),
        ("runs.foo > 1", "unknown field"),
        ('sensors["x"] > 1', "sensors is written sensors.NAME"),
        ("(" * 40 + "now.hour" + ")" * 40 + " > 1", "recursion limit"),
        ("sensors.x > " + "1" * 1000, "longer than 1000"),
        ("", "expected an expression"),
        (5, "expected an expression"),
        ({"hold": "1s"}, "expected an expression"),
        ({"when": "sensors.x > 1", "hold": "long"}, "hold:"),
        ({"when": "sensors.x > 1", "hold": "8d"}, "hold:"),
        ({"when": "sensors.x > 1", "wait": "8d"}, "unknown key"),
        ({"when": "sensors.x > 1", "mode": "both"}, "mode:"),
        ({"when": "sensors.x > 1", "mode": "level"}, "cooldown:"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_words(value: Any, said: str) -> None:
    def compile_all() -> None:
        for expression in rules.read(value).expressions:
            cel.program(expression, Bench.KINDS)

    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the sentence is below
        compile_all()
    assert said in str(refused.value)


def test_a_condition_reads_back_and_reads_well() -> None:
    condition = rules.read(
        {
            "when": "sensors.temperature > 30 && now.hour >= 7",
            "hold": "30s",
            "reset_when": "sensors.temperature < 28",
            "cooldown": "10m",
        }
    )
    assert rules.parse(rules.stored(condition)) == condition
    assert rules.words(condition) == (
        "When temperature > 30 && now hour >= 7 for 30 seconds, again only after "
        "temperature < 28, at most once in 10 minutes"
    )


def test_a_loop_without_end_is_an_unknown_level() -> None:
    numbers = "[" + ",".join("1" * 60) + "]"
    loops = f"{numbers}.all(a, {numbers}.all(b, {numbers}.all(c, sensors.x > 0.0)))"
    level = cel.program(loops, Bench.KINDS).level({"sensors.x": 1.0})
    assert level.value is None
    assert "budget" in level.error


def test_an_edge_fires_with_the_values_that_made_it() -> None:
    bench = Bench({"when": "sensors.x > 30 && sensors.door", "hold": "2s"})
    bench.feed(True, 0, name="door")
    bench.feed(20, 1)
    assert bench.feed(31.25, 2) == 0
    bench.engine.expire(at(3.9))
    assert bench.count() == 0
    bench.engine.expire(at(10))
    assert bench.count() == 1
    assert bench.fired[0].params == {
        "trigger": {"sensors.x": 31.25, "sensors.door": True}
    }
    assert bench.fired[0].reason == "x 31.25 > 30 && door true for 2 seconds"
    assert bench.fired[0].at == at(4), "at its own instant, however late we looked"


def test_a_hold_that_ended_before_the_next_message_came_has_fired() -> None:
    bench = Bench({"when": "sensors.x > 30", "hold": "2s"})
    bench.feed(20, 0)
    bench.feed(31, 1)
    assert bench.feed(20, 5) == 1


def test_hysteresis_arms_it_again() -> None:
    bench = Bench({"when": "sensors.x > 30", "reset_when": "sensors.x < 28"})
    values = [27, 31, 29, 31, 29, 31, 27, 31]
    counts = [bench.feed(value, n) for n, value in enumerate(values)]
    assert counts == [0, 1, 1, 1, 1, 1, 1, 2]


def test_a_retained_value_sets_the_level_and_is_no_edge() -> None:
    bench = Bench("sensors.x > 30")
    bench.feed(20, 0)
    assert bench.feed(31, 1, edges=False) == 0
    assert bench.feed(32, 2) == 0
    bench.feed(20, 3)
    assert bench.feed(31, 4) == 1


def test_a_missing_value_is_neither_true_nor_false() -> None:
    bench = Bench("!(sensors.x > 30)", "sensors.x > 30 || sensors.door")
    bench.feed(False, 0, name="door")
    assert bench.waits(0) == "waits for sensor x: it has no value yet"
    assert bench.engine.watches[0].state.level is None
    bench.feed(True, 1, name="door")
    assert bench.engine.watches[1].state.level is True, "the door alone decides it"


def test_a_stale_value_breaks_a_hold_in_its_time() -> None:
    bench = Bench({"when": "sensors.x > 30", "hold": "10s"}, stale_after_s=5)
    bench.feed(20, 0)
    bench.feed(31, 1)
    bench.engine.expire(at(60))
    assert bench.count() == 0
    assert bench.waits().startswith("waits for sensor x: its value of")


def test_silence_can_be_a_condition() -> None:
    bench = Bench("sensors.x.age > 60", stale_after_s=5)
    bench.feed(20, 0)
    counts = []
    for second in (1, 30, 61, 62, 90):
        bench.engine.tick({}, at(second))
        counts.append(bench.count())
    assert counts == [0, 0, 1, 1, 1]


def test_the_value_before_can_be_asked_for() -> None:
    bench = Bench("sensors.x - sensors.x.previous > 5.0")
    assert [bench.feed(v, n) for n, v in enumerate([10, 11, 20, 21, 30])] == [
        *(0, 0, 1, 1, 2)
    ]


def test_agents_and_clocks_are_asked_at_each_tick() -> None:
    bench = Bench('agents["a"].last_state == "failed" && now.hour == 12')

    def tick(state: str, second: float) -> int:
        facts = {"agents": {"a": {"last_state": state, "running": 0, "queued": 0}}}
        bench.engine.tick(facts, at(second))
        return bench.count()

    assert [tick("running", 1), tick("failed", 2), tick("failed", 3)] == [0, 1, 1]
    assert tick("running", 4) == 1
    assert tick("failed", 3601) == 1, "it is one o'clock"


def test_ten_thousand_flaps_in_a_second_fire_once_a_cool_down() -> None:
    bench = Bench({"when": "sensors.x > 30", "cooldown": "0.5s"})
    for n in range(10_000):
        bench.feed(31 if n % 2 else 29, n / 10_000)
    assert bench.count() == 2
    assert len(bench.engine._timers) <= 2, "timers do not pile up"


def test_every_flap_is_an_edge_with_a_name_of_its_own() -> None:
    bench = Bench("sensors.x > 30")
    for n in range(1000):
        bench.feed(31 if n % 2 else 29, 0)
    assert bench.count() == 500
    assert len({one.key for one in bench.fired}) == 500


def test_a_restart_neither_fires_twice_nor_forgets_a_hold() -> None:
    rule = {"when": "sensors.x > 30", "hold": "10s"}
    first = Bench(rule)
    first.feed(20, 0)
    first.feed(31, 1)
    first.count()
    held = Bench()
    held.engine.held["x"] = Held(31.0, at(1))
    held.watch(rule, kept=first.states[0], second=5)
    held.engine.expire(at(20))
    assert held.count() == 1
    assert held.fired[0].key == f"edge-{at(1):%Y%m%dT%H%M%S.%fZ}"
    again = Bench()
    again.engine.held["x"] = Held(31.0, at(1))
    again.watch(rule, kept=held.states[0], second=25)
    assert again.feed(32, 60) == 0


def test_another_rule_begins_anew() -> None:
    first = Bench("sensors.x > 30")
    first.feed(20, 0)
    first.count()
    second = Bench()
    second.engine.held["x"] = Held(25.0, at(0))
    second.watch("sensors.x > 22", kept=first.states[0], second=1)
    assert second.count() == 0, "it was true from the start: no edge"


def test_outside_its_start_and_end_nothing_is_asked() -> None:
    bench = Bench()
    bench.watch("sensors.x > 30", start_at=at(10), end_at=at(20))
    for value, second in ((20, 1), (31, 2), (20, 11), (31, 12), (20, 21), (31, 22)):
        bench.feed(value, second)
    assert bench.count() == 1


# -- messages ------------------------------------------------------------------------


def intake(*specs: Spec, conditions: Iterable[Any] = ()) -> tuple[Bench, Intake]:
    bench = Bench(*conditions)
    taking = Intake(bench.engine)
    taking.know(specs, [spec.name for spec in specs])
    return bench, taking


def test_the_first_message_after_a_connection_is_no_edge() -> None:
    bench, taking = intake(Spec(1, "x", "a/x", "number"), conditions=["sensors.x > 30"])

    def send(payload: bytes, second: float, retained: bool = False) -> int:
        taking.message("a/x", payload, retained=retained, now=at(second))
        return bench.count()

    taking.connected()
    assert [send(b"20", 0), send(b"31", 1)] == [0, 1]
    assert send(b"20", 2) == 1
    taking.connected()
    assert [send(b"31", 3), send(b"20", 4), send(b"31", 5)] == [1, 1, 2]
    assert [send(b"20", 6), send(b"31", 7, retained=True)] == [2, 2]


def test_what_is_no_value_is_counted_and_changes_nothing() -> None:
    bench, taking = intake(Spec(1, "x", "a/x", "number", ("value",)))
    taking.max_payload_bytes = 100
    taking.message("a/x", b'{"value": 1}', retained=False, now=at(0))
    for payload in (b"", b"{}", b"nope", b"9" * 101, b'{"value": 1e999}', b"\xff"):
        taking.message("a/x", payload, retained=False, now=at(1))
    (news,), _ = [list(part.values()) for part in taking.take()[:1]], None
    assert (news[0].received, news[0].rejected) == (7, 6)
    assert bench.engine.held["x"].value == 1


def test_a_filter_brings_forth_no_more_sensors_than_allowed() -> None:
    parent = Spec(1, "t", "a/+", "number", per_topic=True, pattern=matcher("a/+"))
    _, taking = intake(parent)
    taking.max_topics = 3
    for n in range(10):
        taking.message(f"a/room {n}", b"1", retained=False, now=at(n))
    taking.message("a/ROOM 1", b"1", retained=False, now=at(11))
    news, newborn = taking.take()
    assert [one.name for one in newborn] == ["t_room_0", "t_room_1", "t_room_2"]
    assert news[1].rejected == 8
    assert "t_room_1, and that is taken" in news[1].error


def test_what_could_not_be_stored_is_stored_with_what_came_later() -> None:
    bench, taking = intake(Spec(1, "x", "a/x", "number"), conditions=["sensors.x > 3"])
    for n, value in enumerate((1, 5, 1)):
        taking.message("a/x", str(value).encode(), retained=False, now=at(n))
    taken, (news, newborn) = bench.engine.take(), taking.take()
    taking.message("a/x", b"7", retained=False, now=at(5))
    bench.engine.give_back(taken)
    taking.give_back(news, newborn)
    assert bench.count() == 2
    stored = taking.take()[0][1]
    assert (stored.received, stored.value, stored.previous) == (4, 7, 1)
    assert [value for _, value, _ in stored.readings] == [1, 5, 1, 7]
