"""The ASGI application: HTTP behind the size cap, sockets behind the gate."""

from __future__ import annotations

import gc
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kos_scheduler.settings")

from django.core.asgi import get_asgi_application

http = get_asgi_application()  # loads the apps; what follows needs them

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.conf import settings  # noqa: E402

from kos_scheduler import daphne_cap  # noqa: E402
from kos_scheduler.edge import BodyCap  # noqa: E402
from kos_scheduler.socket_gate import SocketGate  # noqa: E402
from monitor.routing import websocket_urlpatterns  # noqa: E402

daphne_cap.install(settings.KOS_MAX_BODY_BYTES)
application = ProtocolTypeRouter(
    {
        "http": BodyCap(http, settings.KOS_MAX_BODY_BYTES),
        "websocket": SocketGate(URLRouter(websocket_urlpatterns)),
    }
)
gc.collect()
gc.freeze()  # what is loaded by now stays: no collection needs to walk it again
