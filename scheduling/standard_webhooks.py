"""Signatures as Standard Webhooks has them, for what goes out and what comes in.

https://www.standardwebhooks.com: HMAC-SHA256 over "id.timestamp.body", in base64
behind "v1,"; a message may carry several. No Django, no clock.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence

PREFIX = "whsec_"
SECRET_BYTES = 32
TOLERANCE_S = 300  # between the sender's clock and ours
MOST_ID_CHARS = 256
MOST_SIGNATURES = 10
MOST_STAMP_DIGITS = 12


class NotSigned(Exception):
    """Not a message of somebody who knows the secret; the text is for admins."""


def new_secret() -> str:
    raw = secrets.token_bytes(SECRET_BYTES)
    return PREFIX + base64.b64encode(raw).decode()


def key_of(secret: str) -> bytes:
    """The signing key: base64 behind whsec_, else the secret's own bytes.

    Raises ValueError.
    """
    secret = secret.strip()
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("its secret begins with whsec_ and is not base64") from None


def signature(key: bytes, message_id: str, stamp: str, body: bytes) -> str:
    mac = hmac.digest(key, f"{message_id}.{stamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(mac).decode()}"


def verify(
    keys: Sequence[bytes],
    *,
    message_id: str,
    stamp: str,
    signatures: str,
    body: bytes,
    now_s: float,
) -> None:
    """Raises NotSigned unless one of the signatures was made with one of the keys, in
    time. Every pair is compared, so that the time it takes tells nothing."""
    if not 0 < len(message_id) <= MOST_ID_CHARS or not message_id.isprintable():
        raise NotSigned("no webhook-id that can be used")
    said = signatures.split(" ") if signatures else []
    right = [
        hmac.compare_digest(
            signature(key, message_id, stamp, body).encode(), given.encode()
        )
        for key in keys
        for given in said[:MOST_SIGNATURES]
    ]
    if not any(right):
        raise NotSigned("no signature that fits" if said else "no signature")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= MOST_STAMP_DIGITS):
        raise NotSigned("no webhook-timestamp that can be read")
    if abs(int(stamp) - now_s) > TOLERANCE_S:
        raise NotSigned("its timestamp is more than 5 minutes away")
