"""Compress what the other agents have set aside, check each copy, keep the newest."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import time
from pathlib import Path

import run_context

KEEP = 40  # archives of each kind


def digest(file: Path, opener: object = open) -> str:
    assert callable(opener)
    whole = hashlib.sha256()
    with opener(file, "rb") as content:
        while block := content.read(1 << 16):
            whole.update(block)
    return whole.hexdigest()


def archive(file: Path) -> tuple[int, int]:
    """Replace the file by a compressed copy that was read back and compared."""
    packed = file.with_name(f"{file.name}.gz")
    with file.open("rb") as source, gzip.open(packed, "wb", 6) as target:
        shutil.copyfileobj(source, target)
    if digest(packed, gzip.open) != digest(file):
        packed.unlink()
        raise SystemExit(f"{packed} does not hold what {file} does; kept the original")
    sizes = file.stat().st_size, packed.stat().st_size
    file.unlink()
    return sizes


def set_aside(folder: Path, older_than_s: float) -> list[Path]:
    """Rotated samples, and reports nobody has touched for a while."""
    limit = time.time() - older_than_s
    old = [f for f in (folder / "reports").glob("*.md") if f.stat().st_mtime < limit]
    return sorted([*(folder / "health").glob("health-*.jsonl"), *old])


def main() -> None:
    folder = run_context.shared_folder()
    files = set_aside(folder, float(run_context.params().get("older_than_s", 3600)))
    print(f"{len(files)} files to archive in {folder}", flush=True)
    before = after = 0
    for file in files:
        plain, packed = archive(file)
        before, after = before + plain, after + packed
        print(f"{file.name}: {plain} -> {packed} bytes", flush=True)
        run_context.pause(0.5)
    dropped = 0
    for kind in ("health", "reports"):
        for stale in sorted((folder / kind).glob("*.gz"))[:-KEEP]:
            stale.unlink()
            dropped += 1
    run_context.pause(6)
    usage = shutil.disk_usage(folder)
    run_context.result(
        archived=len(files),
        bytes_before=before,
        bytes_after=after,
        dropped=dropped,
        disk_free_bytes=usage.free,
    )


main()
