"""Schedules drawn at random, as people send them, for the test of calendar feeds."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

ZONES = (
    *("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"),
    *("Asia/Kolkata", "America/Sao_Paulo", "Pacific/Auckland", "Asia/Kathmandu"),
)
CHANGES = (  # of clocks, somewhere
    *("2027-03-28", "2027-10-31", "2027-03-14", "2027-11-07", "2027-04-04"),
    *("2027-09-26", "2027-10-03"),
)
PLACES = (
    {"latitude": 52.52, "longitude": 13.405},
    {"latitude": -36.85, "longitude": 174.76},
)
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
SENTENCES = (
    "every weekday at {h}:{m}",
    "every day at {h}:{m} and {g}:{m}",
    "every {n} days at {h}:{m}",
    "every {n} weeks on tuesday and friday at {h}:{m}",
    "the first monday of the month at {h}:{m}",
    "the last day of the month at {h}:{m}",
    "the last weekday of the month at {h}:{m}",
    "on the 1st and 15th of the month at {h}:{m}",
    "every 20 minutes between 8:00 and 11:00",
    "every {n} hours",
    "weekends at {h}:{m}",
    "every weekday at {h}:{m} in march, april and october",
    "every day at {h}:{m} except in december",
    "every sunday at 2:30",
    "every day 20 minutes before sunset",
)


class Draw:
    def __init__(self, seed: int) -> None:
        self.one = random.Random(seed)

    def schedule(self) -> tuple[dict[str, Any], datetime]:
        """A shape, and the instant it is made and looked at."""
        kind = self.one.choice(("cron", "interval", "run_at", "rrule", "rule", "solar"))
        now = self.moment()
        shape: dict[str, Any] = {"timezone": self.one.choice(ZONES)}
        shape |= getattr(self, kind)(now)
        if kind != "run_at":
            shape |= self.limits(now, kind)
        return shape, now

    def moment(self) -> datetime:
        """Half of them shortly before clocks change somewhere."""
        day = datetime.fromisoformat(self.one.choice(CHANGES)).replace(tzinfo=UTC)
        if self.one.random() < 0.5:
            day = datetime(2027, 1, 1, tzinfo=UTC) + timedelta(
                days=self.one.randrange(700)
            )
        return day - timedelta(
            days=self.one.randrange(3), seconds=self.one.randrange(86_400)
        )

    def limits(self, now: datetime, kind: str) -> dict[str, Any]:
        said: dict[str, Any] = {}
        if self.one.random() < 0.2:
            said["end_at"] = iso(now + timedelta(days=self.one.randrange(5, 80)))
        if self.one.random() < 0.2:
            said["start_at"] = iso(now + timedelta(hours=self.one.randrange(1, 400)))
            said["start_at"] = said["start_at"][:17] + "00Z"
        if self.one.random() < 0.2:
            days = self.one.sample(range(60), self.one.randrange(1, 4))
            said["exdates"] = [f"{now + timedelta(days=d):%Y-%m-%d}" for d in days]
        if self.one.random() < 0.1:
            said["max_runs"] = self.one.randrange(1, 40)
        if kind in ("cron", "rule", "rrule") and self.one.random() < 0.3:
            said["dst"] = self.one.choice(("once", "both", "skip"))
        return said

    def cron(self, now: datetime) -> dict[str, Any]:
        pick = self.one.choice
        minute = pick(("0", "30", "*/15", "5,35", "*", "*/7", str(self.number(60))))
        hour = pick(("*", "2", "9-17", "*/6", "1,2,3", "0", str(self.number(24))))
        day = pick(("*", "*", "*", "1", "L", "*/5", "1,15", "31"))
        month = pick(("*", "*", "*", "3-5,10", "*/2"))
        weekday = pick(("*", "*", "MON-FRI", "0", "SUN#1", "5L", "SAT,SUN"))
        if "#" in weekday or "L" in weekday:
            day = "*"
        return {"cron": f"{minute} {hour} {day} {month} {weekday}"}

    def interval(self, now: datetime) -> dict[str, Any]:
        return {
            "interval": self.one.choice((60, 300, 420, 3600, 5400, 86_400, 100_000))
        }

    def run_at(self, now: datetime) -> dict[str, Any]:
        at = now + timedelta(seconds=self.one.randrange(60, 80 * 86_400))
        return {"run_at": iso(at)}

    def rrule(self, now: datetime) -> dict[str, Any]:
        freq = self.one.choice(("DAILY", "WEEKLY", "MONTHLY", "YEARLY", "HOURLY"))
        parts = [f"FREQ={freq}"]
        if self.one.random() < 0.4:
            parts.append(f"INTERVAL={self.one.randrange(1, 5)}")
        if freq == "WEEKLY" or self.one.random() < 0.3:
            days = self.one.sample(DAYS, self.one.randrange(1, 4))
            parts.append(f"BYDAY={','.join(days)}")
        if freq == "MONTHLY" and self.one.random() < 0.5:
            parts.append(f"BYMONTHDAY={self.one.choice(('1', '-1', '10,20', '31'))}")
        if freq != "HOURLY":
            parts.append(f"BYHOUR={self.one.choice(('2', '9', '1,2,3', '23'))}")
        if self.one.random() < 0.3:
            parts.append("BYMINUTE=0,30")
        if self.one.random() < 0.3:
            parts.append(f"COUNT={self.one.randrange(1, 60)}")
        begin = (now - timedelta(days=self.one.randrange(30))).replace(second=0)
        dates = ""
        if self.one.random() < 0.3:
            extra = now + timedelta(days=self.one.randrange(1, 40))
            dates = f"\nRDATE:{extra:%Y%m%dT%H%M00}"
        return {
            "rrule": f"DTSTART:{begin:%Y%m%dT%H%M%S}\nRRULE:{';'.join(parts)}{dates}"
        }

    def rule(self, now: datetime) -> dict[str, Any]:
        sentence = self.one.choice(SENTENCES).format(
            h=self.number(12) + 1,
            g=self.number(8) + 14,
            m=f"{self.number(60):02}",
            n=self.one.randrange(2, 5),
        )
        return {"rule": sentence, "place": self.one.choice(PLACES)}

    def solar(self, now: datetime) -> dict[str, Any]:
        event = self.one.choice(("sunset", "sunrise+30m", "dusk", "sunset-20m"))
        return {"solar": event, "place": self.one.choice(PLACES)}

    def number(self, below: int) -> int:
        return self.one.randrange(below)


def iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
