"""Secrets: sealed at rest, never told, blotted out of what is shown."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from agents import secret_box, secret_store
from agents.errors import Invalid
from agents.executors.given import SECRETS
from agents.models import Event, Secret
from agents.secret_store import Missing
from monitor import log_tail, redaction
from scheduling import confidential, endings, launch, runs
from scheduling.endings import Close, seen_of
from scheduling.models import Run
from scheduling.run_folders import folder_of
from scheduling.run_state import RunState as S
from tests.conftest import NOON

pytestmark = pytest.mark.django_db
API = "/api/v1"
VALUE = "sesame-opens-4711"
STARS = "*" * len(VALUE)


def put(name: str = "db-key", value: str = VALUE) -> None:
    secret_store.put(name, value, actor="t", now=NOON)
    redaction.secrets_of_runs.forget()


def running(make_agent: Any, **definition: Any) -> Run:
    agent = make_agent("worker", **definition)
    run = runs.request_run(agent, actor="t", now=NOON)
    for state in (S.ADMITTED, S.STARTING, S.RUNNING):
        run = runs.move(run, state, actor="t", now=NOON)
    return run


def the_start(run: Run) -> launch.Start:
    (start,) = launch.starts([run.pk], node="n1", now=NOON)
    return start


def end(run: Run) -> None:
    row = Run.objects.values_list(*endings.SEEN).get(pk=run.pk)
    close = Close(seen_of(row), S.SUCCEEDED, "", {"ended_at": NOON})
    endings.close_many([close], actor="node:n1", now=NOON)


def test_a_value_goes_in_and_never_comes_out(admin, editor, viewer) -> None:
    answer = admin.put(f"{API}/secrets/db-key/", {"value": VALUE}, format="json")
    assert answer.status_code == 201
    again = admin.put(f"{API}/secrets/db-key/", {"value": VALUE * 2}, format="json")
    assert again.status_code == 200
    listed = editor.get(f"{API}/secrets/")
    assert [one["name"] for one in listed.json()["items"]] == ["db-key"]
    told = answer.content + again.content + listed.content
    events = json.dumps(list(Event.objects.values("kind", "data", "subject")))
    assert VALUE not in told.decode() + events
    assert "secret.changed" in events
    assert viewer.get(f"{API}/secrets/").status_code == 403
    body = {"value": VALUE}
    assert editor.put(f"{API}/secrets/x/", body, format="json").status_code == 403


def test_at_rest_it_cannot_be_read(db) -> None:
    put()
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM agents_secret")
        assert VALUE not in str(cursor.fetchall())
    assert secret_store.values(["db-key"]) == {"db-key": VALUE}
    assert secret_box.keys_path().stat().st_mode & 0o777 == 0o600


def test_a_row_put_in_the_place_of_another_opens_to_nothing(db) -> None:
    put("one", "value of one")
    put("two", "value of two")
    Secret.objects.filter(name="one").update(
        sealed=Secret.objects.get(name="two").sealed
    )
    with pytest.raises(Missing, match="another name"):
        secret_store.values(["one"])


@pytest.mark.parametrize(
    "value", ["abc", "", 7, None, "a\0bcd", "x" * 40_000, "\ud800abc", ["a"]]
)
def test_a_value_that_cannot_be_is_refused_by_name(db, value) -> None:
    with pytest.raises(Invalid) as caught:
        put(value=value)
    assert set(caught.value.fields) == {"value"}
    assert not Secret.objects.exists()


@pytest.mark.parametrize("name", ["a b", "-x", "é", "x" * 65])
def test_a_name_that_cannot_be_is_refused(admin, name) -> None:
    body = {"value": VALUE}
    answer = admin.put(f"{API}/secrets/{name}/", body, format="json")
    assert (answer.status_code, set(answer.json()["fields"])) == (400, {"name"})


@pytest.mark.parametrize(
    "definition",
    [
        {"secrets": ["db-key"]},
        {"secrets": [{"name": "db-key", "as": "file"}]},
        {"results": [{"webhook": "https://example.org/", "secret": "db-key"}]},
        {"exec_env": "docker", "docker": {"registry_secret": "db-key"}},
    ],
)
def test_one_that_an_agent_names_stays(admin, make_agent, definition) -> None:
    put()
    make_agent("worker", **definition)
    answer = admin.delete(f"{API}/secrets/db-key/")
    assert answer.status_code == 409
    assert "worker" in answer.json()["detail"]
    assert admin.delete(f"{API}/agents/worker/").status_code < 300
    assert admin.delete(f"{API}/secrets/db-key/").status_code == 204
    assert admin.delete(f"{API}/secrets/db-key/").status_code == 404


def test_a_program_is_given_what_its_definition_names(make_agent) -> None:
    put()
    put("api", "an-api-key")
    uses = ["db-key", {"name": "api", "as": "file"}]
    run = running(make_agent, secrets=uses, artefacts=True)
    start = the_start(run)
    given = start.spec.given
    assert dict(given.env) == {"DB_KEY": VALUE}
    assert dict(given.files) == {"api": "an-api-key"}
    assert given.artefacts
    assert start.spec.env["KOS_SECRETS"] == str(secrets_folder(run))
    assert VALUE not in repr(start) + str(start.spec.env)
    assert Secret.objects.filter(last_used_at=NOON).count() == 2


def test_a_plain_agent_is_given_nothing_and_costs_no_query(
    make_agent, django_assert_num_queries
) -> None:
    run = running(make_agent)
    the_start(run)
    with django_assert_num_queries(1):
        start = the_start(run)
    assert start.spec.given is None


def test_a_secret_that_is_missing_fails_the_run_and_is_named(make_agent, admin) -> None:
    run = running(make_agent, secrets=["db-key"])
    assert the_start(run).refused == "cannot start: there is no secret named db-key"
    told = admin.get(f"{API}/agents/worker/").json()
    assert "there is no secret named db-key yet" in told["warnings"]


@pytest.mark.parametrize(
    "value", ["kos:pass:word", '{"username": "kos", "password": "pass:word"}']
)
def test_a_registry_gets_its_user_and_password(make_agent, value) -> None:
    put("registry", value)
    docker = {"image": "private/x", "registry_secret": "registry"}
    run = running(make_agent, exec_env="docker", docker=docker)
    spec = the_start(run).spec
    assert spec.container.registry_auth == {"username": "kos", "password": "pass:word"}
    assert "pass:word" not in repr(spec)


def test_what_is_no_login_fails_the_run_without_telling_it(make_agent) -> None:
    put("registry", "no-colon-here")
    docker = {"image": "private/x", "registry_secret": "registry"}
    run = running(make_agent, exec_env="docker", docker=docker)
    refused = the_start(run).refused
    assert "user:password" in refused
    assert "no-colon-here" not in refused


def secrets_folder(run: Run) -> Path:
    return folder_of(run.uid) / "work" / SECRETS


def with_a_file(make_agent: Any) -> Run:
    put()
    run = running(make_agent, secrets=[{"name": "db-key", "as": "file"}])
    the_start(run)
    secrets_folder(run).mkdir(parents=True)
    (secrets_folder(run) / "db-key").write_text(VALUE)
    return run


def test_the_files_go_when_the_run_ends(
    make_agent, django_capture_on_commit_callbacks
) -> None:
    run = with_a_file(make_agent)
    with django_capture_on_commit_callbacks(execute=True):
        end(run)
    assert not secrets_folder(run).exists()
    assert not (confidential.holders() / run.uid).exists()


def test_a_node_that_died_over_it_takes_them_back_at_its_next_beat(make_agent) -> None:
    run = with_a_file(make_agent)
    confidential.sweep("n1", NOON)
    assert secrets_folder(run).exists(), "it still runs"
    end(run)
    confidential.sweep("n1", NOON)
    assert not secrets_folder(run).exists()


def printed(run: Run, data: bytes) -> None:
    folder_of(run.uid).mkdir(parents=True, exist_ok=True)
    (folder_of(run.uid) / "out").write_bytes(data)


def test_a_log_shows_stars_in_the_place_of_a_secret(make_agent, viewer) -> None:
    put()
    run = running(make_agent, secrets=["db-key"])
    end(run)
    printed(run, f"key is {VALUE}, and {VALUE}{VALUE}!\n".encode())
    told = viewer.get(f"{API}/runs/{run.uid}/logs/").json()["out"]
    assert told["text"] == f"key is {STARS}, and {STARS}{STARS}!\n"
    assert told["to"] == told["size"], "offsets stay those of the file"


def test_a_log_read_in_any_pieces_shows_the_same(make_agent, viewer) -> None:
    put()
    run = running(make_agent, secrets=["db-key"])
    end(run)
    printed(run, (f"tokén={VALUE}\n" * 40).encode())
    chance = random.Random(11)
    for _ in range(5):
        after, text, size = 0, "", 1
        while after < size:
            limit = chance.randint(2, 60)
            query = f"after={after}&limit={limit}&stream=out"
            told = viewer.get(f"{API}/runs/{run.uid}/logs/?{query}").json()["out"]
            text, after, size = text + told["text"], told["to"], told["size"]
        assert text == f"tokén={STARS}\n" * 40


def test_a_live_log_never_shows_the_first_half_of_a_secret(make_agent) -> None:
    put()
    run = running(make_agent, secrets=["db-key"])
    at, shown = None, ""
    whole = f"a {VALUE} b {VALUE[:5]}- c\n".encode()
    for upto in range(1, len(whole) + 1):
        printed(run, whole[:upto])
        frame, at = log_tail.look(run.uid, "out", at)
        shown += frame["text"] if frame else ""
    assert shown == f"a {STARS} b {VALUE[:5]}- c\n"


def test_an_earlier_value_stays_hidden_in_what_was_printed(make_agent, viewer) -> None:
    put(value="the-old-value")
    run = running(make_agent, secrets=["db-key"])
    end(run)
    printed(run, b"the-old-value the-new-value\n")
    put(value="the-new-value")
    told = viewer.get(f"{API}/runs/{run.uid}/logs/").json()["out"]
    assert told["text"] == f"{'*' * 13} {'*' * 13}\n"


def test_the_keys_can_be_turned_and_all_still_opens(db, capsys) -> None:
    put(value="first-value")
    put()
    before = Secret.objects.get()
    call_command("turn_secret_keys")
    after = Secret.objects.get()
    assert after.sealed != before.sealed
    secret_box.add_key()
    secret_box.forget_old_keys()  # and so the one of before the turn is gone
    assert secret_store.values(["db-key"]) == {"db-key": VALUE}
    assert secret_store.ever_held(["db-key"]) == [VALUE, "first-value"]
    with pytest.raises(secret_box.CannotOpen):
        secret_box.unseal("db-key", before.sealed)


def test_with_other_keys_nothing_opens_and_the_run_says_so(
    make_agent, settings, tmp_path
) -> None:
    put()
    settings.SECRETS_KEYS = tmp_path / "other"
    settings.SECRETS_KEYS.write_text("other\n")
    run = running(make_agent, secrets=["db-key"])
    assert "no key here opens the secret db-key" in the_start(run).refused


def test_it_is_noted_when_a_secret_was_used_but_not_each_time(make_agent) -> None:
    put()
    for seconds, noted in ((0, 0), (30, 0), (90, 90)):
        at = NOON + timedelta(seconds=seconds)
        secret_store.values(["db-key"], now=at)
        assert Secret.objects.get().last_used_at == NOON + timedelta(seconds=noted)


def test_the_admin_takes_a_value_and_shows_none(client_of) -> None:
    client = client_of("admin")
    data = {"name": "db-key", "value": VALUE}
    made = client.post("/admin/agents/secret/add/", data, format="multipart")
    assert made.status_code == 302, made.content.decode()[:2000]
    assert secret_store.values(["db-key"]) == {"db-key": VALUE}
    pk = Secret.objects.get().pk
    for page in ("", f"{pk}/change/"):
        shown = client.get(f"/admin/agents/secret/{page}").content.decode()
        assert VALUE not in shown
        assert Secret.objects.get().sealed not in shown
    changed = {"name": "db-key", "value": "another-value"}
    client.post(f"/admin/agents/secret/{pk}/change/", changed, format="multipart")
    assert secret_store.values(["db-key"]) == {"db-key": "another-value"}


def test_without_any_key_the_run_says_so_and_nothing_is_stored(
    make_agent, settings, tmp_path, admin
) -> None:
    put()
    settings.SECRETS_KEYS = tmp_path / "gone"
    run = running(make_agent, secrets=["db-key"])
    assert "cannot be read: No such file" in the_start(run).refused
    answer = admin.put(f"{API}/secrets/other/", {"value": VALUE}, format="json")
    assert answer.status_code == 503
    assert Secret.objects.count() == 1


def test_a_secret_that_does_not_open_stops_the_turn_and_loses_none(db) -> None:
    put("good")
    put("bad")
    Secret.objects.filter(name="bad").update(sealed="no-token")
    before = Secret.objects.get(name="good").sealed
    with pytest.raises(CommandError, match="bad"):
        call_command("turn_secret_keys")
    assert Secret.objects.get(name="good").sealed == before
    assert secret_store.values(["good"]) == {"good": VALUE}


def test_readers_of_bytes_get_as_many_with_the_secret_blanked(make_agent) -> None:
    put()
    run = running(make_agent, secrets=["db-key"])
    blanks = redaction.secrets_of_runs
    said = f"key {VALUE} end".encode()
    assert blanks.margin_bytes(run.uid) == len(VALUE)
    assert blanks.hide(run.uid, said) == b"key " + b"*" * len(VALUE) + b" end"
    plain = runs.request_run(make_agent("plain"), actor="t", now=NOON)
    assert blanks.margin_bytes(plain.uid) == 0
