"""The tree of errors people and programs meet: one class per reaction.

`code` is stable; the API returns it and `kos_scheduler/api_errors.py` maps it to a
status. `fields` names what was wrong with the input, one list of sentences a field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class KosError(Exception):
    code = "error"

    def __init__(
        self,
        detail: str,
        fields: Mapping[str, Sequence[str]] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.fields = {name: list(said) for name, said in (fields or {}).items()}
        self.more = dict(more or {})  # told beside them: a circle, items refused


class Invalid(KosError):
    """What was sent breaks a rule that can be told without looking at state (400)."""

    code = "invalid"


class NotFound(KosError):
    """There is no such thing, or not for this caller (404)."""

    code = "not_found"


class AlreadyExists(KosError):
    """The name is taken (409)."""

    code = "already_exists"


class NotAllowedNow(KosError):
    """The thing exists, but its state does not allow this step (409)."""

    code = "not_allowed_now"


class ChangedMeanwhile(KosError):
    """Somebody else changed it after the caller looked (409)."""

    code = "changed_meanwhile"


class Refused(KosError):
    """Understood and possible in form, but it must not be done; says why (422)."""

    code = "refused"


class Forbidden(KosError):
    """The caller's role does not allow it (403)."""

    code = "forbidden"


class TooMany(KosError):
    """A limit or rate was reached (429); `retry_after_s` tells when to come back."""

    code = "too_many"

    def __init__(self, detail: str, *, retry_after_s: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Unavailable(KosError):
    """A part we need is down; nothing was done; try again (503)."""

    code = "unavailable"
