"""What a node finds around it: the files, commands, ports and hosts that waiting runs
require, and which ports other programs have.

It looks for what the first run of each waiting class requires, every few seconds and
when told that one was queued, and writes what holds to its row, where the planner
reads it. Looking may block, so each look is bounded and has threads of its own.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import datetime
from typing import Any

from django.db import transaction

from agents import requirements
from agents.models import Node
from agents.redis import wake
from agents.requirements import MARK, REACHABLE, Item
from scheduling import hot_reads, runs, surroundings
from scheduling.launch import PATH
from scheduling.models import Run
from scheduling.run_state import RunState
from scheduling.runs import Step
from scheduling.snapshot_reader import class_names

S = RunState
EVERY_S = 2.0
ANSWER_WITHIN_S = 2.0
LOOK_WITHIN_S = 4.0  # at everything together
AT_ONCE = 16
MOST_CLASSES = 200  # of waiting runs that are looked for
GIVES_BACK = {"node_id": None, "devices": None, "ports": None}
RUN = Run._meta.db_table
HEAD = f"""
SELECT version_id FROM {RUN} WHERE state = 'queued' AND queue_class = %s LIMIT 1
"""
ADMITTED = f"""
SELECT id, version_id, ports FROM {RUN} WHERE state = 'admitted' AND
"""


class NodeChecks:
    """Of one node. Any thread may call any method."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.lock = threading.Lock()
        self.pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="look")

    def look(self) -> None:
        """See what holds of all that is required, and say so where it changed."""
        wanted = required_here()
        if not wanted and not self._told():
            return
        holds = sorted(self.holding(wanted))
        with self.lock:
            before = self._told()
            busy = [port for port in before.get("busy_ports", ()) if not is_free(port)]
            self._tell(before, holds, busy)

    def holding(self, items: Iterable[Item]) -> set[str]:
        """Keys of those that hold. What takes too long to tell does not."""
        asked = {
            self.pool.submit(is_met, item): requirements.key_of(item) for item in items
        }
        done, late = wait(asked, timeout=LOOK_WITHIN_S)
        for future in late:
            future.cancel()
        return {asked[future] for future in done if future.result()}

    def still_fit(
        self, batch: Sequence[tuple[int, int]], *, now: datetime
    ) -> list[tuple[int, int]]:
        """Those of the admitted runs that find all they require. The others go back
        to the queue, and the planner learns why from this node's row."""
        said, parameter = hot_reads.among("id", [pk for pk, _ in batch])
        rows = hot_reads.rows(f"{ADMITTED} {said}", [parameter])
        specs = hot_reads.specs({version for _, version, _ in rows})
        items = {pk: requirements.on_a_node(specs[v]) for pk, v, _ in rows}
        once = {requirements.key_of(i): i for own in items.values() for i in own}
        holding = self.holding(once.values())
        gone, busy, unfit = set[str](), set[int](), dict[int, str]()
        for pk, _, given in rows:
            missing = [i for i in items[pk] if requirements.key_of(i) not in holding]
            given = surroundings.loaded(given) or {}
            taken = sorted(port for port in given.values() if not is_free(port))
            gone |= {requirements.key_of(i) for i in missing}
            busy |= set(taken)
            if missing:
                unfit[pk] = f"waits for {requirements.said(missing)}"
            elif taken:
                unfit[pk] = f"port {taken[0]} is taken by another program"
        if unfit:
            self._give_back(batch, unfit, gone, busy, now)
        return [(pk, token) for pk, token in batch if pk not in unfit]

    def _give_back(
        self,
        batch: Sequence[tuple[int, int]],
        unfit: Mapping[int, str],
        gone: Collection[str],
        busy: Collection[int],
        now: datetime,
    ) -> None:
        actor = f"node:{self.node}"
        steps = [
            Step(pk, token, unfit[pk], GIVES_BACK) for pk, token in batch if pk in unfit
        ]
        with self.lock, transaction.atomic():
            before = self._told()
            holds = sorted(set(before.get("holds", ())) - set(gone))
            self._tell(before, holds, sorted({*before.get("busy_ports", ()), *busy}))
            runs.move_many(steps, before=S.ADMITTED, to=S.QUEUED, actor=actor, now=now)
            runs.wake_on_commit("given back")

    def stop(self) -> None:
        """Look no more."""
        self.pool.shutdown(wait=False, cancel_futures=True)

    def _told(self) -> dict[str, Any]:
        mine = Node.objects.filter(name=self.node)
        return dict(mine.values_list("checks", flat=True).first() or {})

    def _tell(
        self, before: Mapping[str, Any], holds: list[str], busy: list[int]
    ) -> None:
        found = {"holds": holds, "busy_ports": busy} if holds or busy else {}
        if found == before:
            return
        Node.objects.filter(name=self.node).update(checks=found)
        transaction.on_commit(lambda: wake("around"), robust=True)


def required_here() -> list[Item]:
    """What a node must look at for the runs that wait, each once."""
    found: dict[str, Item] = {}
    marked = [name for name in class_names() if MARK in name]
    for name in marked[:MOST_CLASSES]:
        for (version,) in hot_reads.rows(HEAD, [name]):
            items = requirements.on_a_node(hot_reads.specs([version])[version])
            found |= {requirements.key_of(item): item for item in items}
    return list(found.values())


# -- looking ---------------------------------------------------------------------------


def is_met(item: Item) -> bool:
    kind, value = requirements.kind_and_value(item)
    return LOOKS[kind](value)


def is_command(name: str) -> bool:
    return shutil.which(name, path=PATH) is not None


def is_free(port: int) -> bool:
    """Whether a program may listen there. What only our rights forbid counts as free:
    the program may have others."""
    for family, anywhere in ((socket.AF_INET, ""), (socket.AF_INET6, "::")):
        try:
            with socket.socket(family) as door:
                door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    door.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                door.bind((anywhere, port))
        except OSError as why:
            if why.errno == errno.EADDRINUSE:
                return False
    return True


def answers(host_and_port: str) -> bool:
    """Whether somebody accepts a connection there."""
    match = REACHABLE.fullmatch(host_and_port)
    assert match is not None, "a definition is checked before it is stored"
    host, port = match[1].strip("[]"), int(match[2])
    try:
        with socket.create_connection((host, port), ANSWER_WITHIN_S):
            return True
    except (OSError, UnicodeError):  # a name that cannot be one
        return False


LOOKS: Mapping[str, Callable[[Any], bool]] = {
    "file": os.path.exists,
    "command": is_command,
    "port_free": is_free,
    "reachable": answers,
}
