"""Django's settings. Everything a person may change is an environment variable or a
key of scheduler_config.yaml; all state lives under KOS_VAR.

A process that needs no admin, DRF or Channels does not load them: KOS_PROCESS names
the lean ones, which halves their memory.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from agents import gpus
from kos_scheduler.config import ConfigError, load_config
from kos_scheduler.local_secrets import local_secret
from kos_scheduler.openapi_shapes import COMPONENTS
from kos_scheduler.rq_queues import Queues


def words(variable: str, default: str) -> list[str]:
    """A comma-separated environment variable."""
    given = os.environ.get(variable, default).split(",")
    return [word.strip() for word in given if word.strip()]


BASE_DIR = Path(__file__).resolve().parent.parent
VAR = Path(os.environ.get("KOS_VAR", BASE_DIR / "var")).resolve()
VAR.mkdir(mode=0o700, parents=True, exist_ok=True)
PROCESS = os.environ.get("KOS_PROCESS", "")
LEAN = PROCESS in {"scheduler", "node", "worker", "rqscheduler", "simulation"}

KOS_CONFIG_FILE = Path(
    os.environ.get("KOS_CONFIG", BASE_DIR / "kos_scheduler" / "scheduler_config.yaml")
)
try:
    KOS = load_config(KOS_CONFIG_FILE)
except ConfigError as error:
    raise SystemExit(f"configuration: {error}") from None
try:
    KOS_GPUS = gpus.from_words(os.environ.get("KOS_GPUS", ""))  # besides nodes.devices
except (TypeError, ValueError):
    raise SystemExit('KOS_GPUS: expected ids such as "gpu0:24GB:2,gpu1"') from None
KOS_MAX_BODY_BYTES = 2 * 2**20  # of a request; the largest honest one is an agent

PRODUCTION = os.environ.get("KOS_PRODUCTION") == "1"  # behind TLS, for others to reach
DEBUG = os.environ.get("KOS_DEBUG") == "1" and not PRODUCTION
SECRET_KEY = os.environ.get("KOS_SECRET_KEY") or local_secret(VAR / "secret-key")
SECRETS_KEYS = VAR / "secrets-keys"  # a line each; the first seals, all open
local_secret(SECRETS_KEYS)
ALLOWED_HOSTS = words("KOS_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = words("KOS_TRUSTED_ORIGINS", "")
REDIS_URL = os.environ.get("REDIS_URL") or f"unix://{VAR}/valkey.sock"
RQ_QUEUES = Queues(REDIS_URL)
RQ_SHOW_ADMIN_LINK = False  # scheduling/rq/admin.py shows less, and safely
RQ = {
    "JOB_CLASS": "scheduling.rq.job.SignedJob",
    "QUEUE_CLASS": "scheduling.rq.queues.SignedQueue",
    "SCHEDULER_CLASS": "scheduling.rq.scheduler.PreciseScheduler",
    "COMMIT_MODE": "auto",  # who enqueues says after what
}

INSTALLED_APPS = ["agents", "scheduling", "monitor", "kos_scheduler"]
if PROCESS == "simulation":
    INSTALLED_APPS.remove("monitor")  # nobody watches a made-up world
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
        "django_rq",
        *INSTALLED_APPS,
    ]

MIDDLEWARE = [
    "kos_scheduler.edge.EdgeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "kos_scheduler.auth.Enforcer",
    "kos_scheduler.idempotency.IdempotencyMiddleware",
]
ROOT_URLCONF = "kos_scheduler.urls"
if LEAN:  # serves nothing
    MIDDLEWARE, ROOT_URLCONF = [], "kos_scheduler.no_urls"
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
        "ENGINE": "kos_scheduler.sqlite",
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

UNFOLD = {
    "SITE_TITLE": "kOS scheduler",
    "SITE_HEADER": "kOS scheduler",
    "SITE_URL": "/schedule",
    "STYLES": ["/static/kos-admin.css"],
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": "/static/favicon.svg"}
    ],
}

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

STATIC_URL = "/static/"
STATIC_ROOT = VAR / "static"
STATIC_ROOT.mkdir(mode=0o700, exist_ok=True)
STATICFILES_DIRS = [BASE_DIR / "frontend" / "dist"]
WHITENOISE_USE_FINDERS = True  # without collectstatic all is served as well
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_IMMUTABLE_FILE_TEST = r"^.+[.-][0-9a-zA-Z_-]{8,12}\..+$"  # Vite's hashes
LOGIN_URL = "/login/"
AUTHENTICATION_BACKENDS = ["kos_scheduler.backends.RoleBackend"]
LOGIN_REDIRECT_URL = "/"

# --- at the edge; the roles stand in roles.py, the rules of a request in edge.py
DATA_UPLOAD_MAX_MEMORY_SIZE = KOS_MAX_BODY_BYTES
DATA_UPLOAD_MAX_NUMBER_FIELDS = 200
FILE_UPLOAD_HANDLERS: list[str] = []
APPEND_SLASH = False  # a redirect would turn a POST into a GET
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 14 * 86_400
SESSION_COOKIE_NAME = "kos_session"
CSRF_COOKIE_SAMESITE = "Lax"  # not HttpOnly: the app sends it back in a header
if not LEAN:  # the system checks import it
    CSRF_FAILURE_VIEW = "kos_scheduler.failures.csrf_failed"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if PRODUCTION:
    SECURE_SSL_REDIRECT = True
    SECURE_HSTS_SECONDS = 365 * 86_400
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    if os.environ.get("KOS_TLS_PROXY") == "1":  # one that overwrites this header
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["kos_scheduler.auth.GateAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["kos_scheduler.auth.GatePermission"],
    "DEFAULT_PARSER_CLASSES": ["kos_scheduler.strict_json.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "kos_scheduler.strict_json.AlwaysJSON",
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_SCHEMA_CLASS": "kos_scheduler.openapi.Schema",
    "EXCEPTION_HANDLER": "kos_scheduler.api_errors.handle",
    "URL_FORMAT_OVERRIDE": None,
    "FORMAT_SUFFIX_KWARG": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "kOS Agent Deployment Scheduler",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "APPEND_COMPONENTS": COMPONENTS,
    "ENABLE_DJANGO_DEPLOY_CHECK": True,
}
