"""A webhook receiver on loopback, for tests: it answers as it is told and keeps what
it got. Its way of checking a signature is its own, from the text of the standard."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Post:
    headers: dict[str, str]
    body: bytes

    def is_signed_with(self, secret: str) -> bool:
        key = base64.b64decode(secret.split("_", 1)[1])
        parts = (self.headers["webhook-id"], self.headers["webhook-timestamp"])
        content = ".".join((*parts, self.body.decode()))
        mac = hmac.new(key, content.encode(), hashlib.sha256).digest()
        expected = "v1," + base64.b64encode(mac).decode()
        return expected in self.headers["webhook-signature"].split(" ")


@dataclass
class Receiver:
    answers: list[int] = field(default_factory=list)  # in turn; then 204
    headers: dict[str, str] = field(default_factory=dict)  # sent with each
    answer_body: bytes = b""
    hold: threading.Event | None = None  # each post waits for it
    got: list[Post] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?token=hidden"


@contextmanager
def receiving(
    receiver: Receiver, tls: ssl.SSLContext | None = None
) -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {k.lower(): v for k, v in self.headers.items()}
            receiver.got.append(Post(headers, body))
            if receiver.hold is not None:
                receiver.hold.wait(60)
            status = receiver.answers.pop(0) if receiver.answers else 204
            try:
                self.send_response(status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(receiver.answer_body)
            except OSError:
                return  # the other side let go

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # a client that refused our certificate
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield receiver
    finally:
        if receiver.hold is not None:
            receiver.hold.set()
        server.shutdown()
        thread.join()
        server.server_close()
