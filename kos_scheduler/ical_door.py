"""Where calendars fetch a feed: no session and no token, the address is the secret.

An unknown address, a revoked one and one whose owner may no longer sign in are answered
alike, and who tries many is made to wait.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta

from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.cache import get_conditional_response
from django.utils.http import http_date
from django.utils.timezone import now  # noqa: TID251 - entry point

from agents.errors import Invalid
from agents.http import Query
from kos_scheduler import rates
from kos_scheduler.api_errors import answer
from kos_scheduler.auth import role_of_user
from kos_scheduler.models import ApiToken
from kos_scheduler.rates import Rate
from scheduling import feed_calendar, feeds

WRONG = Rate("ical-wrong", limit=30, window_s=60)  # of one address
READ = Rate("ical", limit=60, window_s=60)  # of one feed
PAST = {"7d": timedelta(days=7)}


def calendar(request: HttpRequest, secret: str) -> HttpResponse:
    """GET /ical/{secret}.ics"""
    at = now()
    address = request.META.get("REMOTE_ADDR", "")
    if wait_s := rates.wait_s(WRONG, address, now_s=at.timestamp()):
        return too_many("too many addresses that do not exist", wait_s)
    feed = feeds.find(secret, at)
    if feed is None or not may_still_read(feed.owner):
        rates.count(WRONG, address, now_s=at.timestamp())
        return answer("not_found", "there is no such calendar")
    if wait_s := rates.wait_s(READ, str(feed.pk), now_s=at.timestamp()):
        return too_many("this calendar is read too often", wait_s)
    rates.count(READ, str(feed.pk), now_s=at.timestamp())
    try:
        past = past_of(request)
    except Invalid as error:
        return answer("invalid", str(error), error.fields or None)
    site = request.build_absolute_uri("/").rstrip("/")
    found = feed_calendar.text_of(feed, site=site, now=at, past=past)
    etag = f'"{hashlib.sha256(found.body).hexdigest()[:32]}"'
    response = HttpResponse(found.body, content_type="text/calendar; charset=utf-8")
    response["Content-Disposition"] = 'inline; filename="agents.ics"'
    response["ETag"] = etag
    stamp = int(found.modified_at.timestamp())
    response["Last-Modified"] = http_date(stamp)
    conditional = get_conditional_response(request, etag, stamp, response)
    told = conditional if isinstance(conditional, HttpResponse) else response
    told["Cache-Control"] = "private, max-age=300"
    told["X-Robots-Tag"] = "noindex"
    return told


def past_of(request: HttpRequest) -> timedelta | None:
    """How far back runs are shown. Raises Invalid."""
    said = Query(request, allowed=["past"]).text("past")
    if said is not None and said not in PAST:
        raise Invalid("past: expected 7d", {"past": ["expected 7d"]})
    return PAST[said] if said else None


def may_still_read(owner: str) -> bool:
    """Whether who made the feed could sign in today, and read."""
    kind, _, name = owner.partition(":")
    if kind == "token":
        return ApiToken.objects.filter(name=name, revoked_at=None).exists()
    user = get_user_model().objects.filter(username=name).first()
    return user is not None and bool(role_of_user(user))


def too_many(said: str, wait_s: int) -> HttpResponse:
    return answer("too_many", said, headers={"Retry-After": str(wait_s)})


routes = [path("ical/<str:secret>.ics", calendar)]
