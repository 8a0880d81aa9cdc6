"""Voice assistants over MQTT, by the Hermes protocol: what was heard comes in, what
will happen is said back, and a "yes" to it has it done.

`hermes/asr/textCaptured` carries the text as `text`, `hermes/intent/#` as `input`. The
answer goes to `hermes/tts/say` of the same site. Whoever may publish to the broker
speaks with the rights that `mqtt.voice` names; a question asked back counts for two
minutes at the site it was put to.
"""

from __future__ import annotations

import logging
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from django.conf import settings

from agents import live_config, redis
from agents.errors import KosError
from scheduling import mqtt_hooks
from scheduling.mqtt_hooks import Message

log = logging.getLogger(__name__)
FILTERS = ("hermes/asr/textCaptured", "hermes/intent/#")
SAY = "hermes/tts/say"
YES = frozenset({"yes", "confirm", "do it", "yes please", "ok", "okay"})
NO = frozenset({"no", "cancel", "never mind"})
SILENT = "none"
LONGEST_SITE = 64


def keep_up() -> None:
    """Listen, or stop listening, as the configuration says."""
    wanted = live_config.current().mqtt.voice != SILENT
    if wanted == (FILTERS[0] in mqtt_hooks.HOOKS):
        return
    for topic_filter in FILTERS:
        if wanted:
            mqtt_hooks.on_message(topic_filter, heard)
        else:
            mqtt_hooks.HOOKS.pop(topic_filter, None)


def heard(message: Message) -> None:
    """Answer one utterance. What cannot be understood is said, too."""
    if message.retained:  # said long ago, to nobody who listens now
        return
    body = _body(message.payload)
    site = str(body.get("siteId") or "default")[:LONGEST_SITE]
    said = reply(message, site)
    told = {"text": said, "siteId": site, "sessionId": body.get("sessionId")}
    message.publish(SAY, orjson.dumps(told))


def reply(message: Message, site: str) -> str:
    from scheduling import voice, voice_acts  # the grammar: only where it is spoken

    zone = ZoneInfo(settings.TIME_ZONE)
    who = voice_acts.Speaker(f"voice:{site}", live_config.current().mqtt.voice, zone)
    try:
        text = voice.hermes(message.payload)
        words = text.lower().strip(" .!")
        if words in YES | NO:
            token = _pending(site)
            if token is None:
                return "There is nothing to confirm."
            if words in NO:
                return "Nothing was done."
            return str(voice_acts.confirm(token, who, now=message.at)["said"])
        understood = voice_acts.hear(text, who, now=message.at)
        told = voice_acts.answer(understood, who, now=message.at)
        if told["confirm"]:
            redis.connection().set(_key(site), told["confirm"], ex=voice_acts.TOKEN_S)
        return str(told["said"])
    except (KosError, ValueError) as refused:
        return str(refused)
    except redis.RedisError:
        return "Redis is away; nothing was done; say it again."


def _body(payload: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _pending(site: str) -> str | None:
    """The token of what was asked back at the site; taken away."""
    found: Any = redis.connection().getdel(_key(site))
    return None if found is None else bytes(found).decode()


def _key(site: str) -> str:
    return f"kos:voice:site:{site}"
