from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.timezone import now

from agents import secret_box, secret_store


class Command(BaseCommand):
    help = "Make a new key for secrets and seal all of them with it."

    def handle(self, **options: Any) -> None:
        secret_box.add_key()
        try:
            count = secret_store.reseal(actor="command", now=now())
        except secret_box.CannotOpen as closed:
            raise CommandError(f"{closed}; all is sealed as it was") from None
        secret_box.forget_old_keys()
        keys = secret_box.keys_path()
        self.stdout.write(f"{count} secrets are sealed with a new key in {keys}")
        self.stdout.write("copy that file to every other machine of this installation")
