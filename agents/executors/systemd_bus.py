"""The wire to systemd: D-Bus calls to its manager, and what it tells of units.

The only module that knows the D-Bus library. Everything here runs in one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.unpack import unpack_variants

from agents.executors.base import Unavailable

SYSTEMD = "org.freedesktop.systemd1"
PATH = "/org/freedesktop/systemd1"
UNITS = f"{PATH}/unit/"
DBUS = "org.freedesktop.DBus"
PROPERTIES = f"{DBUS}.Properties"
HEARD = (
    f"type='signal',sender='{SYSTEMD}',member='JobRemoved'",
    f"type='signal',sender='{SYSTEMD}',member='UnitRemoved'",
    f"type='signal',sender='{SYSTEMD}',interface='{PROPERTIES}',"
    f"member='PropertiesChanged',path_namespace='{PATH}/unit'",
    f"type='signal',sender='{DBUS}',member='NameOwnerChanged',arg0='{SYSTEMD}'",
)
# the bus itself answers so when systemd is away, or goes before it has answered
NOBODY = {
    f"{DBUS}.Error.{name}"
    for name in (
        "Disconnected",
        "LimitsExceeded",
        "NameHasNoOwner",
        "NoReply",
        "ServiceUnknown",
        "Timeout",
        "TimedOut",
    )
}
ANSWER_WITHIN_S = 20.0  # systemd answers in milliseconds; a reload takes seconds
CLOSED_WITHIN_S = 2.0

Property = tuple[str, str, Any]  # name, D-Bus signature, value


@dataclass(frozen=True, slots=True)
class JobOver:
    """systemd has dealt with a job of this unit: "done", "failed", "assert" …"""

    unit: str
    result: str


@dataclass(frozen=True, slots=True)
class Changed:
    """These properties of the unit have these values now."""

    unit: str
    properties: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Removed:
    """systemd knows nothing of the unit any more."""

    unit: str


Event = JobOver | Changed | Removed


class Refusal(Exception):
    """systemd said no. `name` is the D-Bus name of the error."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name.rpartition(".")[2]


class Bus:
    """A connection to one systemd manager. `lost` is set when it is no more."""

    def __init__(self, wire: MessageBus, heard: Callable[[Event], None]) -> None:
        self._wire = wire
        self._heard = heard
        self.lost = asyncio.Event()
        self._watching = asyncio.ensure_future(self._watch())

    async def call(self, member: str, signature: str = "", *body: Any) -> list[Any]:
        """Ask the manager. Raises Refusal, and Unavailable when nothing answers: it
        may then have been heard."""
        return await self._ask(
            Message(
                destination=SYSTEMD,
                path=PATH,
                interface=f"{SYSTEMD}.Manager",
                member=member,
                signature=signature,
                body=list(body),
            )
        )

    async def properties(self, unit: str, interface: str = "Unit") -> dict[str, Any]:
        """All properties of a loaded unit. Raises as `call`."""
        [path] = await self.call("GetUnit", "s", unit)
        found = await self._ask(_get_all(path, f"{SYSTEMD}.{interface}"))
        return dict(found[0])

    async def manager(self) -> dict[str, Any]:
        """All properties of the manager itself."""
        return dict((await self._ask(_get_all(PATH, f"{SYSTEMD}.Manager")))[0])

    async def is_users(self) -> bool:
        """Whether it is a user's systemd, not the machine's: that is process 1."""
        asked = Message(
            destination=DBUS,
            path="/org/freedesktop/DBus",
            interface=DBUS,
            member="GetConnectionUnixProcessID",
            signature="s",
            body=[SYSTEMD],
        )
        return bool((await self._ask(asked))[0] != 1)

    async def start_unit(self, name: str, properties: Sequence[Property]) -> None:
        """Have a transient unit started. Returns once systemd has accepted it."""
        given = [[key, Variant(kind, value)] for key, kind, value in properties]
        await self.call(
            "StartTransientUnit", "ssa(sv)a(sa(sv))", name, "fail", given, []
        )

    async def set_properties(self, name: str, properties: Sequence[Property]) -> None:
        given = [[key, Variant(kind, value)] for key, kind, value in properties]
        await self.call("SetUnitProperties", "sba(sv)", name, True, given)

    def close(self) -> None:
        self._wire.disconnect()
        self.lost.set()

    async def closed(self) -> None:
        """Return when nothing of the connection is left."""
        await asyncio.wait({self._watching}, timeout=CLOSED_WITHIN_S)

    async def listen(self) -> None:
        """Hear from now on what systemd tells. Raises as `call`."""
        self._wire.add_message_handler(self._take)
        for rule in HEARD:
            await self._ask(
                Message(
                    destination=DBUS,
                    path="/org/freedesktop/DBus",
                    interface=DBUS,
                    member="AddMatch",
                    signature="s",
                    body=[rule],
                )
            )
        await self.call("Subscribe")

    async def _watch(self) -> None:
        with contextlib.suppress(Exception):  # whatever ended it, it is over
            await self._wire.wait_for_disconnect()  # type: ignore[no-untyped-call]
        self.lost.set()

    async def _ask(self, message: Message) -> list[Any]:
        answering = asyncio.ensure_future(self._wire.call(message))
        losing = asyncio.ensure_future(self.lost.wait())
        try:
            done, _ = await asyncio.wait(
                (answering, losing),
                timeout=ANSWER_WITHIN_S,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            losing.cancel()
            answering.add_done_callback(_hush)
        if not done:
            answering.cancel()
        if answering not in done:
            raise Unavailable(f"systemd did not answer {message.member}")
        if (error := answering.exception()) is not None:
            if isinstance(error, OSError | EOFError) or self.lost.is_set():
                raise Unavailable(f"the connection to systemd broke: {error}")
            raise Refusal("Unsendable", f"it cannot be put into a message: {error}")
        reply = answering.result()
        if reply is None:
            raise Unavailable("the connection to systemd broke")
        if reply.message_type is MessageType.ERROR:
            text = str(reply.body[0]) if reply.body else ""
            if reply.error_name in NOBODY:
                raise Unavailable(f"systemd is not there to answer: {text}")
            raise Refusal(reply.error_name or "", text)
        return list(unpack_variants(reply.body))

    def _take(self, message: Message) -> None:
        if message.message_type is not MessageType.SIGNAL:
            return
        if message.member == "NameOwnerChanged":
            self.lost.set()  # another systemd: subscribe and look again
            return
        event = _event(message)
        if event is not None:
            self._heard(event)


def _hush(answering: asyncio.Task[Message]) -> None:
    """Its error, should it have one yet, is that of the connection."""
    if not answering.cancelled():
        answering.exception()


def tell_trouble(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An exception handler for the loop: the library leaves the error of a write into
    a broken connection to nobody, and that it broke is known."""
    is_of_a_task = isinstance(context.get("future"), asyncio.Task)
    if is_of_a_task or not isinstance(context.get("exception"), OSError | EOFError):
        loop.default_exception_handler(context)


def _event(message: Message) -> Event | None:
    body = message.body
    if message.member == "JobRemoved":
        return JobOver(body[2], body[3])
    if message.member == "UnitRemoved":
        return Removed(body[0])
    if message.member == "PropertiesChanged" and message.path is not None:
        return Changed(unit_of(message.path), unpack_variants(body[1]))
    return None


def unit_of(path: str) -> str:
    """The unit that a D-Bus object path names."""
    escaped = path.removeprefix(UNITS)
    return re.sub("_([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), escaped)


def _get_all(path: str, interface: str) -> Message:
    return Message(
        destination=SYSTEMD,
        path=path,
        interface=PROPERTIES,
        member="GetAll",
        signature="s",
        body=[interface],
    )


def address_of(bus: str) -> str:
    """Where the bus named "system", "user" or by its address is. Raises Unavailable."""
    if bus == "system":
        usual = "unix:path=/run/dbus/system_bus_socket"
        return os.environ.get("DBUS_SYSTEM_BUS_ADDRESS") or usual
    if bus != "user":
        return bus
    if told := os.environ.get("DBUS_SESSION_BUS_ADDRESS"):
        return told
    if place := os.environ.get("XDG_RUNTIME_DIR"):
        return f"unix:path={place}/bus"
    raise Unavailable(
        "no systemd of this user: log in as it, or `loginctl enable-linger` it and "
        "set XDG_RUNTIME_DIR"
    )


async def connect(bus: str, heard: Callable[[Event], None]) -> Bus:
    """Connect and subscribe. Raises Unavailable, saying what to do."""
    address = address_of(bus)
    try:
        wire = await asyncio.wait_for(
            MessageBus(bus_address=address).connect(), ANSWER_WITHIN_S
        )
    except Exception as error:  # of many kinds when it breaks half-way
        raise Unavailable(
            f"no systemd to be reached at {address} ({error}): start systemd and "
            "D-Bus there, or run these agents in another environment"
        ) from None
    connection = Bus(wire, heard)
    try:
        await connection.listen()
    except BaseException as error:  # cancelled, too
        connection.close()
        await connection.closed()
        if not isinstance(error, Unavailable | Refusal):
            raise
        raise Unavailable(f"no systemd behind the bus at {address}: {error}") from None
    return connection
