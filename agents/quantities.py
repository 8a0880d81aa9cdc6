"""Amounts as people write them, into whole numbers of one unit: one parser each.

Strict on purpose: only ASCII digits, no exponents, no sign, no space, no unit that can
be read two ways. What is refused is refused with a sentence that shows the right form.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal

LEAST_MEMORY_BYTES = 10**6  # no interpreter starts in less
MOST_MEMORY_BYTES = 10**15  # 1 PB; larger than any machine, far below 2^63
MOST_CPU_MILLIS = 1024 * 1000  # cores of the largest machines sold
MOST_DURATION_S = 366 * 86_400.0
MOST_BANDWIDTH_BPS = 10**13  # 10 Tbit/s

NUMBER = r"(?P<number>(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,9})?)"
AMOUNT = re.compile(NUMBER + r"(?P<unit>[A-Za-z%]*)", re.ASCII)
DURATION = re.compile(rf"(?:{NUMBER.replace('?P<number>', '')}(?:ms|s|m|h|d))+")
DURATION_PART = re.compile(r"([0-9.]+)(ms|s|m|h|d)")

MEMORY_UNITS = {
    "": 1, "B": 1,
    "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "PiB": 2**50,
}  # fmt: skip
BANDWIDTH_UNITS = {"": 1, "bit": 1, "kbit": 10**3, "Mbit": 10**6, "Gbit": 10**9}
SECONDS = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86_400),
}
MEMORY_FORM = (
    'expected an amount of memory such as "4GB", "512MiB" or bytes as a number'
)
CPU_FORM = 'expected cores such as 2, 0.5 or "500m"'
PERCENT_FORM = 'expected a percentage such as "85%"'
DURATION_FORM = 'expected a duration such as 30, "30s", "5m" or "1h30m"'
BANDWIDTH_FORM = 'expected bits per second such as "100Mbit" or a number'


class QuantityError(ValueError):
    """The text is not such an amount, or out of range; the message is for people."""


def parse_memory(value: object, *, least: int = LEAST_MEMORY_BYTES) -> int:
    """Bytes of "4GB" (4·10^9), "512MiB" (512·2^20) or a whole number of bytes.

    Raises QuantityError, also outside `least` to 1 PB and for a part of a byte.
    """
    size = _scaled(value, MEMORY_UNITS, MEMORY_FORM, ambiguous=_unclear_memory_unit)
    if not least <= size <= MOST_MEMORY_BYTES:
        raise QuantityError(
            f"memory must be between {format_memory(least)} and 1PB, not {shown(value)}"
        )
    return _whole(size, "bytes", value)


def parse_cpu(value: object) -> int:
    """Thousandths of a core of 2, 0.5, "2" or "500m". Raises QuantityError."""
    millis = _number(value, CPU_FORM) * 1000 if not isinstance(value, str) else None
    if isinstance(value, str):
        millis = _scaled(value, {"": 1000, "m": 1}, CPU_FORM)
    if millis is None or not 0 < millis <= MOST_CPU_MILLIS:
        raise QuantityError(
            f"cpu must be more than 0 and at most {MOST_CPU_MILLIS // 1000} cores, "
            f"not {shown(value)}"
        )
    if millis != int(millis):
        raise QuantityError(
            f"cpu is counted in thousandths of a core; {shown(value)} is finer"
        )
    return int(millis)


def parse_percent(value: object) -> float:
    """0.85 of "85%". Raises QuantityError outside (0%, 100%]."""
    match = AMOUNT.fullmatch(value) if isinstance(value, str) else None
    if match is None or match["unit"] != "%":
        raise QuantityError(f"{PERCENT_FORM}, not {shown(value)}")
    percent = Decimal(match["number"])
    if not 0 < percent <= 100:
        raise QuantityError(f"expected more than 0% and at most 100%, not {value}")
    return float(percent / 100)


def parse_duration(
    value: object, *, least_s: float = 0.001, most_s: float = MOST_DURATION_S
) -> float:
    """Seconds of 30, 0.5, "30s", "500ms", "5m", "1h30m", "2d".

    Raises QuantityError, also outside least_s to most_s.
    """
    if isinstance(value, str):
        seconds = _compound_seconds(value)
    else:
        seconds = float(_number(value, DURATION_FORM))
    if not least_s <= seconds <= most_s:
        raise QuantityError(
            f"must be between {format_duration(least_s)} and "
            f"{format_duration(most_s)}, not {shown(value)}"
        )
    return seconds


def parse_bandwidth(value: object) -> int:
    """Bits per second of "100Mbit" or a whole number. Raises QuantityError."""
    bits = _scaled(value, BANDWIDTH_UNITS, BANDWIDTH_FORM)
    if not 1 <= bits <= MOST_BANDWIDTH_BPS:
        raise QuantityError(f"must be between 1bit and 10000Gbit, not {shown(value)}")
    return _whole(bits, "bits", value)


def format_memory(size_bytes: int) -> str:
    """The shortest form that parses back to exactly this size."""
    return _shortest(size_bytes, {u: n for u, n in MEMORY_UNITS.items() if u != "kB"})


def format_bandwidth(bps: int) -> str:
    return _shortest(bps, BANDWIDTH_UNITS)


def format_cpu(cpu_millis: int) -> int | float:
    """Cores as a number: 2 or 0.5; parses back to exactly these millis."""
    whole, rest = divmod(cpu_millis, 1000)
    return cpu_millis / 1000 if rest else whole


def format_duration(seconds: float) -> str:
    """In the largest unit that keeps it whole: 90 -> "90s", 3600 -> "1h"."""
    for unit in ("d", "h", "m"):
        size = float(SECONDS[unit])
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{Decimal(repr(seconds)).normalize():f}s"


def shown(value: object) -> str:
    """What was sent, short and safe to print anywhere, for a message."""
    if value is None:
        return "null"
    if isinstance(value, int) and value.bit_length() > 128:
        return "a number that large"  # printing a huge one is itself an attack
    if not isinstance(value, str | int | float):
        return {"dict": "an object", "list": "a list"}.get(
            type(value).__name__, f"a {type(value).__name__}"
        )
    text = ascii(value[:60] if isinstance(value, str) else value)
    return text if len(text) <= 40 else f"{text[:36]}…"


def _scaled(
    value: object,
    units: Mapping[str, int],
    form: str,
    *,
    ambiguous: object = None,
) -> Decimal:
    """number·unit of a string, or a plain whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    match = AMOUNT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise QuantityError(f"{form}, not {shown(value)}")
    if match["unit"] not in units:
        hint = ambiguous(match["unit"]) if callable(ambiguous) else ""
        raise QuantityError(f"{form}, not {shown(value)}{hint}")
    return Decimal(match["number"]) * units[match["unit"]]


def _unclear_memory_unit(unit: str) -> str:
    by_letter = {u.lower(): u for u in MEMORY_UNITS if u}
    if unit.endswith("b") and unit.lower() in by_letter:
        return f': bits or bytes? Say "{by_letter[unit.lower()]}" for bytes'
    if unit.lower() in ("k", "m", "g", "t", "p"):
        letter = unit.upper()
        return f": say {letter}B (thousands) or {letter}iB (of 1024)"
    return ""


def _number(value: object, form: str) -> Decimal:
    """A finite number that is not a boolean, exactly as it was written."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise QuantityError(f"{form}, not {shown(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise QuantityError(f"{form}, not {shown(value)}")
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def _compound_seconds(text: str) -> float:
    if AMOUNT.fullmatch(text) and text[-1].isdigit():
        return float(text)
    parts = DURATION_PART.findall(text) if DURATION.fullmatch(text) else []
    order = [list(SECONDS).index(unit) for _, unit in parts]
    if not parts or order != sorted(set(order), reverse=True):
        raise QuantityError(f"{DURATION_FORM}, not {shown(text)}")
    return float(sum(Decimal(number) * SECONDS[unit] for number, unit in parts))


def _whole(amount: Decimal, what: str, value: object) -> int:
    if amount != amount.to_integral_value():
        raise QuantityError(f"expected whole {what}; {shown(value)} leaves a fraction")
    return int(amount)


def _shortest(amount: int, units: Mapping[str, int]) -> str:
    fits = [(n, u) for u, n in units.items() if u and amount % n == 0 and amount >= n]
    size, unit = max(fits)
    return f"{amount // size}{unit}"
