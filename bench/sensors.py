"""What a flood of sensor messages does: through a real broker, to a running product,
around the threshold of conditions. Prints the firings that were due and those that
came, doubles, delays, and what the process that watches uses.

    python -m bench.sensors [--seconds 60] [--rate 1000]

Two conditions watch one sensor: one fires on each edge, one has a hold and a cool-down.
What they must do is worked out from what was sent, and read back from the product.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.live.broker import Mosquitto, Publisher, running_broker
from tests.live.harness import Product, running_product
from tests.waiting import wait_for

TOPIC = "bench/heat"
NOISE = [f"bench/noise/{n}" for n in range(10)]
PERIOD_S = 1.0  # of the wave: false for half of it, true for the other half
HOLD_S, COOLDOWN_S = 0.3, 3.0
EVERY_EDGE = {"when": "sensors.heat > 30"}
HELD = {
    "when": "sensors.heat > 30",
    "reset_when": "sensors.heat < 28",
    "hold": HOLD_S,
    "cooldown": COOLDOWN_S,
}


@dataclass
class Outcome:
    sent: int = 0
    seconds: float = 0.0
    edges: list[float] = field(default_factory=list)  # when the first above was sent
    rejected: int = 0
    received: int = 0
    fired: list[float] = field(default_factory=list)  # of the condition on every edge
    held: list[float] = field(default_factory=list)
    held_due: int = 0
    cpu_s: float = 0.0  # of the process that watches
    memory_mb: list[float] = field(default_factory=list)

    @property
    def delays_ms(self) -> list[float]:
        """From an edge's message to the instant the schedule fired at."""
        pairs = zip(self.edges, self.fired, strict=False)
        return [(came - sent) * 1000 for sent, came in pairs]

    @property
    def growth_mb(self) -> float:
        """From the first third's median to the last third's."""
        third = max(1, len(self.memory_mb) // 3)
        last, first = self.memory_mb[-third:], self.memory_mb[:third]
        return statistics.median(last) - statistics.median(first)


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def cpu_s(pid: int) -> float:
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def prepare(product: Product, broker: Mosquitto) -> tuple[str, str]:
    product.api("PATCH", "config/", {"mqtt.url": broker.url}).expect(200)
    product.register("fan", "/bin/true")
    heat = {"name": "heat", "source": "mqtt", "topic": TOPIC, "path": "c"}
    product.post("sensors/", heat)
    noise = {"name": "noise", "source": "mqtt", "topic": "bench/noise/+"}
    product.post("sensors/", {**noise, "per_topic": True})
    made = []
    for rule in (EVERY_EDGE, HELD):
        shape = {"agent": "fan", "condition": rule, "overlap": "allow_all"}
        made.append(str(product.post("schedules/", shape)["id"]))
    wait_for(lambda: product.get("mqtt/")["connected"], timeout_s=30, every_s=0.1)
    return made[0], made[1]


def settle(product: Product, client: Publisher, schedules: tuple[str, str]) -> None:
    """Both conditions have seen a false level, and every noise has its sensor."""

    def ready() -> bool:
        client.send(TOPIC, {"c": 20})
        for topic in NOISE:
            client.send(topic, 1)
        states = [product.get(f"schedules/{s}/")["trigger_state"] for s in schedules]
        noise = product.get("sensors/?parent=noise")["items"]
        return len(noise) == len(NOISE) and all(
            state and state["level"] is False for state in states
        )

    wait_for(ready, timeout_s=30, every_s=0.2)


def flood(product: Product, client: Publisher, *, seconds: float, rate: int) -> Outcome:
    """A wave on one topic and noise on ten others, evenly spread over a second."""
    outcome, pid = Outcome(), product.pid("worker")
    began, sampled, was_high = time.time(), 0.0, False
    last, used_s = None, cpu_s(pid)
    while (now_s := time.time() - began) < seconds:
        due = int(now_s * rate)
        while outcome.sent < due:
            n = outcome.sent
            if n % 2:
                last = client.post(NOISE[n // 2 % len(NOISE)], n)
            else:
                high = (time.time() - began) % PERIOD_S >= PERIOD_S / 2
                if high and not was_high:
                    outcome.edges.append(time.time())
                was_high = high
                last = client.post(TOPIC, {"c": (31 if high else 20) + n % 3 / 10})
            outcome.sent += 1
        if now_s - sampled >= 1:
            sampled = now_s
            outcome.memory_mb.append(resident_mb(pid))
        time.sleep(0.002)
    if last is not None:
        last.wait_for_publish(30)
    outcome.seconds = time.time() - began
    outcome.cpu_s = cpu_s(pid) - used_s
    return outcome


def held_due(edges: list[float]) -> int:
    """How often the condition with hold and cool-down should have fired."""
    count, free_at = 0, 0.0
    for edge in edges:
        ends, at = edge + PERIOD_S / 2, max(edge + HOLD_S, free_at)
        if at < ends:
            count, free_at = count + 1, at + COOLDOWN_S
    return count


def read_back(product: Product, outcome: Outcome, schedules: tuple[str, str]) -> None:
    def firings(schedule: str) -> list[float]:
        found, cursor = [], ""
        while True:
            path = f"runs/?schedule={schedule}&limit=500{cursor}"
            page: Any = product.get(path)
            found += [stamp(run["due_at"]) for run in page["items"]]
            if page["next"] is None:
                return sorted(found)
            cursor = f"&cursor={page['next']}"

    wait_for(
        lambda: len(firings(schedules[0])) >= len(outcome.edges),
        timeout_s=30,
        every_s=0.5,
    )
    outcome.fired, outcome.held = firings(schedules[0]), firings(schedules[1])
    outcome.held_due = held_due(outcome.edges)
    rows = product.get("sensors/?limit=500")["items"]
    outcome.received = sum(row["received"] for row in rows)
    outcome.rejected = sum(row["rejected"] for row in rows)


def stamp(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def play(folder: Path, *, seconds: float, rate: int) -> Outcome:
    """The whole of it, with a broker and a product of its own."""
    with (
        running_broker(folder / "broker") as broker,
        running_product(folder) as product,
        broker.client() as client,
    ):
        schedules = prepare(product, broker)
        settle(product, client, schedules)
        outcome = flood(product, client, seconds=seconds, rate=rate)
        read_back(product, outcome, schedules)
        return outcome


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=int, default=1000)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kos-") as folder:
        got = play(Path(folder), seconds=wanted.seconds, rate=wanted.rate)
    doubles = len(got.fired) - len(got.edges)
    delays = sorted(got.delays_ms)
    print(f"sent      {got.sent} in {got.seconds:.1f} s, {got.received} stored as come")
    print(f"firings   {len(got.fired)} of {len(got.edges)} edges; {doubles} too many")
    print(f"held      {len(got.held)} of {got.held_due} with hold and cool-down")
    print(f"rejected  {got.rejected}")
    print(
        f"delay     p50 {statistics.median(delays):.1f} ms, "
        f"p99 {delays[int(len(delays) * 0.99)]:.1f} ms, max {delays[-1]:.1f} ms"
    )
    share = got.cpu_s / got.seconds
    print(f"cpu       {share:.0%} of a core, for {wanted.rate} messages a second")
    print(
        f"memory    {got.memory_mb[0]:.1f} MB at first, {got.memory_mb[-1]:.1f} MB at "
        f"last, {got.growth_mb:+.1f} MB from the first third to the last"
    )


if __name__ == "__main__":
    main()
