"""PostgreSQL in the place of SQLite: the services' own tests, and a fleet that runs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.harness import ROOT, free_port, running_product
from tests.waiting import wait_for

AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
SERVICES = ("runs", "firing", "moves", "schedules", "registry", "registry_api")
SERVICES += ("timeline", "audit", "metrics", "prepared", "previews", "feasibility")
SERVICES += ("apply", "import_crontab", "places", "result_bus")
SERVICES += ("results", "secrets", "artefacts", "yielding", "balancing")
SERVICES += ("graphs", "limits", "backfills")
SERVICES += ("placement", "backfill", "what_if")
SERVICES += ("triggered", "run_events", "hooks_in", "file_events", "windows")
NEWER = ("deadlines", "bulk", "graph_schedules", "gang_schedules", "day_grid")
NEWER += ("node_history", "triggers", "run_lists", "agent_graph")
PARTED = ("capacity", "series_moves", "overview_api", "why", "why_not")
HALF = len(SERVICES) // 2
PARTS = {"first": SERVICES[:HALF], "second": SERVICES[HALF:], "newer": NEWER}
PARTS["parted"] = PARTED


class Server:
    """A PostgreSQL of the test's own, on loopback."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder, self.programs, self.port = folder, programs, free_port()
        as_root = os.geteuid() == 0
        self.prefix = AS_NOBODY if as_root else ()
        if as_root:
            os.chown(folder, 65534, 65534)
        self.do("initdb", "-D", "data", "-U", "kos", "--auth=trust", "-E", "UTF8")
        here = f"-p {self.port} -c unix_socket_directories={folder} -c fsync=off"
        options = f"-c listen_addresses=127.0.0.1 {here}"
        self.do("pg_ctl", "-D", "data", "-w", "-l", "log", "-o", options, "start")

    def do(self, program: str, *arguments: str) -> None:
        with (self.folder / "said").open("w") as said:  # the server keeps it open
            done = subprocess.run(
                [*self.prefix, self.programs / program, *arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                timeout=60,
            )
        assert done.returncode == 0, (self.folder / "said").read_text()

    def database(self, name: str) -> str:
        """A fresh database's URL."""
        where = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "kos")
        self.do("createdb", *where, name)
        return f"postgres://kos@127.0.0.1:{self.port}/{name}"

    def stop(self) -> None:
        self.do("pg_ctl", "-D", "data", "-m", "immediate", "stop")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        reason = "PostgreSQL is not installed (apt-get install postgresql)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    with tempfile.TemporaryDirectory(prefix="kos-postgres-") as folder:
        server = Server(Path(folder), found[-1])  # where its own user may go
        yield server
        server.stop()


@pytest.mark.parametrize("part", PARTS)
def test_the_services_keep_their_promises_on_postgres(
    server: Server, part: str
) -> None:
    tests = [f"tests/db/test_{name}.py" for name in PARTS[part]]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--reuse-db", *tests],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": server.database(part)},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"


def test_a_fleet_runs_on_postgres(server: Server, tmp_path: Path) -> None:
    env = {"DATABASE_URL": server.database("fleet")}
    with running_product(tmp_path, env=env) as product:
        product.register("worker", "/bin/sh", "-c", "echo done; exit 4")
        product.post("schedules/", {"agent": "worker", "cron": "* * * * * *"})
        spawned = product.spawn("worker", 30)
        for uid in spawned:
            run = product.wait_for_end(uid)
            assert (run["state"], run["exit_code"]) == ("failed", 4)
            assert product.output(uid) == "done\n"

        def fired() -> bool:
            runs = product.get("runs/?agent=worker&limit=500")["items"]
            return sum(run["occurrence"] is not None for run in runs) >= 3

        wait_for(fired, timeout_s=30)
        assert not (product.var / "kos.sqlite3").exists()
