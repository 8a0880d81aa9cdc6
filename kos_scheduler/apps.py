from __future__ import annotations

from django.apps import AppConfig


class ProjectConfig(AppConfig):
    name = "kos_scheduler"
    default_auto_field = "django.db.models.BigAutoField"
