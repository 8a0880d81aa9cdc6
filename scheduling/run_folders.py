"""Where a run keeps its files. Only code on its node opens them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings

RESULT_MOST_BYTES = 64 * 2**10


def folder_of(uid: str) -> Path:
    """The run's own folder: out, err, work/. Two levels keep directories small."""
    return Path(folder_name(uid))


def folder_name(uid: str) -> str:
    """The same as text, for the paths that every start needs."""
    return f"{settings.VAR}/runs/{uid[:2]}/{uid}"


def work_name(uid: str) -> str:
    """The program's working directory and home."""
    return f"{folder_name(uid)}/work"


def result_name(uid: str) -> str:
    return f"{work_name(uid)}/result.json"


def artefacts_name(uid: str) -> str:
    """Where the program leaves files to be kept; see scheduling.artefacts."""
    return f"{work_name(uid)}/artefacts"


def read_result(uid: str) -> Any:
    """What the program left as its result, or None.

    Read by descriptor, a regular file only, bounded: the program made it. What is
    not JSON or too large is told instead of raised.
    """
    try:
        fd = os.open(result_name(uid), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        data = file.read(RESULT_MOST_BYTES + 1)
    if len(data) > RESULT_MOST_BYTES:
        return {"error": f"the result is larger than {RESULT_MOST_BYTES} bytes"}
    try:
        result = orjson.loads(data)
    except orjson.JSONDecodeError as broken:
        return {"error": f"the result is not JSON: {broken}"}
    if b"\\u0000" in data:
        return {"error": "the result contains a NUL character"}
    return result
