"""The ASGI application: HTTP behind the size cap, sockets behind the gate."""

from __future__ import annotations

import gc
import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kos_scheduler.settings")

import django

django.setup()  # loads the apps; what follows needs them

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.conf import settings  # noqa: E402

from kos_scheduler import daphne_cap  # noqa: E402
from kos_scheduler.edge import BodyCap  # noqa: E402
from kos_scheduler.handler import ThreadHandler  # noqa: E402
from kos_scheduler.pacing import Paced  # noqa: E402
from kos_scheduler.socket_gate import SocketGate  # noqa: E402
from monitor.routing import websocket_urlpatterns  # noqa: E402

daphne_cap.install(settings.KOS_MAX_BODY_BYTES)
application = ProtocolTypeRouter(
    {
        "http": Paced(BodyCap(ThreadHandler(), settings.KOS_MAX_BODY_BYTES)),
        "websocket": SocketGate(URLRouter(websocket_urlpatterns)),
    }
)
gc.collect()
gc.freeze()  # what is loaded by now stays: no collection needs to walk it again
sys.setswitchinterval(0.001)  # a long answer must not make the short ones wait
