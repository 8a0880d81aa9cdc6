"""Every URL of the product. What a role may do with each stands in roles.py."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

import agents.api
import agents.secrets_api
import monitor.api
import scheduling.api
import scheduling.place_api
import scheduling.results_api
import scheduling.schedule_api
import scheduling.timeline_api
import scheduling.voice_api
from kos_scheduler import admin_api, views
from kos_scheduler.roles import PAGES
from monitor import log_api
from monitor.metrics import metrics_view

api: list[URLPattern | URLResolver] = [
    *admin_api.routes,
    *agents.api.routes,
    *agents.secrets_api.routes,
    *scheduling.schedule_api.routes,
    *scheduling.timeline_api.routes,
    *scheduling.api.routes,
    *scheduling.place_api.routes,
    *scheduling.results_api.routes,
    *scheduling.voice_api.routes,
    *monitor.api.routes,
    *log_api.routes,
]
pages = [path(page, views.app) for page in PAGES]
pages += [path(f"{page}/<path:rest>", views.app) for page in PAGES if page]

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", include(api)),
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
