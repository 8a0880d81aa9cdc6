from __future__ import annotations

from django.apps import AppConfig


class MonitorConfig(AppConfig):
    name = "monitor"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.conf import settings

        from agents.journal import recorded
        from monitor import agent_status_monitor, logs, redaction

        redaction.install()
        recorded.connect(
            agent_status_monitor.tell, dispatch_uid="monitor.agent_status_monitor"
        )
        if settings.PROCESS:  # one of ours, not a command a person runs
            logs.configure(settings.PROCESS)
