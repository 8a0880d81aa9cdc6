"""DATABASE_URL into Django's settings: postgresql://user:password@host:port/name."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

SCHEMES = ("postgres", "postgresql")
OPTIONS = (
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "connect_timeout",
    "application_name",
    "target_session_attrs",
)


class DatabaseUrlError(ValueError):
    """DATABASE_URL cannot be used. Never shows the password."""


def parse(url: str) -> dict[str, Any]:
    """Raises DatabaseUrlError for anything but a complete PostgreSQL URL.

    `?host=/run/postgresql` names a socket's folder; libpq's TLS options are taken.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise DatabaseUrlError(
            "DATABASE_URL must start with postgresql:// (without it, SQLite is used)"
        )
    name = unquote(parts.path.removeprefix("/"))
    if not name or "/" in name:
        raise DatabaseUrlError("DATABASE_URL names no database: …@host/NAME")
    options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    host = options.pop("host", "") or unquote(parts.hostname or "")
    unknown = sorted(set(options) - set(OPTIONS))
    if unknown:
        raise DatabaseUrlError(f"DATABASE_URL: unknown option {unknown[0]!r}")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": port_of(parts),
        "OPTIONS": {"connect_timeout": 5, **options},
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
    }


def port_of(parts: Any) -> str:
    try:
        return str(parts.port or "")
    except ValueError:
        raise DatabaseUrlError("DATABASE_URL: the port is not a number") from None
