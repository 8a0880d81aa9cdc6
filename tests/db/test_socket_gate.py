"""Who may open the live feed, and what happens when they may no longer."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import Group
from rest_framework.test import APIClient

from kos_scheduler import tokens
from kos_scheduler.socket_gate import SocketGate
from tests.conftest import NOON

pytestmark = pytest.mark.django_db(transaction=True)


async def scope_with(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    """What the consumer is told about a client with these headers."""
    told: dict[str, Any] = {}

    async def consumer(scope: Any, receive: Any, send: Any) -> None:
        told.update(scope)

    await SocketGate(consumer)({"type": "websocket", "headers": headers}, None, None)
    return told


def cookie_of(client: APIClient) -> tuple[bytes, bytes]:
    return b"cookie", f"kos_session={client.cookies['kos_session'].value}".encode()


def bearer(role: str = "viewer") -> tuple[bytes, bytes]:
    _, text = tokens.issue("feed", role, actor="user:test", now=NOON)
    return b"authorization", f"Bearer {text}".encode()


async def test_a_token_and_a_session_carry_their_role(client_of: Any) -> None:
    by_token = await scope_with(await sync_to_async(bearer)("editor"))
    assert (by_token["actor"], by_token["kos_role"]) == ("token:feed", "editor")
    client = await sync_to_async(client_of)("viewer")
    by_session = await scope_with(cookie_of(client))
    assert (by_session["actor"], by_session["kos_role"]) == ("user:viewer", "viewer")


@pytest.mark.parametrize(
    "header",
    [
        (b"x", b"y"),
        (b"cookie", b"kos_session=forged"),
        (b"cookie", b"kos_session="),
        (b"cookie", b"\xff\xfe;;=\x00"),
        (b"authorization", b"Bearer kos_wrong"),
        (b"authorization", b"Basic \xff"),
    ],
)
async def test_anyone_else_has_no_role(header: tuple[bytes, bytes]) -> None:
    told = await scope_with(header)
    assert (told["actor"], told["kos_role"]) == ("anonymous", "")


async def test_a_revoked_token_and_a_changed_role_are_noticed(
    client_of: Any, user_of: Any
) -> None:
    held = await scope_with(await sync_to_async(bearer)())
    assert await held["kos_still_allowed"]()
    await sync_to_async(tokens.ApiToken.objects.update)(revoked_at=NOON)
    assert not await held["kos_still_allowed"]()

    client = await sync_to_async(client_of)("editor")
    session = await scope_with(cookie_of(client))
    assert await session["kos_still_allowed"]()
    viewers = await sync_to_async(Group.objects.get)(name="viewer")
    user = await sync_to_async(user_of)("editor")
    await sync_to_async(user.groups.set)([viewers])
    assert not await session["kos_still_allowed"]()


async def test_a_socket_without_a_role_is_closed() -> None:
    from kos_scheduler.asgi import application

    headers = [(b"host", b"localhost"), (b"origin", b"http://localhost")]
    socket = WebsocketCommunicator(application, "/ws/live", headers)
    await socket.connect()
    closed = await socket.receive_output(5)
    assert (closed["type"], closed["code"]) == ("websocket.close", 4401)
