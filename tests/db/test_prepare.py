"""`manage.py prepare` makes the first admin once, and leaves them alone after."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command

from kos_scheduler.management.commands.prepare import make_admin
from kos_scheduler.roles import ROLES

pytestmark = pytest.mark.django_db


def test_the_first_admin_has_the_password_of_a_private_file(tmp_path: Path) -> None:
    file = tmp_path / "admin-password"
    make_admin(file)
    admin = User.objects.get(username="admin")
    assert admin.is_superuser
    assert admin.check_password(file.read_text().strip())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_password_that_was_changed_stays_changed(tmp_path: Path) -> None:
    file = tmp_path / "admin-password"
    make_admin(file)
    admin = User.objects.get(username="admin")
    admin.set_password("my own words")
    admin.save()
    make_admin(file)
    admin.refresh_from_db()
    assert admin.check_password("my own words")


def test_a_crash_between_file_and_user_is_mended(tmp_path: Path) -> None:
    file = tmp_path / "admin-password"
    file.write_text("written before the crash\n")
    make_admin(file)
    admin = User.objects.get(username="admin")
    assert admin.check_password("written before the crash")


def test_every_role_has_its_group_however_often_it_runs() -> None:
    for _ in range(2):
        call_command("prepare")
    assert set(Group.objects.values_list("name", flat=True)) == set(ROLES)
