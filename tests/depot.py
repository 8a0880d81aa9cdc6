"""A loopback server of files for tests: it counts, and answers when it is let."""

from __future__ import annotations

import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Depot(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.place = f"http://127.0.0.1:{self.server_address[1]}"
        if tls is not None:
            self.place = f"https://localhost:{self.server_address[1]}"
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.files: dict[str, bytes] = {}
        self.leads_to: dict[str, str] = {}
        self.asked: Counter[str] = Counter()
        self.gate = threading.Event()  # shut: half of each file, then silence
        self.gate.set()

    def url(self, name: str) -> str:
        return f"{self.place}/{name}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Quiet: a client that refuses our certificate hangs up."""


class Handler(BaseHTTPRequestHandler):
    server: Depot

    def do_GET(self) -> None:
        name = self.path.strip("/")
        self.server.asked[name] += 1
        if name in self.server.leads_to:
            self.send_response(302)
            self.send_header("Location", self.server.leads_to[name])
            self.end_headers()
            return
        data = self.server.files.get(name)
        if data is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        half = len(data) // 2
        self.wfile.write(data[:half])
        self.wfile.flush()
        self.server.gate.wait(60)
        self.wfile.write(data[half:])

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def open_depot(tls: ssl.SSLContext | None = None) -> Iterator[Depot]:
    """On plain http at 127.0.0.1; with `tls`, on https at localhost."""
    depot = Depot(tls)
    thread = threading.Thread(target=depot.serve_forever, daemon=True)
    thread.start()
    try:
        yield depot
    finally:
        depot.gate.set()
        depot.shutdown()
        depot.server_close()
