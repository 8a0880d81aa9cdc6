"""The sections `mqtt` and `sensors` of the configuration: the broker, and what is kept.

Units stand in the names. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agents import names
from agents.config_readers import is_root, number, seconds, whole
from agents.quantities import format_memory, parse_memory

BROKER = re.compile(r"mqtts?://[A-Za-z0-9._\[\]:-]{1,200}", re.ASCII)
MAX_CHARS = 256
VOICES = ("none", "viewer", "operator", "editor")


@dataclass(frozen=True, slots=True)
class Mqtt:
    url: str = ""  # mqtt://host:1883 or mqtts://host:8883; "": no broker
    username: str = ""
    password: str = ""  # the name of a secret
    client_id: str = ""  # "": made from the machine's name
    ca_file: str = ""  # whom to trust beside the system's authorities
    keepalive_s: float = 30.0
    qos: int = 1
    max_payload_bytes: int = 65_536
    voice: str = "none"  # with whose rights what is said over it counts


@dataclass(frozen=True, slots=True)
class Sensors:
    readings: int = 1000  # kept of each sensor
    max_topics: int = 1000  # sensors that one filter may bring forth


def broker(value: object) -> str:
    if not isinstance(value, str) or (value and not BROKER.fullmatch(value)):
        raise ValueError
    return value.rstrip("/")


def voice(value: object) -> str:
    if not isinstance(value, str) or value not in VOICES:
        raise ValueError
    return value


def text(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_CHARS or not plain(value):
        raise ValueError
    return value


def plain(value: str) -> bool:
    return not value or value.isprintable()


def secret_name(value: object) -> str:
    return names.secret(value) if isinstance(value, str) and value else text(value)


def file(value: object) -> str:
    if not isinstance(value, str) or (value and not is_root(value)):
        raise ValueError
    return value


def payload(value: object) -> int:
    return whole(16, 2**24)(parse_memory(value, least=16))


Row = tuple[str, str, str, Callable[[object], Any], Callable[[Any], object]]


def as_is(value: Any) -> object:
    return value


ROWS: tuple[Row, ...] = (
    ("mqtt.url", "mqtt.url", 'such as "mqtt://broker:1883", or ""', broker, as_is),
    ("mqtt.username", "mqtt.username", "a text of at most 256 characters", text, as_is),
    ("mqtt.password", "mqtt.password", "the name of a secret", secret_name, as_is),
    ("mqtt.client_id", "mqtt.client_id", "a text, at most 256 characters", text, as_is),
    ("mqtt.ca_file", "mqtt.ca_file", "an absolute path", file, as_is),
    (
        *("mqtt.keepalive", "mqtt.keepalive_s", "seconds from 5 to 3600"),
        *(seconds(5, 3600), number),
    ),
    ("mqtt.voice", "mqtt.voice", f"one of {', '.join(VOICES)}", voice, as_is),
    ("mqtt.qos", "mqtt.qos", "0, 1 or 2", whole(0, 2), as_is),
    (
        *("mqtt.max_payload", "mqtt.max_payload_bytes"),
        *("an amount from 16 bytes to 16MiB, such as 64KiB", payload, format_memory),
    ),
    (
        *("sensors.readings", "sensors.readings"),
        *("a whole number from 1 to 100000", whole(1, 100_000), as_is),
    ),
    (
        *("sensors.max_topics", "sensors.max_topics"),
        *("a whole number from 1 to 100000", whole(1, 100_000), as_is),
    ),
)
