"""The broker's connection as the watching loop keeps it: made, changed and dropped as
the configuration and the sensors say. Nothing of MQTT is loaded where there is none.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agents import secret_store
from agents.config_mqtt import Mqtt
from scheduling import mqtt_state
from scheduling.conditions.intake import Intake
from scheduling.mqtt_hooks import HOOKS, Callback, Message
from scheduling.sensor_values import matcher, meets

if TYPE_CHECKING:
    from scheduling.mqtt import Broker, Login

log = logging.getLogger(__name__)
MOST_WAITING = 1000  # messages for callbacks
Call = Callable[[Callable[[], Any]], Awaitable[Any]]
OnMessage = Callable[[str, bytes, bool], None]


class Link:
    def __init__(self, on_message: OnMessage, intake: Intake) -> None:
        self.on_message = on_message
        self.intake = intake
        self.broker: Broker | None = None
        self.task: asyncio.Task[None] | None = None
        self.login: Login | None = None
        self.listeners = Listeners()

    async def keep(self, config: Mqtt, call: Call) -> None:
        """As the configuration and the sensors want it now. Tells how it stands."""
        filters = frozenset(self.intake.filters | HOOKS.keys())
        if not config.url or not filters:
            await self.drop()
            return
        try:
            login = await self._login(config, call)
        except secret_store.Missing as missing:
            await self.drop()
            await self._tell(call, error=str(missing))
            return
        if login != self.login:
            await self.drop()
            self._make(login)
        assert self.broker is not None
        self.broker.want(filters)
        await self._tell(call)

    async def _login(self, config: Mqtt, call: Call) -> Login:
        from scheduling.mqtt import Login  # 15 MB: only where a broker is named

        if not config.password:
            return Login(config)
        found = await call(lambda: secret_store.values({config.password}))
        return Login(config, found[config.password])

    def _make(self, login: Login) -> None:
        from scheduling.mqtt import Broker

        self.login = login
        self.broker = Broker(login, self._came, self.intake.connected)
        self.task = asyncio.create_task(self.broker.run())

    def _came(self, topic: str, payload: bytes, retained: bool) -> None:
        self.on_message(topic, payload, retained)
        if HOOKS and self.broker is not None:
            self.listeners.hear(topic, payload, retained, self.broker.publish)

    async def _tell(self, call: Call, **more: Any) -> None:
        state = {} if self.broker is None else self.broker.state()
        state |= {"messages": self.intake.messages, **more}
        await call(lambda: mqtt_state.write(state))

    async def drop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task
        self.broker = self.task = self.login = None

    def close(self) -> None:
        self.listeners.close()


class Listeners:
    """Calls who asked for messages, in a thread of their own, in order."""

    def __init__(self) -> None:
        self.waiting = 0
        self.pool: ThreadPoolExecutor | None = None
        self.patterns: dict[str, re.Pattern[str]] = {}

    def hear(
        self,
        topic: str,
        payload: bytes,
        retained: bool,
        publish: Callable[[str, bytes], None],
    ) -> None:
        at = datetime.now(UTC)  # noqa: TID251 - when it came
        for topic_filter, callbacks in HOOKS.items():
            if topic_filter not in self.patterns:
                self.patterns[topic_filter] = matcher(topic_filter)
            if meets(self.patterns[topic_filter], topic) is None:
                continue
            message = Message(topic, payload, retained, at, publish)
            for callback in callbacks:
                self._submit(callback, message)

    def _submit(self, callback: Callback, message: Message) -> None:
        if self.waiting >= MOST_WAITING:
            log.warning("a message was dropped", extra={"topic": message.topic})
            return
        if self.pool is None:
            self.pool = ThreadPoolExecutor(1, thread_name_prefix="mqtt-hooks")
        self.waiting += 1
        self.pool.submit(self._call, callback, message)

    def _call(self, callback: Callback, message: Message) -> None:
        from django.db import close_old_connections

        try:
            callback(message)
        except Exception:  # whoever listens breaks nobody else
            log.exception("a listener failed", extra={"topic": message.topic})
            close_old_connections()
        finally:
            self.waiting -= 1

    def close(self) -> None:
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)
