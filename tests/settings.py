"""Django's settings for the tests: the product's own, in a state folder of the
session's own. pytest-django reads settings before any conftest, so it stands here."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

TEST_VAR = tempfile.mkdtemp(prefix="kos-test-")
atexit.register(shutil.rmtree, TEST_VAR, ignore_errors=True)
os.environ["KOS_VAR"] = TEST_VAR
os.environ["REDIS_URL"] = f"unix://{TEST_VAR}/valkey.sock"
os.environ["KOS_SQLITE_SYNC"] = "off"  # nothing here outlives the session
for variable in ("KOS_CONFIG", "KOS_PROCESS", "KOS_PRODUCTION", "KOS_DEBUG"):
    os.environ.pop(variable, None)

from kos_scheduler.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast, not safe
WHITENOISE_USE_FINDERS = False  # every test client would look at every static file
