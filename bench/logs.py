"""What a long log costs: tail, search, range and download of a million lines, plain and
packed; and what the node pays for its marks.

    python -m bench.logs [--lines 1000000] [--runs 500]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

UID = "b" * 32
NEEDLE = "needle"


def set_up(var: str) -> None:
    os.environ["KOS_VAR"] = var
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kos_scheduler.settings")
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)  # reading a log asks for secrets to hide


def print_log(path: Path, lines: int) -> None:
    """About 200 bytes a line; one line in a hundred thousand holds the needle."""
    with path.open("wb") as out:
        for first in range(0, lines, 1000):
            out.write(b"".join(line(n) for n in range(first, first + 1000)))


def line(number: int) -> bytes:
    word = NEEDLE if number % 100_000 == 99_999 else "ordinary"
    said = b'{"ts": %d.5, "level": "info", "msg": "line %d is %s", "pad": "%s"}\n'
    return said % (1_790_000_000 + number, number, word.encode(), b"x" * 120)


def measured(work: Callable[[], Any], times: int) -> tuple[float, float]:
    """The median in ms, and by how many MB memory grew at its highest."""
    work()
    before, spent = peak_mb(reset=True), []
    for _ in range(times):
        began = time.perf_counter()
        work()
        spent.append((time.perf_counter() - began) * 1000)
    return statistics.median(spent), peak_mb() - before


def peak_mb(*, reset: bool = False) -> float:
    if reset:  # the high-water mark begins anew at what is resident now
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def readings(lines: int) -> dict[str, tuple[Callable[[], Any], int]]:
    from monitor import log_api
    from monitor.log_api import About, Asked
    from monitor.log_pages import Wanted
    from monitor.logs import STREAMS

    at = datetime(2030, 1, 1, tzinfo=UTC)
    run = About(UID, "bench", "running", datetime(2026, 1, 1, tzinfo=UTC), None)
    middle = {"out": lines * 100, "err": 0}

    def page(wanted: Wanted, after: Any = None, limit: int = 500) -> Any:
        asked = Asked(STREAMS, after, None)
        return log_api.lines_of(run, asked, wanted, limit, at)

    def search_all() -> int:
        found, after = 0, {"out": 0, "err": 0}
        while True:
            body = page(Wanted(text=NEEDLE), after)
            found += len(body["items"])
            if not body["more"]:
                assert found == lines // 100_000
                return found
            out, _, err = body["next"].partition("-")
            after = {"out": int(out), "err": int(err)}

    def download() -> int:
        asked = Asked(STREAMS, None, None)
        return sum(map(len, log_api.json_lines(run, Wanted(), asked, at)))

    return {
        "tail, 500 lines": (lambda: page(Wanted()), 20),
        "range in the middle, 500 lines": (lambda: page(Wanted(), middle), 20),
        "one step of a search": (lambda: page(Wanted(text="absent")), 20),
        "search through all of it": (search_all, 1),
        "one step by level": (lambda: page(Wanted(level="error")), 10),
        "download as JSON lines": (download, 1),
        "download as printed": (lambda: all_bytes(lines), 1),
    }


def all_bytes(lines: int) -> int:
    from monitor import log_api, logs

    with logs.opened(UID, "out") as printed:
        size = printed.size
    return sum(map(len, log_api.raw_bytes(UID, "out", 0, size)))


def table(lines: int) -> Iterator[str]:
    """The log as it was printed, then packed."""
    from monitor import log_archive, logs

    folder = logs.folder_of(UID)
    folder.mkdir(parents=True)
    print_log(folder / "out", lines)
    size_mb = (folder / "out").stat().st_size / 2**20
    yield f"{lines} lines, {size_mb:.0f} MB"
    yield f"{'':36}{'plain':>18}{'packed':>18}"
    plain = {name: measured(*how) for name, how in readings(lines).items()}
    began = time.perf_counter()
    log_archive.compress(folder, "out", log_archive.Deadline(3600))
    took_s = time.perf_counter() - began
    packed = {name: measured(*how) for name, how in readings(lines).items()}
    for name in plain:
        figures = [
            f"{ms:9.1f} ms {mb:3.0f} MB" for ms, mb in (plain[name], packed[name])
        ]
        yield f"{name:36}{figures[0]:>18}{figures[1]:>18}"
    small_mb = (folder / "out.gz").stat().st_size / 2**20
    speed = size_mb / took_s
    yield f"packing took {took_s:.1f} s, {speed:.0f} MB/s, to {small_mb:.0f} MB"


def marks(folder: Path, runs: int) -> str:
    """What one look of the node costs, when no run printed and when all did."""
    from monitor.log_marks import Marker

    live = [(str(n), str(folder / str(n))) for n in range(runs)]
    for _, path in live:
        Path(path).mkdir(parents=True)
        (Path(path) / "out").write_bytes(b"x")
        (Path(path) / "err").write_bytes(b"")
    marker = Marker()
    marker.look(live)
    quiet, _ = measured(lambda: marker.look(live), 20)

    def busy() -> None:
        for _, path in live:
            with open(f"{path}/out", "ab") as out:
                out.write(b"x")
        used = resource.getrusage(resource.RUSAGE_SELF)
        marker.look(live)
        now = resource.getrusage(resource.RUSAGE_SELF)
        spent.append(now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime)

    spent: list[float] = []
    measured(busy, 20)
    busy_ms = statistics.median(spent) * 1000
    said = f"{quiet:.1f} ms a look, all printing {busy_ms:.1f} ms"
    return f"marks of {runs} live runs: {said}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=500)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kos-bench-") as folder:
        set_up(folder)
        for told in table(asked.lines):
            print(told, flush=True)
        print(marks(Path(folder) / "marks", asked.runs))


if __name__ == "__main__":
    main()
