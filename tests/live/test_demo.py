"""The demo's programs do their work and leave a result; the fleet file is right."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agents.registration import cascade_cycles, parse_agent
from kos_scheduler import strict_yaml

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "demo" / "agents"
FLEET = strict_yaml.parse((ROOT / "demo" / "fleet.yaml").read_bytes()).plain()
AGENTS = {raw["agent_id"]: parse_agent(raw) for raw in (
    {**agent, "entry_point": agent["entry_point"].replace("${PYTHON}", sys.executable)}
    for agent in FLEET["agents"]
)}  # fmt: skip


class Demo:
    """Runs the demo's programs as the scheduler does, at full speed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0

    def start(self, name: str, **env: Any) -> tuple[list[str], dict[str, str], Path]:
        self.count += 1
        work = self.folder / f"{name}-{self.count}"
        work.mkdir()
        spec = AGENTS[name]
        args = [arg.replace("${FLEET_DIR}", str(ROOT / "demo")) for arg in spec["args"]]
        params = {"pace": 0, **env.pop("params", {})}
        full = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(work),
            "DEMO_DATA": str(self.folder / "demo"),
            "KOS_PARAMS": json.dumps(params),
            "KOS_RESULT": str(work / "result.json"),
            "KOS_OCCURRENCE_ID": f"{name}@{self.count}",
            **env,
        }
        return [spec["entry_point"], *args], full, work

    def run(self, name: str, **env: Any) -> subprocess.CompletedProcess[str]:
        argv, full, work = self.start(name, **env)
        done = subprocess.run(
            argv,
            env=full,
            cwd=work,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        self.last = work / "result.json"
        return done

    def result(self, name: str, **env: Any) -> dict[str, Any]:
        done = self.run(name, **env)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip(), "says what it does"
        found: dict[str, Any] = json.loads(self.last.read_text())
        return found


@pytest.fixture
def demo(tmp_path: Path) -> Demo:
    return Demo(tmp_path)


def test_the_fleet_has_ten_agents_of_every_kind_and_priority() -> None:
    assert len(AGENTS) == 10
    kinds = {spec["kind"] for spec in AGENTS.values()}
    assert kinds == {"persistent", "ephemeral", "cascading"}
    assert len({spec["priority"] for spec in AGENTS.values()}) == 5
    assert cascade_cycles(AGENTS.values()) == []


def test_each_program_of_the_demo_belongs_to_an_agent() -> None:
    used = {Path(arg).name for spec in AGENTS.values() for arg in spec["args"]}
    there = {file.name for file in PROGRAMS.iterdir() if file.is_file()}
    assert there - used == {"run_context.py"}


def test_schedules_are_of_every_kind_and_of_agents_in_the_file() -> None:
    rules = {kind for s in FLEET["schedules"] for kind in s.keys() & RULES}
    assert rules == RULES
    assert {s["agent"] for s in FLEET["schedules"]} <= AGENTS.keys()


RULES = {"cron", "interval", "run_at"}


def test_the_front_end_hands_its_documents_to_the_indexer(demo: Demo) -> None:
    asked = demo.result("docs_front_end", params={"question": "how is a run started"})
    assert len(asked["files"]) == asked["changed"] > 5
    answer = demo.result("text_indexer", KOS_PARENT_RESULT=json.dumps(asked))
    assert answer["documents"] == len(asked["files"])
    assert answer["words"] > 500
    assert answer["best"][0]["score"] > 0
    assert demo.result("docs_front_end")["changed"] == 0


def test_the_indexer_started_by_hand_finds_documents_itself(demo: Demo) -> None:
    assert demo.result("text_indexer", KOS_PARENT_RESULT="null")["documents"] > 0


def outcome(demo: Demo, batch: str, attempt: int) -> int:
    done = demo.run("flaky_importer", KOS_OCCURRENCE_ID=batch, KOS_ATTEMPT=str(attempt))
    return done.returncode


@pytest.mark.parametrize(
    ("batch", "ends_with"),
    [("batch 1", 0), ("batch 8", 1), ("batch 21", -signal.SIGABRT)],
)
def test_a_broken_batch_ends_badly_at_first_and_the_retry_gets_through(
    demo: Demo, batch: str, ends_with: int
) -> None:
    assert outcome(demo, batch, 1) == ends_with
    assert outcome(demo, batch, 2) == 0


def test_a_batch_that_runs_twice_counts_once(demo: Demo) -> None:
    how = {"KOS_OCCURRENCE_ID": "batch 1", "KOS_ATTEMPT": "2"}
    once = demo.result("flaky_importer", **how)
    again = demo.result("flaky_importer", **how)
    assert once["orders_in_all"] == again["orders_in_all"] == once["imported"]


def test_the_migration_fills_the_new_column_and_may_be_repeated(demo: Demo) -> None:
    demo.result("flaky_importer", KOS_OCCURRENCE_ID="batch 1", KOS_ATTEMPT="2")
    assert demo.result("schema_migration")["filled"] > 200
    assert demo.result("schema_migration")["filled"] == 0
    demo.result("flaky_importer", KOS_OCCURRENCE_ID="batch 2", KOS_ATTEMPT="2")


def test_samples_become_archives_and_both_a_report(demo: Demo) -> None:
    watched = demo.result("health_monitor", params={"every_s": 0.01, "samples": 20})
    assert watched["samples"] == 20
    live = Path(watched["file"])
    aside = live.with_name("health-20260101T000000.jsonl")
    aside.write_bytes(live.read_bytes())
    assert demo.result("log_archiver")["archived"] == 1
    assert not aside.exists()
    packed = gzip.decompress(aside.with_name(f"{aside.name}.gz").read_bytes())
    assert packed == live.read_bytes()
    demo.result("flaky_importer", KOS_OCCURRENCE_ID="batch 1", KOS_ATTEMPT="2")
    report = Path(demo.result("report_daily")["file"]).read_text()
    assert "| cpu |" in report
    assert "| lamp |" in report


def test_the_monitor_ends_in_good_order_when_asked_to(demo: Demo) -> None:
    argv, env, work = demo.start("health_monitor", params={"every_s": 0.01})
    monitor = subprocess.Popen(argv, env=env, cwd=work, stdout=subprocess.PIPE)
    assert monitor.stdout is not None
    monitor.stdout.readline()
    monitor.send_signal(signal.SIGTERM)
    assert monitor.wait(10) == 0
    monitor.stdout.close()
    assert "samples" in json.loads((work / "result.json").read_text())


def test_the_disk_watch_names_the_fullest_disk_and_fails_above_its_limit(
    demo: Demo,
) -> None:
    first = demo.result("disk_watch", LIMIT="101")
    assert first["disks"] >= 1
    assert os.path.ismount(first["fullest"])
    full = demo.run("disk_watch", LIMIT="-1")
    assert (full.returncode, full.stderr.count("is above -1 %")) == (3, 1)


def test_the_tuner_finds_a_prompt_for_each_task(demo: Demo) -> None:
    found = demo.result("prompt_tuner")
    assert all(task["worth"] > 3 for task in found.values())
    assert "main" in found["summarise"]["prompt"]


def test_the_reader_of_digits_reads_most_of_them(demo: Demo) -> None:
    assert demo.result("vision_ocr")["share"] > 0.9
