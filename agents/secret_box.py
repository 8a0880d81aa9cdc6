"""Sealing what is confidential: Fernet, with the keys of this installation.

The keys are lines of one file in VAR that only its user reads; the first seals, all
open. What is sealed is bound to its name, so that a row put in another's place opens
to nothing.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from base64 import urlsafe_b64encode
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class CannotOpen(Exception):
    """None of the keys here opens it."""


def keys_path() -> Path:
    return Path(settings.SECRETS_KEYS)


def seal(name: str, value: str) -> str:
    """The value, readable only with a key of this installation and under this name.
    Raises CannotOpen where there is none."""
    return _box().encrypt(f"{name}\0{value}".encode()).decode()


def unseal(name: str, sealed: str) -> str:
    """The value. Raises CannotOpen where the keys or the name are others."""
    try:
        text = _box().decrypt(sealed.encode()).decode()
    except (InvalidToken, UnicodeDecodeError):
        raise CannotOpen(f"no key here opens the secret {name}") from None
    said, _, value = text.partition("\0")
    if said != name:
        raise CannotOpen(f"what is stored as {name} was sealed under another name")
    return value


def add_key() -> None:
    """Put a new key first; the others go on opening."""
    _write([secrets.token_urlsafe(48), *_lines()])


def forget_old_keys() -> None:
    """Keep the first key and the one before it, which another process may just have
    sealed with."""
    _write(_lines()[:2])


def _write(lines: list[str]) -> None:
    """The whole file at once, on the disk before it counts."""
    path = keys_path()
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(fresh, flags, 0o600), "w") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)


def _lines() -> list[str]:
    return [line for line in keys_path().read_text().split() if line]


def _box() -> MultiFernet:
    """Read afresh: secrets are opened seldom, and the keys may have been turned."""
    try:
        keys = [Fernet(_key(line)) for line in _lines()]
    except OSError as error:
        raise CannotOpen(f"{keys_path()} cannot be read: {error.strerror}") from None
    if not keys:
        raise CannotOpen(f"no key stands in {keys_path()}")
    return MultiFernet(keys)


def _key(line: str) -> bytes:
    return urlsafe_b64encode(hashlib.sha256(b"secrets:" + line.encode()).digest())
