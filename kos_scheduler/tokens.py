"""API tokens: issue, verify, revoke. Nothing but the caller ever sees one twice."""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from datetime import datetime, timedelta

from django.db import OperationalError, transaction

from agents import journal
from agents.errors import Invalid, NotFound
from agents.prepared import Prepared
from kos_scheduler.models import ApiToken
from kos_scheduler.roles import ROLES

logger = logging.getLogger(__name__)
PREFIX = "kos_"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
TOKEN = re.compile(r"kos_[A-Za-z0-9_-]{43}", re.ASCII)
BY_DIGEST = Prepared(ApiToken, rest="WHERE t0.digest = %s")
STAMP_EVERY = timedelta(hours=1)  # last_used_at; finer would write on every read


def issue(
    name: str,
    role: str,
    *,
    actor: str,
    now: datetime,
    expires_at: datetime | None = None,
) -> tuple[ApiToken, str]:
    """Make a token. Returns its row and the token itself, which is not kept.

    Raises Invalid for a name, role or end that is not allowed.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        said = "letters, digits, dot, dash and underscore; at most 64, no dash first"
        raise Invalid(f"name: {said}", {"name": [said]})
    if role not in ROLES:
        said = f"expected one of {', '.join(ROLES)}"
        raise Invalid(f"role: {said}", {"role": [said]})
    if expires_at is not None and expires_at <= now:
        said = "expected an instant in the future"
        raise Invalid(f"expires_at: {said}", {"expires_at": [said]})
    text = PREFIX + secrets.token_urlsafe(32)
    with transaction.atomic():
        token = ApiToken.objects.create(
            name=name,
            role=role,
            digest=digest(text),
            created_at=now,
            created_by=actor,
            expires_at=expires_at,
        )
        journal.record(
            "auth.token_issued",
            f"token:{name}",
            actor=actor,
            at=now,
            id=token.pk,
            role=role,
        )
    return token, text


def find(text: str, *, now: datetime) -> ApiToken | None:
    """The live token of this text, or None."""
    if not TOKEN.fullmatch(text):
        return None
    token = BY_DIGEST.first(digest(text))
    if token is None or token.revoked_at is not None:
        return None
    if token.expires_at is not None and token.expires_at <= now:
        return None
    stamp(token, now)
    return token


def stamp(token: ApiToken, now: datetime) -> None:
    """Note the use, at most once an hour. A busy database does not stop a reader."""
    if token.last_used_at is not None and now - token.last_used_at < STAMP_EVERY:
        return
    try:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    except OperationalError:
        logger.info("the use of token %s was not noted: the database is busy", token.pk)


def revoke(pk: int, *, actor: str, now: datetime) -> None:
    """End a token for good. Raises NotFound when there is no live one."""
    with transaction.atomic():
        token = ApiToken.objects.filter(pk=pk, revoked_at=None).first()
        if token is None:
            raise NotFound(f"there is no live token {pk}")
        ApiToken.objects.filter(pk=pk).update(revoked_at=now)
        journal.record(
            "auth.token_revoked", f"token:{token.name}", actor=actor, at=now, id=pk
        )


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
