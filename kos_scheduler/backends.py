"""Django's permissions, as its admin site asks for them, follow the role."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend

from kos_scheduler.auth import role_of_user


class RoleBackend(ModelBackend):
    """Passwords as usual; permissions by role instead of one by one."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        return is_admin(user_obj)

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        return is_admin(user_obj)


def is_admin(user: Any) -> bool:
    """Asked dozens of times for one page; a user object lives for one request."""
    if not hasattr(user, "kos_is_admin"):
        user.kos_is_admin = role_of_user(user) == "admin"
    return bool(user.kos_is_admin)
