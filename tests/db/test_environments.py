"""What a node offers follows its engines, and each run goes to the right one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import pytest

from agents.executors.base import BadSpec, Capabilities, LaunchSpec, Unavailable
from agents.executors.fake import FakeExecutor
from agents.models import Event, Node, NodeLog
from scheduling import environments, launch, nodes, runs
from scheduling.environments import Environments
from scheduling.models import Run
from scheduling.run_state import RunState
from scheduling.runs import Step

pytestmark = pytest.mark.django_db(transaction=True)
FACTS = {"cpu_millis": 4000, "memory_bytes": 2**33, "boot_id": "b"}


class Here(FakeExecutor):
    """A FakeExecutor that answers for an environment, and can be away."""

    away = ""

    def ensure(self) -> None:
        if self.away:
            raise Unavailable(self.away)

    def capabilities(self):
        return {} if self.away else dict.fromkeys(self.environments, Capabilities())

    def start(self, specs: Sequence[LaunchSpec]) -> None:
        if any("\0" in argument for spec in specs for argument in spec.argv):
            raise BadSpec("a NUL in its arguments")
        super().start(specs)


class Plain(Here):
    name: ClassVar[str] = "subprocess"
    environments: ClassVar[tuple[str, ...]] = ("subprocess", "sandbox")


class Engine(Here):
    name: ClassVar[str] = "docker"
    environments: ClassVar[tuple[str, ...]] = ("docker",)


@pytest.fixture
def here(now, monkeypatch) -> Iterator[Environments]:
    nodes.register("n1", now=now, facts=FACTS)
    monkeypatch.setattr(environments, "TRY_AGAIN_S", 0.0)
    found = Environments("n1", [Plain(), Engine()], lambda: (), prepare=lambda _: None)
    yield found
    found.stop(5)


def offered() -> tuple[list[str], dict[str, str]]:
    return Node.objects.values_list("environments", "environments_missing").get()


def starting(make_agent, now, environment: str, *argv: str) -> tuple[Run, LaunchSpec]:
    agent = make_agent(f"in-{environment}", exec_env=environment)
    run = runs.request_run(agent, actor="t", now=now)
    node = Node.objects.get()
    for before, to in (
        (RunState.QUEUED, RunState.ADMITTED),
        (RunState.ADMITTED, RunState.STARTING),
    ):
        step = Step(run.pk, 0, also_set={"node_id": node.pk, "starting_at": now})
        assert runs.move_many([step], before=before, to=to, actor="t", now=now)
    run.refresh_from_db()
    return run, LaunchSpec(
        run.uid, 0, argv, launch.folder_of(run.uid), environment=environment
    )


def test_what_is_there_is_offered_and_what_is_not_says_why(here, now) -> None:
    here.executors[1].away = "the Docker engine does not answer: start dockerd"
    here.look(now=now)
    assert offered() == (
        ["sandbox", "subprocess"],
        {"docker": "the Docker engine does not answer: start dockerd"},
    )


def test_one_of_two_environments_of_an_executor_may_be_missing(here, now) -> None:
    plain = here.executors[0]
    plain.capabilities = lambda: {"subprocess": Capabilities()}
    plain.absent = lambda: {"sandbox": "nsjail does not work here: no namespaces"}
    here.look(now=now)
    names, missing = offered()
    assert names == ["docker", "subprocess"]
    assert missing == {"sandbox": "nsjail does not work here: no namespaces"}


def test_an_engine_that_comes_is_offered_and_one_that_goes_is_not(here, now) -> None:
    engine = here.executors[1]
    engine.away = "not started"
    here.look(now=now)
    engine.away = ""
    here.look(now=now)
    assert offered()[0] == ["docker", "sandbox", "subprocess"]
    engine.away = "it was stopped"
    here.look(now=now)
    assert offered() == (["sandbox", "subprocess"], {"docker": "it was stopped"})
    told = Event.objects.filter(kind="node.environments").order_by("pk")
    assert [len(event.data["environments"]) for event in told] == [2, 3, 2]


def test_looking_again_at_the_same_says_nothing(here, now) -> None:
    here.look(now=now)
    here.look(now=now)
    assert Event.objects.filter(kind="node.environments").count() == 1


def test_each_run_goes_to_its_environment_and_each_log_has_its_own_place(
    here, make_agent, now
) -> None:
    here.look(now=now)
    plain, engine = here.executors
    _, first = starting(make_agent, now, "subprocess", "sleep", "60")
    _, second = starting(make_agent, now, "docker", "sleep", "60")
    here.start([first, second], now=now)
    assert set(plain.alive()) == {first.uid}
    assert set(engine.alive()) == {second.uid}
    here.signal(second.uid, 9)
    assert not engine.alive()
    names = NodeLog.objects.values_list("executor", flat=True)
    assert set(names) == {"subprocess", "docker"}


def test_a_spec_that_can_never_start_fails_its_run_and_no_other(
    here, make_agent, now
) -> None:
    here.look(now=now)
    bad, bad_spec = starting(make_agent, now, "docker", "a\0b")
    good = LaunchSpec("good", 0, ("sleep", "60"), bad_spec.folder, environment="docker")
    here.start([bad_spec, good], now=now)
    bad.refresh_from_db()
    assert (bad.state, bad.reason) == ("failed", "cannot start: a NUL in its arguments")
    assert set(here.executors[1].alive()) == {"good"}
