"""Every URL of the product. What a role may do with each stands in roles.py."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

import agents.api
import agents.secrets_api
import monitor.api
import scheduling.api
import scheduling.backfill_api
import scheduling.calendar_api
import scheduling.deadline_api
import scheduling.feed_api
import scheduling.graph_api
import scheduling.grid_api
import scheduling.hooks_api
import scheduling.limit_api
import scheduling.place_api
import scheduling.placement_api
import scheduling.queue_api
import scheduling.results_api
import scheduling.schedule_api
import scheduling.sensor_api
import scheduling.timeline_api
import scheduling.trigger_api
import scheduling.voice_api
import scheduling.window_api
import scheduling.yield_api
from kos_scheduler import admin_api, hook_door, ical_door, import_api, views
from kos_scheduler.roles import PAGES
from monitor import line_api, log_api, usage_api
from monitor.metrics import metrics_view

api: list[URLPattern | URLResolver] = [
    *admin_api.routes,
    *scheduling.graph_api.routes,  # before agents/{id}/
    *import_api.routes,  # before agents/{id}/
    *agents.api.routes,
    *agents.secrets_api.routes,
    *scheduling.schedule_api.routes,
    *scheduling.sensor_api.routes,
    *scheduling.grid_api.routes,
    *scheduling.timeline_api.routes,
    *scheduling.api.routes,
    *scheduling.backfill_api.routes,
    *scheduling.deadline_api.routes,
    *scheduling.limit_api.routes,
    *scheduling.place_api.routes,
    *scheduling.calendar_api.routes,
    *scheduling.feed_api.routes,
    *scheduling.queue_api.routes,
    *scheduling.placement_api.routes,
    *scheduling.results_api.routes,
    *scheduling.hooks_api.routes,
    *scheduling.window_api.routes,
    *hook_door.routes,
    *scheduling.yield_api.routes,
    *scheduling.voice_api.routes,
    *scheduling.trigger_api.routes,
    *monitor.api.routes,
    *log_api.routes,
    *line_api.routes,
    *usage_api.routes,
]
pages = [path(page, views.app) for page in PAGES]
pages += [path(f"{page}/<path:rest>", views.app) for page in PAGES if page]

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", include(api)),
    *ical_door.routes,
    path("metrics", metrics_view),
    path("login/", views.LoginView.as_view(), name="login"),
    path("logout/", views.LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    *pages,
]
handler400 = "kos_scheduler.failures.bad_request"
handler403 = "kos_scheduler.failures.forbidden"
handler404 = "kos_scheduler.failures.not_found"
handler500 = "kos_scheduler.failures.broken"
