"""What the process that holds the connection tells of it; kept in Redis for a while."""

from __future__ import annotations

from typing import Any

import orjson

from agents import live_config, redis

KEY = "kos:mqtt"
KEPT_S = 15  # a process that died says nothing any more


def write(state: dict[str, Any]) -> None:
    try:
        redis.connection().set(KEY, orjson.dumps(state), ex=KEPT_S)
    except redis.RedisError:
        return  # told again in a moment


def read() -> dict[str, Any]:
    url = live_config.current().mqtt.url
    state: dict[str, Any] = {
        "url": url or None,
        "connected": False,
        "since": None,
        "error": None,
    }
    state |= {"subscriptions": 0, "messages": 0}
    if not url:
        return state
    try:
        told = redis.connection().get(KEY)
    except redis.RedisError:
        return {**state, "error": "Redis does not answer"}
    if not isinstance(told, bytes):
        return {**state, "error": "no worker holds the connection"}
    return {**state, **orjson.loads(told), "url": url}
