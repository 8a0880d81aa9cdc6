"""Django's settings. Everything a person may change is an environment variable or a
key of scheduler_config.yaml; all state lives under KOS_VAR.

A process that needs no admin, DRF or Channels does not load them: KOS_PROCESS names
the lean ones, which halves their memory.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from kos_scheduler.config import load_config
from kos_scheduler.local_secrets import local_secret

BASE_DIR = Path(__file__).resolve().parent.parent
VAR = Path(os.environ.get("KOS_VAR", BASE_DIR / "var")).resolve()
VAR.mkdir(mode=0o700, parents=True, exist_ok=True)
PROCESS = os.environ.get("KOS_PROCESS", "")
LEAN = PROCESS in {"scheduler", "node", "worker", "rqscheduler"}

KOS_CONFIG_FILE = Path(
    os.environ.get("KOS_CONFIG", BASE_DIR / "kos_scheduler" / "scheduler_config.yaml")
)
KOS = load_config(KOS_CONFIG_FILE)

DEBUG = os.environ.get("KOS_DEBUG") == "1"
SECRET_KEY = os.environ.get("KOS_SECRET_KEY") or local_secret(VAR / "secret-key")
ALLOWED_HOSTS = os.environ.get("KOS_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(
    ","
)
REDIS_URL = os.environ.get("REDIS_URL") or f"unix://{VAR}/valkey.sock"

INSTALLED_APPS = ["agents", "scheduling", "monitor", "kos_scheduler"]
if not LEAN:
    INSTALLED_APPS = [
        "daphne",
        "unfold",
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.staticfiles",
        "channels",
        "rest_framework",
        "drf_spectacular",
        *INSTALLED_APPS,
    ]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "kos_scheduler.urls"
ASGI_APPLICATION = "kos_scheduler.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]


def database() -> dict[str, Any]:
    """DATABASE_URL (PostgreSQL), else SQLite under VAR as ARCHITECTURE describes."""
    url = os.environ.get("DATABASE_URL", "")
    if url:
        from kos_scheduler.database_url import parse

        return parse(url)
    sync = os.environ.get("KOS_SQLITE_SYNC", "normal").upper()
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": VAR / "kos.sqlite3",
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": (
                f"PRAGMA journal_mode=WAL; PRAGMA synchronous={sync};"
                "PRAGMA cache_size=-16000; PRAGMA temp_store=MEMORY"
            ),
        },
        "CONN_MAX_AGE": None,
        "TEST": {"NAME": str(VAR / "test.sqlite3")},
    }


DATABASES = {"default": database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

STATIC_URL = "/static/"
STATIC_ROOT = VAR / "static"
STATICFILES_DIRS = [BASE_DIR / "frontend" / "dist"]
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
