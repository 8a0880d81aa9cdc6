"""Programs that the tests of limits run, and how they are looked at from outside."""

from __future__ import annotations

from agents.executors.base import Limits
from tests.executors.harness import Bench

MIB = 1 << 20
CORE = Limits(cpu_weight_millis=1000)  # a busy machine must not slow the test itself
BURN = "import time\nwhile time.process_time() < {}: pass\n"
COUNTS = (
    "import os, time\nn = 0\nwhile True:\n"
    " n += 1; os.write(1, b'%d\\n' % n); time.sleep(.01)"
)
AT_THE_GATE = "import os, time\nwhile not os.path.exists('gate'): time.sleep(.01)\n"
FORKS_ON = "echo up; while :; do (:); done"
DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setsid()
        print('up', flush=True)
        while True: {does}
    os._exit(0)
os.wait()
time.sleep({lives_s})
"""
HOSTILE = (
    "",
    " ",
    "$(touch /tmp/owned)",
    "`id`",
    "; rm -rf .",
    "-rf",
    "--",
    "a\nb",
    "\t\x01\x7f",
    "'\"\\",
    "ünïcödé 🤖",
    "\udcff\udcfe",  # bytes that are no UTF-8
    "*",
    "~",
    "{a,b}",
    "x" * 100_000,
)
DETACHED = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setsid()
        print(os.getpid(), flush=True)
        time.sleep(600)
    os._exit(0)
os.wait()
while not open('../out').read():
    pass
"""
FILLS = """
import os, time
forks = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(600)
        forks += 1
except OSError:
    print('stopped at', forks, flush=True)
time.sleep(600)
"""


def open_gate(bench: Bench, uid: str) -> None:
    (bench.folder / uid / "work" / "gate").touch()


def cpu_seconds(bench: Bench, uid: str) -> float:
    used = bench.executor.usage(uid)
    assert used is not None
    assert used.cpu_seconds is not None
    return float(used.cpu_seconds)


def spend_time(bench: Bench) -> None:
    """As much as another run takes for a quarter of a second of CPU."""
    assert bench.ended(bench.python(BURN.format(0.25), limits=CORE)).exit_code == 0


# -- what it can do -------------------------------------------------------------------
