"""HTTP requests on a few threads that stay: Django's ASGI handler, without its detours.

The stock handler makes a thread for each request, with a database connection of its
own, and changes between thread and loop several times on the way through synchronous
middleware. All of ours is synchronous. So a request is one piece of work on a thread
that keeps its connection: measured, a fifth of the time until the view begins.

A GET that waits for news (a long poll) must not keep one of those threads: its view
answers with a coroutine function in `comes_after`, which is awaited in the loop, and
then the request is answered anew, as one that has waited (agents.http.may_wait).
"""

from __future__ import annotations

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.base import BaseHandler
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from agents.http import WAITED, LongAnswer
from kos_scheduler.pacing import ClientGone

THREADS = 4  # the interpreter runs one at a time; more would only wait for the others


class ThreadHandler(ASGIHandler):
    """An ASGI application; request_started and request_finished are sent as ever."""

    def __init__(self) -> None:
        BaseHandler.__init__(self)
        self.load_middleware(is_async=False)
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix="request")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise ValueError(f"not an HTTP connection: {scope['type']}")
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        loop = asyncio.get_running_loop()
        response = await loop.run_in_executor(self.threads, self.answer, scope, body)
        if (news := getattr(response, "comes_after", None)) is not None:
            scope[WAITED] = await news()  # in the loop: waiting holds no thread
            loop.run_in_executor(self.threads, response.close)
            no_body = io.BytesIO()
            response = await loop.run_in_executor(
                self.threads, self.answer, scope, no_body
            )
        try:
            await self.send_all(response, send)
        finally:
            loop.run_in_executor(self.threads, response.close)

    def answer(self, scope: Any, body: Any) -> HttpResponseBase:
        """The whole request, on one thread."""
        set_script_prefix(scope.get("root_path", "") or "/")
        signals.request_started.send(sender=self.__class__, scope=scope)
        request, refusal = self.create_request(scope, body)
        if request is None:
            body.close()
            assert refusal is not None, "there is a request or what is wrong with it"
            return refusal
        response: Any = self.get_response(request)
        if isinstance(response, LongAnswer) and request.method != "HEAD":
            pass  # sent piece by piece
        elif response.streaming:  # a static file: read here, where reading may block
            response = whole(response, with_body=request.method != "HEAD")
        response._handler_class = self.__class__
        return cast(HttpResponseBase, response)

    async def send_all(self, response: HttpResponseBase, send: Any) -> None:
        headers = [
            (name.encode("ascii"), value.encode("latin1"))
            for name, value in response.items()
        ]
        headers += [
            (b"Set-Cookie", cookie.output(header="").strip().encode("ascii"))
            for cookie in response.cookies.values()
        ]
        start = {"status": response.status_code, "headers": headers}
        await send({"type": "http.response.start", **start})
        if isinstance(response, LongAnswer):
            return await self.send_long(response, send)
        assert isinstance(response, HttpResponse), "other streams were made whole"
        await send({"type": "http.response.body", "body": response.content})

    async def send_long(self, response: LongAnswer, send: Any) -> None:
        """Piece by piece, each when the one before has gone out."""
        loop = asyncio.get_running_loop()
        pieces = iter(response)
        try:
            while (
                piece := await loop.run_in_executor(self.threads, next, pieces, None)
            ) is not None:
                body = {"body": piece, "more_body": True}
                await send({"type": "http.response.body", **body})
        except ClientGone:
            return
        await send({"type": "http.response.body", "body": b""})


def whole(stream: Any, *, with_body: bool = True) -> HttpResponse:
    """The same answer with its body in memory; ours are small by their own caps."""
    body, headers = b"".join(stream) if with_body else b"", dict(stream.items())
    response: Any = HttpResponse(body, status=stream.status_code, headers=headers)
    response.cookies = stream.cookies
    response._resource_closers.extend(stream._resource_closers)
    return cast(HttpResponse, response)
