"""Random deaths at crash points while schedules fire: `python -m bench.crashes`.

    --kills 200 --schedules 60 --seed 1 [--points after_claim,mid_log]

Prints how many instants were due, lost and doubled, and how long after each death
agents started again. Exit status 1 when anything was lost, doubled, untrue or left.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from agents.crash_points import POINTS
from tests.faults.crashes import Story, attack, crashing_product, random_points


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--schedules", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--points", default=",".join(POINTS))
    asked = parser.parse_args()
    points = random_points(asked.points.split(","), asked.kills, asked.seed)
    with tempfile.TemporaryDirectory(prefix="kos-") as folder:
        began_s = time.monotonic()
        with crashing_product(Path(folder)) as product:
            story = attack(
                product, Path(folder), points=points, schedules=asked.schedules
            )
        return report(story, time.monotonic() - began_s)


def report(story: Story, took_s: float) -> int:
    wrong = {
        "lost": len(story.lost()),
        "doubled": len(story.doubled()),
        "untrue": len(story.untrue()),
        "left": len(story.left),
    }
    steady = sorted(story.steady_after_s)
    print(f"deaths              {len(story.died_at)} in {took_s:.0f} s")
    print(f"due instants        {len(story.due)}; runs {len(story.runs)}")
    print("  ".join(f"{name} {count}" for name, count in wrong.items()))
    print(
        f"steady again after  p50 {statistics.median(steady):.1f} s, "
        f"longest {steady[-1]:.1f} s"
    )
    print(f"journal             {story.audit.strip()}")
    return int(any(wrong.values()))


if __name__ == "__main__":
    sys.exit(main())
