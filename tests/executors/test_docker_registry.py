"""Images from a real registry that asks for a password."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.errors import ImageNotFound

from agents.executors.base import Container
from tests.executors.docker_bench import DockerBench
from tests.executors.docker_daemon import BUSYBOX, Daemon
from tests.waiting import wait_for

AT = "127.0.0.1:5077"
AUTH = {"username": "kos", "password": "secret"}
USERS = "kos:$2b$04$KIS6eV3uRphhovBNRI6cj.P.tj4c79PwHmFMYU9Yx9vRoQiJY7/zO\n"
IMAGE = f"{AT}/kos/says"
CONFIG = {
    "version": "0.1",
    "log": {"level": "error"},
    "http": {"addr": AT},
    "auth": {"htpasswd": {"realm": "tests"}},
    "storage": {"filesystem": {}},
}


class Registry:
    """`publish` makes an image that says a word, pushes it and forgets it here."""

    def __init__(self, dockerd: Daemon) -> None:
        self.dockerd = dockerd

    def publish(self, word: str, *, keep: bool = False) -> None:
        self.dockerd.derive(IMAGE, BUSYBOX, f"echo {word}")
        with contextlib.closing(self.dockerd.client()) as client:
            said = client.push(IMAGE, auth_config=AUTH, stream=True, decode=True)
            assert [line for line in said if "error" in line] == []
        if not keep:
            self.forget()

    def forget(self) -> None:
        with contextlib.closing(self.dockerd.client()) as client:
            for image in client.images(IMAGE):
                for name in [*(image["RepoTags"] or []), *(image["RepoDigests"] or [])]:
                    with contextlib.suppress(ImageNotFound):
                        client.remove_image(name, force=True)


@pytest.fixture
def registry(dockerd: Daemon, tmp_path: Path) -> Iterator[Registry]:
    config = json.loads(json.dumps(CONFIG))
    config["auth"]["htpasswd"]["path"] = str(tmp_path / "users")
    config["storage"]["filesystem"]["rootdirectory"] = str(tmp_path / "images")
    (tmp_path / "users").write_text(USERS)
    (tmp_path / "registry.yml").write_text(json.dumps(config))
    command = ["docker-registry", "serve", str(tmp_path / "registry.yml")]
    server = subprocess.Popen(
        [*dockerd.in_its_network, *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    asked = [*dockerd.in_its_network, "curl", "-s", f"http://{AT}/v2/"]
    wait_for(lambda: not subprocess.run(asked, stdout=subprocess.DEVNULL).returncode)
    found = Registry(dockerd)
    try:
        yield found
        found.forget()
    finally:
        server.terminate()
        server.wait(10)


def said(bench: DockerBench, pull: str) -> str:
    container = Container(IMAGE, pull=pull, registry_auth=AUTH)
    uid = bench.start(container=container, mounts=())
    assert bench.ended(uid).exit_code == 0
    return bench.text(uid).strip()


def why_not(bench: DockerBench, container: Container) -> str:
    uid = bench.start("true", container=container, mounts=())
    return bench.not_started(uid).reason


def test_a_missing_image_is_pulled_with_the_password_given(
    docker_bench: DockerBench, registry: Registry
) -> None:
    registry.publish("first")
    assert said(docker_bench, "missing") == "first"


def test_an_image_that_is_here_is_pulled_again_only_when_told(
    docker_bench: DockerBench, registry: Registry
) -> None:
    registry.publish("first")
    assert said(docker_bench, "missing") == "first"
    with contextlib.closing(registry.dockerd.client()) as client:
        client.tag(IMAGE, "kos/first")
    registry.publish("second")
    with contextlib.closing(registry.dockerd.client()) as client:
        client.tag("kos/first", IMAGE)
    assert said(docker_bench, "never") == "first"
    assert said(docker_bench, "missing") == "first"
    assert said(docker_bench, "always") == "second"


def test_an_image_is_pulled_by_its_digest(
    docker_bench: DockerBench, registry: Registry
) -> None:
    registry.publish("exact", keep=True)
    with contextlib.closing(registry.dockerd.client()) as client:
        [digest] = client.inspect_image(IMAGE)["RepoDigests"]
    registry.forget()
    container = Container(digest, registry_auth=AUTH)
    uid = docker_bench.start(container=container, mounts=())
    assert docker_bench.ended(uid).exit_code == 0
    assert docker_bench.text(uid) == "exact\n"


def test_what_a_registry_says_no_to_is_told_in_words(
    docker_bench: DockerBench, registry: Registry
) -> None:
    registry.publish("first")
    unknown = Container(f"{IMAGE}:2", registry_auth=AUTH)
    assert why_not(docker_bench, unknown) == f"no such image: {IMAGE}:2"
    wrong = Container(IMAGE, registry_auth={**AUTH, "password": "wrong"})
    for container in (Container(IMAGE), wrong):
        assert why_not(docker_bench, container) == (
            f"no such image: {IMAGE} "
            "(it is not here, and its registry asks for registry_auth)"
        )


def test_a_registry_that_is_not_there_is_told_in_words(
    docker_bench: DockerBench,
) -> None:
    image = "127.0.0.1:5998/kos/none"
    reason = why_not(docker_bench, Container(image, pull="always"))
    assert reason.startswith(
        f"no such image: {image} (it is not here, and its registry cannot be reached"
    )
