"""django-rq's dashboard in the admin: our queues, our delayed jobs, admins only."""

from __future__ import annotations

import pytest

from scheduling import nodes
from scheduling.rq import queues

pytestmark = pytest.mark.django_db
HOME = "/admin/django_rq/dashboard/"


def test_an_admin_sees_the_queue_of_each_node_and_what_waits_in_it(admin, now) -> None:
    facts = {"cpu_millis": 1000, "memory_bytes": 2**30, "boot_id": "b"}
    nodes.register("n1", now=now, facts=facts)
    queues.send_launch("n1", [(1, 7)])
    page = admin.get(HOME)
    assert page.status_code == 200
    assert "launch:n1" in page.content.decode()
    assert "housekeeping" in page.content.decode()
    waiting = admin.get(f"{HOME}queues/1/")
    assert waiting.status_code == 200
    (job,) = queues.queue("launch:n1").get_jobs()
    assert job.id in waiting.content.decode()
    assert queues.queue("launch:n1").count == 1


@pytest.mark.parametrize("role", ["viewer", "operator", "editor"])
def test_nobody_else_does(client_of, role: str) -> None:
    assert client_of(role).get(HOME).status_code == 403
