"""Where the sockets are. kos_scheduler/asgi.py puts the middleware around them."""

from __future__ import annotations

from django.urls import URLPattern, path

from monitor.consumers import LiveConsumer

websocket_urlpatterns: list[URLPattern] = [path("ws/live", LiveConsumer.as_asgi())]
