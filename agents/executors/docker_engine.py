"""The one door to the Docker SDK: what we ask of an engine, and its errors in words."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException
from docker.types import CancellableStream
from docker.types import DeviceRequest as DeviceRequest
from docker.types import LogConfig as LogConfig
from docker.types import Mount as Mount
from docker.types import Ulimit as Ulimit
from docker.utils import parse_repository_tag

from agents.executors.base import Unavailable

USUAL_SOCKET = "unix:///var/run/docker.sock"
ANSWER_WITHIN_S = 120
NODE, UID, TOKEN = "kos.node", "kos.uid", "kos.token"  # labels
NO_CONNECTION = ("dial", "timeout", "no such host", "eof", "connection re", "read tcp")
Json = dict[str, Any]


class Refusal(Exception):
    """The engine will not do it; the text is for people."""


class NameTaken(Exception):
    """A container of that name is there already."""


class NoImage(Exception):
    """The image is not here."""


class Conflict(Exception):
    """The container's state does not allow it (it runs, it is over, it is frozen)."""


class Gone(Exception):
    """There is no such container."""


class Events:
    """What an engine tells, one after another, until it goes or somebody hangs up."""

    def __init__(self, answer: requests.Response) -> None:
        self._answer = answer
        self._lines = CancellableStream(answer.iter_lines(), answer)

    def __iter__(self) -> Iterator[Json]:
        try:
            for line in self._lines:
                yield json.loads(line)
        except (requests.RequestException, OSError, ValueError, AttributeError):
            return  # the last one: hung up by another thread while we read

    def close(self) -> None:
        """By the thread that listens."""
        self._answer.close()

    def hang_up(self) -> None:
        """From any thread: whoever listens comes to the end."""
        with suppress(OSError, ValueError, AttributeError):  # at its end already
            self._lines.close()


class Engine:
    """One Docker engine on this machine. Any thread may call any method.

    Every method raises Unavailable when the engine does not answer.
    """

    def __init__(self, base_url: str | None = None) -> None:
        self.base_url = base_url or os.environ.get("DOCKER_HOST") or USUAL_SOCKET
        self.version = ""
        self._of_thread = threading.local()
        self._made: list[Any] = []

    # -- the engine itself ------------------------------------------------------------

    def need(self) -> None:
        """Raises Unavailable when nobody listens."""
        with self._words():
            self._knock()

    def info(self) -> Json:
        """What the engine says of itself. Raises Unavailable, saying what to do."""
        if not self.base_url.startswith("unix://"):
            raise Unavailable(
                f"Docker at {self.base_url} may be another machine: runs need the "
                "engine of this one, by its unix socket (unix:///path)"
            )
        with self._words():
            found: Json = self._api().info()
            return found

    def events(self, node: str, since_s: int) -> Events:
        """Ends and removals of the node's containers, as they happen. What happened
        since `since_s` (wall clock) comes first."""
        filters = {
            "type": ["container"],
            "label": [f"{NODE}={node}"],
            "event": ["die", "destroy"],
        }
        with self._words():
            api = self._api()
            answer = api.get(
                f"{api.base_url}/v{api.api_version}/events",
                params={"since": since_s, "filters": json.dumps(filters)},
                stream=True,
                timeout=None,
            )
            return Events(answer)

    def listed(self, node: str) -> list[Json]:
        """All containers of the node, running or not."""
        with self._words():
            filters = {"label": f"{NODE}={node}"}
            found: list[Json] = self._api().containers(all=True, filters=filters)
            return found

    def close(self) -> None:
        """Let go of all connections."""
        while self._made:
            self._made.pop().close()
        self._of_thread = threading.local()

    # -- images -----------------------------------------------------------------------

    def pull(self, image: str, auth: Mapping[str, str] | None) -> None:
        """Raises Refusal beginning with "no such image"."""
        name, tag = _repository_and_tag(image)
        try:
            with self._words():
                said = self._api().pull(
                    name,
                    tag=tag,
                    auth_config=dict(auth) if auth else None,
                    stream=True,
                    decode=True,
                )
                for line in said:
                    if "error" in line:
                        raise Refusal(str(line["error"]))
        except NoImage:
            raise Refusal(f"no such image: {image}") from None
        except Refusal as refusal:
            raise Refusal(_why_no_image(image, str(refusal))) from None

    def image_command(self, image: str) -> list[str]:
        """What the image runs when nothing is named. Raises NoImage."""
        with self._words():
            config: Json = self._api().inspect_image(image).get("Config") or {}
        return [*(config.get("Entrypoint") or []), *(config.get("Cmd") or [])]

    # -- containers -------------------------------------------------------------------

    def create(self, name: str, host: Json, config: Json) -> str:
        """Returns its id. Raises NameTaken, NoImage, Refusal."""
        with self._words():
            api = self._api()
            made = api.create_container_config(
                **config, host_config=api.create_host_config(**host)
            )
            made.update({"Healthcheck": {"Test": ["NONE"]}})
            try:
                answer: Json = api.create_container_from_config(made, name)
            except APIError as error:
                if error.status_code == 409:
                    raise NameTaken(name) from None
                raise
            return str(answer["Id"])

    def start(self, container: str) -> None:
        """Silent when it was started already. Raises Refusal."""
        with self._words():
            self._api().start(container)

    def inspect(self, container: str) -> Json | None:
        """By id or name; None when there is none."""
        try:
            with self._words():
                found: Json = self._api().inspect_container(container)
                return found
        except (NoImage, Gone):
            return None

    def remove(self, container: str, *, force: bool = False) -> bool:
        """False when it is alive (and not forced to go). True when it is no more."""
        try:
            with self._words():
                self._api().remove_container(container, v=True, force=force)
        except Gone:
            return True
        except Conflict as conflict:
            return "already in progress" in str(conflict)
        return True

    def signal(self, container: str, number: int) -> bool:
        """Send it to the container's first process. False when there is none."""
        return self._quietly(lambda api: api.kill(container, int(number)))

    def pause(self, container: str) -> bool:
        return self._quietly(lambda api: api.pause(container))

    def unpause(self, container: str) -> bool:
        return self._quietly(lambda api: api.unpause(container))

    def update(self, container: str, body: Json) -> bool:
        """Change limits. Raises Refusal where the kernel does."""
        return self._quietly(lambda api: _update(api, container, body))

    # -- inside -----------------------------------------------------------------------

    def _quietly(self, ask: Callable[[Any], object]) -> bool:
        try:
            with self._words():
                ask(self._api())
        except (Gone, NoImage, Conflict):
            return False
        return True

    def _api(self) -> Any:
        """A client of this thread's own: they are not made to be shared."""
        self._knock()  # the SDK leaks its socket when it is refused
        api = getattr(self._of_thread, "api", None)
        if api is None:
            with self._words():
                api = docker.APIClient(
                    base_url=self.base_url,
                    version=self.version or "auto",
                    timeout=ANSWER_WITHIN_S,
                )
            self.version = str(api.api_version)
            self._of_thread.api = api
            self._made.append(api)
        return api

    def _knock(self) -> None:
        with socket.socket(socket.AF_UNIX) as door:
            door.connect(self.base_url.removeprefix("unix://"))

    @contextmanager
    def _words(self) -> Iterator[None]:
        """Errors of the SDK as ours."""
        try:
            yield
        except APIError as error:
            raise _translated(error) from None
        except (requests.RequestException, DockerException, OSError) as error:
            raise Unavailable(
                f"Docker does not answer at {self.base_url} ({_brief(error)}): start "
                "it (systemctl start docker), or let the node's user open that socket"
            ) from None


def _translated(error: APIError) -> Exception:
    said = str(error.explanation or error)
    known = {404: Gone, 409: Conflict, 304: Conflict}
    if error.status_code == 404 and "image" in said.lower():
        return NoImage(said)
    if "is not running" in said or "is not paused" in said or "already paused" in said:
        return Conflict(said)
    kind = known.get(error.status_code or 500, Refusal)
    return kind(" ".join(said.split()))


def _update(api: Any, container: str, body: Json) -> None:
    """The SDK's own call leaves out the limit of processes."""
    url = f"{api.base_url}/v{api.api_version}/containers/{container}/update"
    answer = api.post(url, json=body, timeout=ANSWER_WITHIN_S)
    if answer.status_code >= 400:
        said = str(answer.json().get("message", answer.reason))
        raise APIError(said, response=answer, explanation=said)


def _repository_and_tag(image: str) -> tuple[str, str | None]:
    name, tag = parse_repository_tag(image)
    return name, tag or "latest"


def _why_no_image(image: str, said: str) -> str:
    low = said.lower()
    sentence = f"no such image: {image}"
    if "manifest unknown" in low or ("not found" in low and "dial" not in low):
        return sentence
    if "unauthorized" in low or "no basic auth" in low or "incorrect user" in low:
        return f"{sentence} (it is not here, and its registry asks for registry_auth)"
    if "denied" in low:
        return f"{sentence} (or its registry lets nobody see it without registry_auth)"
    if any(word in low for word in NO_CONNECTION):
        return (
            f"{sentence} (it is not here, and its registry cannot be reached: {said})"
        )
    return f"{sentence} ({said})"


def _brief(error: Exception) -> str:
    """The innermost cause: the layers above it say it all over again."""
    inner: BaseException = error
    while (following := inner.__cause__ or inner.__context__) is not None:
        inner = following
    return str(inner) or type(inner).__name__
