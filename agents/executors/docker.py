"""The `docker` executor: each run a container of this machine's Docker engine.

The engine holds the containers, so nothing of ours has to live on: whoever is killed,
the next executor on the same folder finds everything again by label. The program runs
under an init of ours (docker_init/init.c), which appends its output to the run's own
files, keeps time limit and grace, and writes down the true wait status.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from agents.executors import (
    docker_box,
    docker_init,
    docker_spec,
    docker_usage,
    engine_log,
    reclaim,
)
from agents.executors.base import (
    BadSpec,
    Capabilities,
    ExecutorError,
    Happening,
    LaunchSpec,
    Limits,
    Reclaimed,
    Unavailable,
    Usage,
)
from agents.executors.docker_engine import Engine, Json, Refusal
from agents.executors.docker_runs import Runs, folder_of, status_of
from agents.executors.docker_spec import Rules
from agents.executors.docker_starts import Lane, Starts
from agents.executors.docker_watch import Watch
from agents.executors.engine_log import EngineLog, LoggedRun
from agents.executors.guests import Guests
from agents.executors.process import UID

STOP_FOR_NOW = 60  # the init makes a SIGSTOP of it, which would stop the init itself
STARTED_WITHIN_S = 30.0


class DockerExecutor:
    """Containers of one node. `folder` is the executor's own; runs live elsewhere.

    `allowed_roots`: what may be mounted lies below one of these. `publish_on`: the
    address ports are opened on. `durable`: attempt files reach the disk first.
    `guests`: where programs say how they are; None: nowhere.
    """

    name: ClassVar[str] = "docker"
    environments: ClassVar[tuple[str, ...]] = ("docker",)

    def __init__(
        self,
        folder: Path,
        *,
        base_url: str | None = None,
        allowed_roots: Sequence[str] = (),
        publish_on: str = "127.0.0.1",
        durable: bool = False,
        starts_at_once: int = 4,
        pulls_at_once: int = 2,
        guests: Guests | None = None,
    ) -> None:
        self.folder = Path(folder).absolute()
        self.engine = Engine(base_url)
        self.allowed_roots = tuple(allowed_roots)
        self.publish_on = publish_on
        self.durable = durable
        self.at_once = (starts_at_once, pulls_at_once)
        self.guests = guests
        self._ensuring = threading.Lock()
        self._log: EngineLog | None = None
        self._groups: dict[tuple[str, int], docker_usage.Groups] = {}

    # -- the executor -----------------------------------------------------------------

    def ensure(self) -> None:
        with self._ensuring:
            _need_fit(self.engine.info())
            if self._log is None:
                self._open()

    def capabilities(self) -> Mapping[str, Capabilities]:
        try:
            info = self.engine.info()
            _need_fit(info)
        except Unavailable:
            return {}
        return {"docker": _capabilities(info)}

    def absent(self) -> Mapping[str, str]:
        return {}  # ensure() says why, when it raises

    def start(self, specs: Sequence[LaunchSpec]) -> None:
        for spec in specs:
            if not UID.fullmatch(spec.uid):
                raise BadSpec(f"not a uid: {spec.uid!r}")
            if not spec.folder.is_absolute():
                raise BadSpec(f"not an absolute folder: {spec.folder}")
        self.engine.need()
        if self._log is None:
            self.ensure()
        for spec in specs:
            self._starts.admit(spec)

    def stop(self, uid: str, *, grace_s: float) -> None:
        with self._stopping:
            run = self.log.runs.get(uid)
            kill_at = time.monotonic() + max(grace_s, 0.0)
            if run is None:
                return
            asked_for = run.facts.get("kill_at") if run.facts.get("stopped") else None
            if asked_for is not None and asked_for <= kill_at:
                return  # asked already, and sooner
            kill_at = min(kill_at, run.facts.get("kill_at") or kill_at)
            self.log.note(uid, run.token, stopped=True, kill_at=kill_at)
            self._control(run)
        with contextlib.suppress(Unavailable):  # the init looks by itself too
            if run.started and docker_usage.is_frozen(self._groups_of(run)):
                self._watch.thaw(run)
            self.engine.signal(run.facts["container"], signal.SIGTERM)

    def signal(self, uid: str, number: int) -> None:
        run = self.log.runs.get(uid)
        if run is not None:
            number = STOP_FOR_NOW if number == signal.SIGSTOP else int(number)
            self.engine.signal(run.facts["container"], number)

    def freeze(self, uid: str) -> None:
        run = self._live(uid)
        if run is not None:
            self.log.note(uid, run.token, frozen=True)
            if self.guests is not None:
                self.guests.rest(uid, on=True)
            try:
                self.engine.pause(run.facts["container"])
            except Refusal:
                if not docker_usage.freeze(self._groups_of(run)):
                    self._watch.thaw(run)
                    raise ExecutorError(f"{uid} cannot be frozen: ask again") from None

    def reclaim(self, uid: str) -> Reclaimed | None:
        run = self._live(uid)
        if run is None:
            return None
        return reclaim.reclaim(docker_usage.memory_group(self._groups_of(run)))

    def thaw(self, uid: str) -> None:
        run = self._live(uid)
        if run is not None:
            self._watch.thaw(run)
            if self.guests is not None:
                self.guests.rest(uid, on=False)

    def relimit(self, uid: str, limits: Limits) -> None:
        run = self._live(uid)
        if run is None:
            return
        groups = self._groups_of(run)
        now = docker_usage.usage(0, groups, cpu_before_s=0)
        memory = limits.memory_bytes
        if memory is not None and memory < (now.memory_bytes or 0):
            raise BadSpec(f"more memory is in use than {memory} bytes")
        try:
            self.engine.update(run.facts["container"], docker_spec.limits_of(limits))
        except Refusal as refusal:
            raise BadSpec(f"the new limits are refused: {refusal}") from None
        docker_usage.limit_open_files(groups, limits.open_files)
        with self._stopping:
            self.log.note(uid, run.token, output_bytes=limits.output_bytes)
            self._control(run)

    def retime(self, uid: str, *, at: float) -> None:
        if self._live(uid) is not None:
            raise BadSpec("the init of a container keeps the time limit it began with")

    def usage(self, uid: str) -> Usage | None:
        run = self.log.runs.get(uid)
        if run is not None and not run.started and not status_of(run).stage:
            return Usage()  # on its way
        run = self._live(uid)
        if run is None:
            return None
        facts = run.facts
        used = docker_usage.usage(
            int(facts["init"]),
            self._groups_of(run),
            cpu_before_s=facts["cpu_before_s"],
        )
        if self.log.run(uid, run.token) is None or not used.processes:
            return None
        return replace(used, processes=used.processes - 1)

    def alive(self) -> dict[str, int]:
        return self.log.alive()

    def read(self, offset: int, *, most_bytes: int) -> tuple[list[Happening], int]:
        if self._log is None:
            return engine_log.read(self.folder, offset, most_bytes=most_bytes)
        self._log.acknowledge(offset)
        return self._log.read(offset, most_bytes=most_bytes)

    def wait(self, timeout_s: float) -> None:
        self.log.wait(timeout_s)

    # -- beyond the protocol ----------------------------------------------------------

    @property
    def log(self) -> EngineLog:
        """Raises Unavailable, and errors of `ensure`."""
        if self._log is None:
            self.ensure()
        assert self._log is not None
        return self._log

    @property
    def is_closed(self) -> bool:
        """Whether it has let go, or never took hold."""
        return self._log is None

    @property
    def node(self) -> str:
        """The label by which the engine tells this folder's containers."""
        return _node_id(self.folder)

    def close(self) -> None:
        """Let go of log and engine. Nothing that runs is touched."""
        with self._ensuring:
            if self._log is not None:
                self._watch.close()
                self._starts.close()
                self._tidy.close()
                self._log.close()
                self._log = None
            self.engine.close()

    # -- inside -----------------------------------------------------------------------

    def _open(self) -> None:
        """Take the log, settle what happened while nobody looked, and watch."""
        init = docker_init.install(self.folder)
        log = EngineLog(self.folder)
        try:
            runs = Runs(log, self.engine, self.node)
            runs.reconcile()
        except BaseException:
            log.close()
            raise
        socket = self.engine.base_url.removeprefix("unix://")
        rules = Rules(self.node, self.allowed_roots, self.publish_on, socket)
        starts_at_once, pulls_at_once = self.at_once
        self._tidy = Lane("docker-tidy", 1)
        runs.tidy = lambda container: self._tidy.put(lambda: runs.take_away(container))
        self._starts = Starts(
            runs,
            rules,
            init,
            durable=self.durable,
            at_once=starts_at_once,
            pulls_at_once=pulls_at_once,
            guests=self.guests,
        )
        if self.guests is not None:
            log.ended = self.guests.close
            self.guests.keep(log.alive())
        self._stopping = threading.Lock()
        self._watch = Watch(runs)
        self._log = log
        self._watch.begin()

    def _control(self, run: LoggedRun) -> None:
        """Tell the init what the log says."""
        kill_at_ns = int((run.facts.get("kill_at") or 0) * 1e9)
        docker_box.write_control(
            folder_of(run), run.token, kill_at_ns, run.facts["output_bytes"]
        )

    def _live(self, uid: str) -> LoggedRun | None:
        """The run once it is started; None when it is over."""
        run = self.log.runs.get(uid)
        until = time.monotonic() + STARTED_WITHIN_S
        while run is not None and not run.started:
            if time.monotonic() > until:
                raise ExecutorError(f"{uid} is not started yet: ask again")
            time.sleep(0.005)
            run = self.log.runs.get(uid)
        return run

    def _groups_of(self, run: LoggedRun) -> docker_usage.Groups:
        key = (run.uid, run.token)
        if key not in self._groups:
            self._groups = {k: v for k, v in self._groups.items() if self.log.run(*k)}
            self._groups[key] = docker_usage.groups_of(int(run.facts["init"]))
        return self._groups[key]


def _node_id(folder: Path) -> str:
    """What names this folder's containers; kept in the folder, so that it may move."""
    path = folder / "node"
    if not path.exists():
        fresh = folder / "node.new"
        fresh.write_text(uuid.uuid4().hex)
        fresh.rename(path)
    return path.read_text().strip()


def _need_fit(info: Json) -> None:
    """Raises Unavailable when this engine cannot run what we promise."""
    options = " ".join(map(str, info.get("SecurityOptions") or []))
    if info.get("OSType", "linux") != "linux":
        raise Unavailable("this Docker runs no Linux containers: switch it over")
    if "name=rootless" in options or "name=userns" in options:
        raise Unavailable(
            "this Docker maps users (rootless or userns-remap), so that containers "
            "cannot write to the folders of their runs: use one that does not"
        )


def _capabilities(info: Json) -> Capabilities:
    missing = {
        "run_as": "a container knows no users of the machine: give it one by number",
        "rate_network": "Docker limits no network rates",
    }
    can = {
        "memory": bool(info.get("MemoryLimit")),
        "cpu": bool(info.get("CpuCfsQuota")),
        "pids": bool(info.get("PidsLimit")),
        "gpus": "nvidia" in (info.get("Runtimes") or {}),
    }
    for name in ("memory", "cpu", "pids"):
        if not can[name]:
            missing[name] = f"the kernel gives Docker no control group for {name}"
    if not can["gpus"]:
        missing["gpus"] = "Docker has no NVIDIA runtime (nvidia-container-toolkit)"
    if why := reclaim.why_not(has_group=can["memory"]):
        missing["reclaim"] = why
    return Capabilities(
        **can,
        reclaim=not why,
        open_files=True,
        disk=True,
        output=True,
        freeze=True,
        relimit=True,
        kill_all=True,
        usage_network=True,
        private_network=True,
        private_files=True,
        offline_limit=True,
        missing=missing,
    )
