"""What the values of configuration keys may be, and how they are written back. Pure.

Each reader takes a value as a file holds it and raises TypeError or ValueError where
it is not allowed; the key says in words what is.
"""

from __future__ import annotations

from collections.abc import Callable

from agents.quantities import parse_duration, parse_memory


def whole(least: int, most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError
        if not least <= value <= most:
            raise ValueError
        return value

    return read


def seconds(least_s: float, most_s: float) -> Callable[[object], float]:
    def read(value: object) -> float:
        if isinstance(value, str) and value[-1:].isdigit():
            raise TypeError  # "5": a number in quotes is a mistake
        return parse_duration(value, least_s=least_s, most_s=most_s)

    return read


def number(value: float) -> float | int:
    """5.0 is written 5."""
    return int(value) if float(value).is_integer() else value


def boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def percent(fraction: float) -> str:
    return f"{round(fraction * 100, 7):g}%"


def size(least: int, most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        return whole(least, most)(parse_memory(value, least=least))

    return read


def word(value: object) -> str:
    """A host name, or "" for the machine's own."""
    if not isinstance(value, str) or len(value) > 64:
        raise ValueError
    if value and not value.replace("-", "").replace(".", "").isalnum():
        raise ValueError
    if not value.isascii():
        raise ValueError
    return value


def texts(test: Callable[[str], bool]) -> Callable[[object], tuple[str, ...]]:
    def read(value: object) -> tuple[str, ...]:
        if not isinstance(value, list | tuple) or len(value) > 100:
            raise TypeError
        if not all(isinstance(one, str) and test(one) for one in value):
            raise ValueError
        return tuple(value)

    return read


def is_root(path: str) -> bool:
    parts = path.split("/")
    return path.startswith("/") and ".." not in parts and path.isprintable()


def is_user(name: str) -> bool:
    plain = name.replace("-", "").replace("_", "").replace(".", "")
    return plain.isalnum() and name.isascii() and not name.startswith("-")


def durations(
    least_s: float, most_s: float, *, most: int
) -> Callable[[object], tuple[float, ...]]:
    def read(value: object) -> tuple[float, ...]:
        if not isinstance(value, list | tuple) or len(value) > most:
            raise TypeError
        return tuple(seconds(least_s, most_s)(one) for one in value)

    return read


def numbers(values: tuple[float, ...]) -> list[float | int]:
    return [number(value) for value in values]
