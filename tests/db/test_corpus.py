"""The corpus of bad input against the product's own routes.

No case may end in a 500, store anything, or leave the field unnamed; and a sound twin
of every surface must succeed, so that nothing passes by being refused elsewhere.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from tests.corpus import judged
from tests.corpus.doors import DOORS
from tests.corpus.drivers import DRIVERS
from tests.corpus.expand import expand
from tests.corpus.world import API, CASES, World, stored

pytestmark = pytest.mark.django_db
LONGEST_S = 5.0  # of our own work, whatever else the machine does
MANY = {"WI018": 3}  # times that: a thousand requests, a few milliseconds each
LISTS = ("agents", "schedules", "runs")
PARALLEL = {"AR039", "AR186"}  # run in test_corpus_races
MESSAGES = {c["id"] for c in CASES if c["surface"] == "mqtt"}  # in test_corpus_mqtt
# 413 says the same more exactly: the body is refused by its size before it is read
ALSO_RIGHT = {"CFG042": [413], "S096": [413]}
# where one key is wrong only beside another, either may be named
ALSO_NAMED = {"S093": {"cron"}, "S094": {"interval", "run_at"}}


def is_judged(case: dict[str, Any]) -> bool:
    return case["surface"] in judged.SURFACES or case["id"] in judged.CASES


def is_run_here(case: dict[str, Any]) -> bool:
    return case["surface"] in DRIVERS and not is_judged(case)


RUN = [c for c in CASES if is_run_here(c) and c["id"] not in PARALLEL]
AT_THE_DOOR = [c for c in CASES if c["id"] in DOORS]


@pytest.fixture
def world(client_of: Callable[[str], Any]) -> World:
    return World(client_of)


def by_id(case: dict[str, Any]) -> str:
    return str(case["id"])


TWINS = {(c["surface"], c["auth"]): c for c in RUN}


@pytest.mark.parametrize(
    "case", TWINS.values(), ids=lambda c: f"{c['surface']}-{c['auth']}"
)
def test_the_sound_twin_of_a_surface_succeeds(
    world: World, case: dict[str, Any]
) -> None:
    DRIVERS[case["surface"]][1](world, case)


@pytest.mark.parametrize("case", RUN, ids=by_id)
def test_a_bad_input_is_refused_by_name_and_leaves_nothing(
    world: World, case: dict[str, Any], tally: Callable[[str, str], None]
) -> None:
    started_s = time.process_time()
    answer = DRIVERS[case["surface"]][0](world, case)
    took_s = time.process_time() - started_s
    judge(answer, case, tally)
    assert took_s < LONGEST_S * MANY.get(case["id"], 1)
    if answer.status_code >= 400:
        refused_as_it_should(answer, case)
        assert not world.before or stored() == world.before
    for path in LISTS:
        assert world.client_of("viewer").get(f"{API}/{path}/").status_code == 200
    tally("corpus", "as expected")


@pytest.mark.parametrize("case", AT_THE_DOOR, ids=by_id)
def test_who_may_not_come_in_does_not(
    world: World, case: dict[str, Any], tally: Callable[[str, str], None]
) -> None:
    judge(DOORS[case["id"]](world), case, tally)
    tally("corpus", "as expected")


def judge(answer: Any, case: dict[str, Any], tally: Callable[[str, str], None]) -> None:
    tally("corpus", "cases run")
    if answer.status_code >= 500:
        tally("corpus", "server errors")
    wanted = case["expect_status"] + ALSO_RIGHT.get(case["id"], [])
    assert answer.status_code in wanted, answer.content[:500]


def refused_as_it_should(answer: Any, case: dict[str, Any]) -> None:
    if answer["Content-Type"] != "application/json":
        assert case["surface"] == "path_download"
        return
    body = answer.json()
    assert set(body) <= {"code", "detail", "fields", "cycle"}
    assert "Traceback" not in str(body)
    field = case.get("expect_field")
    if field and answer.status_code in (400, 409, 422):
        named = {re.split(r"[.\[]", name)[0] for name in body.get("fields", {})}
        also = {"results"} if case["surface"] == "webhook_out" else set()
        assert named & ({field} | also | ALSO_NAMED.get(case["id"], set())), body


@pytest.mark.parametrize("case", [c for c in RUN if c["surface"] == "cfg"], ids=by_id)
def test_check_config_refuses_the_same_files_with_exit_2(
    case: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "scheduler_config.yaml"
    file.write_bytes(expand(case["payload"]))
    with pytest.raises(SystemExit) as ended:
        call_command("check_config", file)
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.startswith(str(file))
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "case", [c for c in RUN if c["surface"] == "argv_verbatim"], ids=by_id
)
def test_an_argument_is_kept_to_the_byte(world: World, case: dict[str, Any]) -> None:
    answer = DRIVERS["argv_verbatim"][0](world, case)
    sent = case["payload"]["set"]["args"]
    assert answer.json()["spec"]["args"] == sent


def test_every_case_is_run_or_judged_with_a_reason(
    tally: Callable[[str, str], None],
) -> None:
    ran = {c["id"] for c in RUN} | set(DOORS) | PARALLEL | MESSAGES
    for case in CASES:
        reason = judged.CASES.get(case["id"]) or judged.SURFACES.get(case["surface"])
        assert bool(reason) != (case["id"] in ran), case["id"]
        if reason:
            tally("corpus", f"not applicable ({reason})")
