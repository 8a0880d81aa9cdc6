from __future__ import annotations

from typing import Any

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class ProjectConfig(AppConfig):
    name = "kos_scheduler"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from kos_scheduler import checks

        checks.register_all()
        if apps.is_installed("django.contrib.auth"):
            post_migrate.connect(make_roles, sender=self)


def make_roles(**kwargs: Any) -> None:
    """The four roles are groups; the highest one a user is in counts."""
    from django.contrib.auth.models import Group

    from kos_scheduler.roles import ROLES

    for role in ROLES:
        Group.objects.get_or_create(name=role)
