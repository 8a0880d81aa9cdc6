"""From a launch to a running container, at most once for each (uid, token).

Admission happens where start() is called: the intention is in the log and the attempt
marked before the engine hears anything. The rest is done in lanes of a few threads, and
pulls in a lane of their own, so that an image on its way holds up nobody else.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from agents.executors import docker_box, docker_spec, given, spawn
from agents.executors.base import Ended, LaunchSpec, NotStarted, Unavailable
from agents.executors.docker_engine import NODE, NameTaken, NoImage, Refusal
from agents.executors.docker_runs import Key, Runs, is_alive, key_of
from agents.executors.docker_spec import Rules
from agents.executors.guests import Guests

LOG = logging.getLogger(__name__)
LOOK_EVERY_S = 0.002  # whether the init has begun; it takes about that long
ASK_EVERY_S = 0.25  # whether the container is still there, while waiting for it
MOST_CONTAINERS = 4  # tried for one start
PIECES = ("file exists", "already exists", "alreadyexists", "not found: unknown")
AGAIN_AFTER_S = 0.2  # when the engine did not answer


class Lane:
    """Jobs done in order of arrival by a few daemon threads."""

    def __init__(self, name: str, threads: int) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{i}", daemon=True)
            for i in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, job: Callable[[], None]) -> None:
        self._jobs.put(job)

    def close(self) -> None:
        """Do what is queued no more; wait a little for what is being done."""
        while not self._jobs.empty():
            self._jobs.get()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(1.0)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception:  # it will be settled by a reconcile
                LOG.exception("%s: a job failed", threading.current_thread().name)


class Starts:
    """`closed` is set when the executor lets go: what is under way is left to the
    reconcile of whoever comes next."""

    def __init__(
        self,
        runs: Runs,
        rules: Rules,
        init: Path,
        *,
        durable: bool,
        at_once: int,
        pulls_at_once: int,
        guests: Guests | None = None,
    ) -> None:
        self.runs = runs
        self.guests = guests
        self.log = runs.log
        self.engine = runs.engine
        self.rules = rules
        self.init = init
        self.durable = durable
        self.closed = threading.Event()
        self.admitting = threading.Lock()
        self.lane = Lane("docker-start", at_once)
        self.pulls = Lane("docker-pull", pulls_at_once)

    def close(self) -> None:
        self.closed.set()
        self.lane.close()
        self.pulls.close()

    # -- admission --------------------------------------------------------------------

    def admit(self, spec: LaunchSpec) -> None:
        """Queue it, or say why not; silent when this very attempt was dealt with."""
        with self.admitting:
            key = (spec.uid, spec.token)
            if not self._is_due(spec):
                return
            self.runs.starting.add(key)
            try:
                self._ask(spec)
            except spawn.RanAlready:  # and our log has forgotten how it ended
                self._settled(key)
                self._lost(spec)
            except (Refusal, OSError) as error:
                self._settled(key)
                self._refuse(spec, str(error))
            else:
                self.lane.put(lambda: self._do(spec, pulled=False))

    def _is_due(self, spec: LaunchSpec) -> bool:
        return self.log.is_due(spec.uid, spec.token, partial(self._refuse, spec))

    def _ask(self, spec: LaunchSpec) -> None:
        folder = str(spec.folder)
        is_new = spawn.make_folder(folder)
        if not is_new and spawn.highest_attempt(folder) > spec.token:
            raise Refusal("a later attempt was started here")
        docker_spec.check(spec, self.rules)
        facts = {
            "folder": folder,
            "container": docker_spec.container_name(spec.uid, spec.token),
            "program": spec.argv[0] if spec.argv else "",
            "output_bytes": spec.limits.output_bytes,
            "time_limit_s": spec.time_limit_s,
            "grace_s": spec.grace_s,
        }
        self.log.ask(spec.uid, spec.token, facts)
        fence = str(self.log.folder / "attempt")
        spawn.mark_attempt(folder, spec.token, fence=fence, durable=self.durable)
        user = docker_spec.user_of(spec)
        most_bytes = spec.limits.output_bytes
        docker_box.prepare(
            spec.folder, spec.token, user, most_bytes, work=spec.work_folder
        )
        if spec.given is not None:
            owner = user if os.geteuid() == 0 else None
            given.put(str(spec.work_folder), asdict(spec.given), owner)

    def _refuse(self, spec: LaunchSpec, reason: str) -> None:
        said = " ".join(reason.split())
        self.log.say(NotStarted(spec.uid, spec.token, time.time_ns(), said))

    def _lost(self, spec: LaunchSpec) -> None:
        at_ns = time.time_ns()
        self.log.say(Ended(spec.uid, spec.token, at_ns, None, None, lost=True))

    def _settled(self, key: Key) -> None:
        self.runs.starting.discard(key)

    # -- in the lanes -----------------------------------------------------------------

    def _do(self, spec: LaunchSpec, *, pulled: bool) -> None:
        """One start, however often the engine goes away meanwhile."""
        key = (spec.uid, spec.token)
        while not self.closed.is_set():
            try:
                if self._is_off(spec, pulled) or not self._launch(spec, pulled):
                    return
                self._settled(key)
                return self._look_once_more(key)
            except Unavailable:
                self.closed.wait(AGAIN_AFTER_S)
            except Exception as error:  # no launch may stop the lane for the others
                self._give_up(spec, str(error) or repr(error))
                return self._settled(key)

    def _look_once_more(self, key: Key) -> None:
        """It may have ended while events of it were left to us."""
        run = self.log.run(*key)
        if run is not None:
            self.runs.look(key, str(run.facts["container"]))

    def _is_off(self, spec: LaunchSpec, pulled: bool) -> bool:
        """Whether it was stopped while its image was on the way."""
        run = self.log.run(spec.uid, spec.token)
        if run is not None and not (pulled and run.facts.get("stopped")):
            return False
        if run is not None:
            self.runs.refuse(run, "it was stopped before its image was there")
        self._settled((spec.uid, spec.token))
        return True

    def _launch(self, spec: LaunchSpec, pulled: bool) -> bool:
        """False when it goes on in the lane of pulls. Raises Unavailable, Refusal."""
        assert spec.container is not None
        if spec.container.pull == "always" and not pulled:
            self.pulls.put(lambda: self._pull(spec))
            return False
        try:
            container = self._begun(spec)
        except NoImage:
            if pulled or spec.container.pull == "never":
                raise Refusal(f"no such image: {spec.container.image}") from None
            self.pulls.put(lambda: self._pull(spec))
            return False
        self._await_init(spec, container)
        return True

    def _begun(self, spec: LaunchSpec) -> str:
        """Its container, started; a new one where an engine that was killed over it
        left pieces in the way. Of all of them only one runs the program (the init sees
        to that)."""
        for left in reversed(range(MOST_CONTAINERS)):
            container = self._created(spec)
            if self._has_run(spec):
                break
            try:
                self.engine.start(container)
                break
            except Refusal as refusal:
                in_the_way = any(word in str(refusal).lower() for word in PIECES)
                if not (in_the_way and left):
                    raise
            self.engine.remove(container, force=True)
        return container

    def _has_run(self, spec: LaunchSpec) -> bool:
        said = docker_box.read_status(spec.folder, spec.token).stage
        return bool(said) or docker_box.is_held(spec.folder, spec.token)

    def _pull(self, spec: LaunchSpec) -> None:
        assert spec.container is not None
        key = (spec.uid, spec.token)
        while not self.closed.is_set():
            try:
                self.engine.pull(spec.container.image, spec.container.registry_auth)
                return self.lane.put(lambda: self._do(spec, pulled=True))
            except Unavailable:
                self.closed.wait(AGAIN_AFTER_S)
            except Exception as error:
                self._give_up(spec, str(error) or repr(error))
                return self._settled(key)

    def _created(self, spec: LaunchSpec) -> str:
        """The attempt's container: a new one, or the one that is there already."""
        name = docker_spec.container_name(spec.uid, spec.token)
        while True:
            found = self.engine.inspect(name)
            if found is None:
                try:
                    return self._create(spec, name)
                except NameTaken:
                    continue
            labels = found["Config"].get("Labels") or {}
            ours = labels.get(NODE) == self.rules.node
            if not ours or key_of(labels) != (spec.uid, spec.token):
                raise Refusal(
                    f"a container named {name} is there and is not ours: remove it"
                )
            return str(found["Id"])

    def _create(self, spec: LaunchSpec, name: str) -> str:
        assert spec.container is not None
        command = spec.argv or tuple(self.engine.image_command(spec.container.image))
        if not command:
            raise Refusal(f"no program named, and {spec.container.image} names none")
        spec, voice = self._with_voice(spec)
        return self.engine.create(
            name,
            docker_spec.host_config(spec, self.rules, self.init, voice),
            docker_spec.container_config(spec, self.rules, command),
        )

    def _with_voice(self, spec: LaunchSpec) -> tuple[LaunchSpec, str]:
        """The way to its socket in its environment, and the folder that is in."""
        if self.guests is None:
            return spec, ""
        user, _ = docker_spec.user_of(spec)
        voice = self.guests.open(spec, owner=user, by_path=False)
        env = {**spec.env, "NOTIFY_SOCKET": docker_box.NOTIFY_SOCKET}
        return replace(spec, env=env), voice["folder"]

    def _await_init(self, spec: LaunchSpec, container: str) -> None:
        """Until the init has told whether the program runs, or is over itself."""
        ask_at = 0.0
        while not self.closed.is_set():
            told = docker_box.read_status(spec.folder, spec.token).stage
            if told or time.monotonic() >= ask_at:
                ask_at = time.monotonic() + ASK_EVERY_S
                run = self.log.run(spec.uid, spec.token)
                seen = self.engine.inspect(container)
                if run is None:
                    return
                if seen is None:
                    return self.runs.gone(run)
                if told or not is_alive(seen["State"]):
                    return self.runs.see(run, seen)
            time.sleep(LOOK_EVERY_S)

    def _give_up(self, spec: LaunchSpec, reason: str) -> None:
        """Nothing of a refused start is left, by name since it may not have an id."""
        run = self.log.run(spec.uid, spec.token)
        if run is not None and self._has_run(spec):
            self.log.note(spec.uid, spec.token, unseen=True)  # looked at from now on
            self.runs.gone(run)
        elif run is not None:
            said = _in_words(reason, spec)
            ours = docker_spec.container_name(spec.uid, spec.token)
            self.runs.refuse(run, said, "" if "is not ours" in said else ours)


def _in_words(reason: str, spec: LaunchSpec) -> str:
    """What engines say at length, for people."""
    if "could not select device driver" in reason:
        return "no GPU for containers here: Docker has no driver for them"
    if "port is already allocated" in reason or "address already in use" in reason:
        return f"a port is taken already: {reason.rpartition(': ')[2]}"
    if "invalid reference format" in reason and spec.container:
        return f"not the name of an image: {spec.container.image!r}"
    if "network" in reason and "not found" in reason and spec.container:
        return f"no such network: {spec.container.network}"
    return reason
