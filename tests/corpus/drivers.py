"""How each surface's cases are sent to the product's own routes.

A driver answers with the response the case is about. `twin` sends a sound request of
the same surface first and must succeed: a case that a wrong route, method or role
refuses proves nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.models import Agent
from scheduling import deliveries
from scheduling.models import Delivery
from scheduling.run_folders import artefacts_name
from scheduling.run_state import RunState
from tests.conftest import NOON
from tests.corpus import hook_drivers
from tests.corpus.expand import BASES
from tests.corpus.world import API, World, later, stored

Case = dict[str, Any]
Driver = Callable[[World, Case], Any]


# --- agents


def register(world: World, case: Case) -> Any:
    world.optimizer()
    if case["id"] == "AR185":
        return cycle(world, case)
    return world.send("POST", f"{API}/agents/", case)


def cycle(world: World, case: Case) -> Any:
    world.agent("A")
    world.agent("B", depends_on=["A"])
    world.agent("C", depends_on=["B"])
    return world.send("PATCH", f"{API}/agents/A/", case)


def register_twin(world: World, case: Case) -> None:
    sound = {**case, "payload": {"$base": "agent", "set": {"agent_id": "twin"}}}
    sound.pop("headers", None)
    answer = world.send("POST", f"{API}/agents/", sound)
    assert answer.status_code == 201, answer.content


# --- schedules


def schedule(world: World, case: Case) -> Any:
    world.optimizer()
    return world.send("POST", f"{API}/schedules/", case)


def schedule_twin(world: World, case: Case) -> None:
    world.optimizer()
    sound = {**case, "payload": {"$base": "schedule"}}
    answer = world.send("POST", f"{API}/schedules/", sound)
    assert answer.status_code == 201, answer.content


# --- lists

WINDOWS = {  # a window belongs to the timeline here
    "LF033": "from=2020-01-01T00:00:00Z&to=2900-01-01T00:00:00Z",
    "LF034": "from=2027-02-01T00:00:00Z&to=2027-01-01T00:00:00Z",
    "LF035": "from=2027-01-01T00:00:00Z&to=2027-01-02T00:00:00Z&tz=Mars/Olympus",
}


def listing(world: World, case: Case) -> Any:
    client = world.client(case)
    if case["id"] in WINDOWS:
        return client.get(f"{API}/timeline/?{WINDOWS[case['id']]}")
    query = case["payload"]["query"].replace("status", "state")
    return client.get(f"{API}/runs/?{query}")


def listing_twin(world: World, case: Case) -> None:
    client = world.client(case)
    window = "from=2027-01-01T00:00:00Z&to=2027-01-02T00:00:00Z"
    for path in ("runs/?limit=10&state=running", f"timeline/?{window}"):
        assert client.get(f"{API}/{path}").status_code == 200, path


# --- the calendar


def move(world: World, case: Case) -> Any:
    if case["id"] in ("CM009", "CM010"):
        return bulk(world, case)
    states = {"CM001": RunState.SUCCEEDED, "CM002": RunState.RUNNING}
    state = states.get(case["id"])
    occurrence = world.occurrence(state) if state else world.planned()[0]
    body = {"scope": "this", **case["payload"]}
    if case["id"] == "CM008":
        occurrence, body["start"] = world.dependent()
    case = {**case, "payload": body}
    return world.send("POST", f"{API}/occurrences/{occurrence}/move/", case)


def bulk(world: World, case: Case) -> Any:
    body = {"ids": case["payload"]["ids"], "shift_s": case["payload"]["shift"]}
    whole = {**case, "payload": body}
    return world.send("POST", f"{API}/bulk/move/", whole)


def move_twin(world: World, case: Case) -> None:
    occurrence, at = world.planned()
    client = world.client(case)
    body = {"start": later(at, minutes=10), "scope": "this"}
    moved = client.post(f"{API}/occurrences/{occurrence}/move/", body, format="json")
    assert moved.status_code == 200, moved.content
    shift = {"ids": [occurrence], "shift_s": 60}
    moved = client.post(f"{API}/bulk/move/", shift, format="json")
    assert moved.status_code == 200, moved.content


# --- runs


def control(world: World, case: Case) -> Any:
    return CONTROL[case["id"]](world, case)


def stop_finished(world: World, case: Case) -> Any:
    uid = world.run(RunState.SUCCEEDED).uid
    return world.client(case).post(f"{API}/runs/{uid}/stop/")


def start_disabled(world: World, case: Case) -> Any:
    world.agent("off", enabled=False)
    return world.client(case).post(f"{API}/agents/off/start/")


def start_twice(world: World, case: Case) -> Any:
    world.optimizer()
    client = world.client(case)
    first, second = (
        client.post(
            f"{API}/agents/prompt_optimizer/start/", HTTP_IDEMPOTENCY_KEY="same"
        )
        for _ in range(2)
    )
    assert first.json() == second.json()
    return second


def oversize_key(world: World, case: Case) -> Any:
    world.optimizer()
    return world.client(case).post(
        f"{API}/agents/prompt_optimizer/start/", HTTP_IDEMPOTENCY_KEY="k" * 10_240
    )


def unknown_signal(world: World, case: Case) -> Any:
    uid = world.run(RunState.RUNNING).uid
    body = {"signal": "SIGFOO"}
    return world.client(case).post(f"{API}/runs/{uid}/signal/", body, format="json")


def flood(world: World, case: Case) -> Any:
    world.optimizer()
    client = world.client(case)
    answers = [client.post(f"{API}/agents/prompt_optimizer/start/") for _ in range(200)]
    odd = [a for a in answers if a.status_code not in case["expect_status"]]
    return odd[0] if odd else answers[-1]


CONTROL: dict[str, Driver] = {
    "RC001": stop_finished,
    "RC003": start_disabled,
    "RC004": start_twice,
    "RC006": oversize_key,
    "RC010": unknown_signal,
    "RC012": flood,
}


def control_twin(world: World, case: Case) -> None:
    world.optimizer()
    client = world.client(case)
    started = client.post(f"{API}/agents/prompt_optimizer/start/")
    assert started.status_code == 202, started.content
    uid = world.run(RunState.QUEUED).uid
    assert client.post(f"{API}/runs/{uid}/stop/").status_code == 200


# --- paths


def download(world: World, case: Case) -> Any:
    uid = world.run(RunState.SUCCEEDED).uid
    path = case["hint"].removeprefix("GET ").split(" ")[0].replace("{id}", uid)
    path = path.replace("/log/", "/logs/").replace("offset=", "after=")
    path = path.replace("/artifacts/", "/artefacts/")
    set_traps(Path(artefacts_name(uid)))
    if path.endswith("/..."):
        path = f"{API}/" + "a/" * 4000
    return world.client(case).get(path)


def set_traps(folder: Path) -> None:
    """What an agent may leave in the place of a file."""
    folder.mkdir(parents=True)
    os.mkfifo(folder / "fifo")
    os.mknod(folder / "dev", 0o20644, os.makedev(1, 5))


def download_twin(world: World, case: Case) -> None:
    uid = world.run(RunState.SUCCEEDED).uid
    for path in (f"runs/{uid}/", f"runs/{uid}/logs/?after=0"):
        assert world.client(case).get(f"{API}/{path}").status_code == 200, path


# --- webhooks


def webhook(world: World, case: Case) -> Any:
    """Registered where it is not refused at once, then delivered to nobody."""
    url, world.before = case["payload"]["url"], stored()
    client = world.client_of("editor")
    body = {**BASES["agent"], "agent_id": "hooked", "results": [{"webhook": url}]}
    answer = client.post(f"{API}/agents/", body, format="json")
    if answer.status_code == 201:
        run = world.run(RunState.SUCCEEDED, Agent.objects.get(agent_id="hooked"))
        due = {"next_attempt_at": NOON, "created_at": NOON}
        row = Delivery.objects.create(run=run, sink="webhook", target=url, **due)
        deliveries.deliver_due(NOON)
        row.refresh_from_db()
        said = ("nothing is sent there", "has no address")
        assert any(words in row.detail for words in said), row.detail
    return answer


def webhook_twin(world: World, case: Case) -> None:
    body = {**BASES["agent"], "agent_id": "twin", "results": ["https://example.org/"]}
    answer = world.client_of("editor").post(f"{API}/agents/", body, format="json")
    assert answer.status_code == 201, answer.content


# --- the configuration


def config(world: World, case: Case) -> Any:
    return world.send("PUT", f"{API}/config/", case)


def config_twin(world: World, case: Case) -> None:
    sound = {**case, "payload": {"$raw": "max_concurrent_agents: 12\n"}}
    answer = world.send("PUT", f"{API}/config/", sound)
    assert answer.status_code == 200, answer.content


DRIVERS: dict[str, tuple[Driver, Callable[[World, Case], None]]] = {
    "agent_registration": (register, register_twin),
    "agent_body": (register, register_twin),
    "argv_verbatim": (register, register_twin),
    "schedule": (schedule, schedule_twin),
    "list_filter": (listing, listing_twin),
    "calendar_move": (move, move_twin),
    "run_control": (control, control_twin),
    "webhook_out": (webhook, webhook_twin),
    "path_download": (download, download_twin),
    "cfg": (config, config_twin),
    "webhook_in": (hook_drivers.call, hook_drivers.call_twin),
}
