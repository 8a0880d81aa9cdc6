"""Daphne keeps a request's whole body before an application hears of it; this stops
it at the cap, with a 413 while the body is still coming."""

from __future__ import annotations

from typing import Any

from daphne.http_protocol import WebRequest
from twisted.internet import reactor

LINGER_S = 2.0  # a client that is still sending gets to read our answer
BODY = b'{"code":"too_large","detail":"the request body is too large"}'
REFUSAL = (
    b"HTTP/1.1 413 Content Too Large\r\nContent-Type: application/json\r\n"
    b"X-Content-Type-Options: nosniff\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)


def install(max_bytes: int) -> None:
    """Teach Daphne's requests the cap. May be called again with another cap."""

    def got_length(self: Any, length: int | None) -> None:
        self.kos_seen_bytes = 0
        self.kos_refused = False
        too_large = length is not None and length > max_bytes
        twisted_got_length(self, 0 if too_large else length)
        if too_large:
            refuse(self)

    def handle_content_chunk(self: Any, data: bytes) -> None:
        self.kos_seen_bytes += len(data)
        if self.kos_seen_bytes > max_bytes and not self.kos_refused:
            refuse(self)
        if not self.kos_refused:
            twisted_handle_content_chunk(self, data)

    def request_received(self: Any, *args: Any) -> None:
        if not self.kos_refused:
            twisted_request_received(self, *args)

    WebRequest.gotLength = got_length
    WebRequest.handleContentChunk = handle_content_chunk
    WebRequest.requestReceived = request_received


twisted_got_length = WebRequest.gotLength
twisted_handle_content_chunk = WebRequest.handleContentChunk
twisted_request_received = WebRequest.requestReceived


def refuse(request: Any) -> None:
    """Answer at once; what still comes is read and dropped until the linger ends."""
    request.kos_refused = True
    request.channel.transport.write(REFUSAL)
    channel = request.channel
    later: Any = reactor
    later.callLater(LINGER_S, channel.loseConnection)
