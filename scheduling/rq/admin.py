"""django-rq's pages in the admin: what waits, who works, what is due.

A launch that is deleted or run twice there does no harm: the run's row decides, and
what was lost is found by its age.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django_rq.admin import QueueAdmin
from django_rq.models import Dashboard
from django_rq.urls import get_admin_urlpatterns, get_api_urlpatterns
from rq.exceptions import NoSuchJobError

PREFIX = "django_rq_"
MISSING = (IndexError, KeyError, AttributeError, NoSuchJobError)


@admin.register(Dashboard)
class Queues(QueueAdmin):  # type: ignore[misc,no-any-unimported]
    """At admin/django_rq/dashboard/, with the figures as JSON and for Prometheus. Their
    own token opens nothing: our gate stands before them."""

    def get_urls(self) -> list[Any]:
        figures = get_api_urlpatterns(PREFIX)
        for page in figures:
            page.callback = self.shown(page.callback)
        return [*figures, *get_admin_urlpatterns(PREFIX, self.shown)]

    def shown(self, view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        """The view, with a 404 where it does not look whether something is there."""

        @wraps(view)
        def read(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            request.current_app = self.admin_site.name  # type: ignore[attr-defined]
            try:
                return view(request, *args, **kwargs)
            except MISSING as missing:
                raise Http404("there is no such queue, job or worker") from missing

        page: Callable[..., HttpResponse] = self.admin_site.admin_view(read)
        return page
