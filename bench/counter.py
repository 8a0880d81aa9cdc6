"""A victim that counts, in a file of its own: what it lost shows in the numbers.

    counter.py FILE MEGABYTES

It holds that much memory, counts a hundred times a second, and on SIGUSR1 saves its
count in KOS_CHECKPOINT. With KOS_RESUME it goes on from there.
"""

from __future__ import annotations

import os
import signal
import sys
import time

WIDTH = 32


def main(path: str, megabytes: str) -> None:
    held = bytearray(int(megabytes) * 2**20)
    for page in range(0, len(held), 4096):
        held[page] = 1
    folder, count = os.environ.get("KOS_CHECKPOINT", ""), 0
    if os.environ.get("KOS_RESUME"):
        with open(f"{folder}/count", encoding="ascii") as file:
            count = int(file.read())
    asked = []
    signal.signal(signal.SIGUSR1, lambda *_: asked.append(1))
    out = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    first = count
    while True:
        count += 1
        os.pwrite(out, f"{os.getpid()} {first} {count}".ljust(WIDTH).encode(), 0)
        if asked:
            asked.clear()
            with open(f"{folder}/count", "w", encoding="ascii") as file:
                file.write(str(count))
            os.close(os.open(f"{folder}/done", os.O_CREAT | os.O_WRONLY, 0o600))
        time.sleep(0.01)


if __name__ == "__main__":
    main(*sys.argv[1:])
