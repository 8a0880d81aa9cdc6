"""The sink that posts to a URL, signed as Standard Webhooks says.

A name is resolved once, every address it has is judged, and the connection goes to the
first of them; proxies and redirects are not followed, and no more of the answer is read
than tells what went wrong.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address

import httpx

from agents import tls, web_targets
from scheduling import standard_webhooks
from scheduling.sinks.parcel import NotDelivered, Parcel

ANSWER_BYTES = 4096  # read of an answer, at most
SHOWN_CHARS = 120
GONE = 410  # the receiver wants no more
AGENT = "kos-scheduler"


def key_of(secret: str) -> bytes:
    """Raises NotDelivered for a secret that cannot be one."""
    try:
        return standard_webhooks.key_of(secret)
    except ValueError as error:
        raise NotDelivered(str(error)) from None


def headers_of(parcel: Parcel) -> dict[str, str]:
    stamp = str(int(parcel.at.timestamp()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": AGENT,
        "webhook-id": parcel.id,
        "webhook-timestamp": stamp,
    }
    if parcel.secret is not None:
        headers["webhook-signature"] = standard_webhooks.signature(
            key_of(parcel.secret), parcel.id, stamp, parcel.body
        )
    return headers


async def deliver(parcel: Parcel) -> str:
    """Post it; what was answered. Raises NotDelivered. The caller limits the time."""
    headers = headers_of(parcel)
    url = httpx.URL(parcel.target)
    address = await _address(url, allow_private=parcel.rules.allow_private_targets)
    headers["Host"] = url.netloc.decode()
    there = url.copy_with(host=address)
    try:
        async with (
            httpx.AsyncClient(
                trust_env=False,
                follow_redirects=False,
                timeout=parcel.rules.timeout_s,
                verify=tls.context(),
            ) as client,
            client.stream(
                "POST",
                there,
                content=parcel.body,
                headers=headers,
                extensions={"sni_hostname": url.host},
            ) as answer,
        ):
            said = await _beginning(answer)
    except httpx.HTTPError as error:
        raise NotDelivered(f"{_words(error)}") from None
    return _judged(answer.status_code, said)


async def _address(url: httpx.URL, *, allow_private: bool) -> str:
    """The address to connect to. Raises NotDelivered where it may not be."""
    port = url.port or (443 if url.scheme == "https" else 80)
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NotDelivered(f"{url.host} has no address") from None
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if said := web_targets.refusal(address, allow_private=allow_private):
            raise NotDelivered(f"nothing is sent there: {said}")
    return str(ip_address(addresses[0]))


async def _beginning(answer: httpx.Response) -> str:
    said = b""
    async for piece in answer.aiter_raw():
        said += piece
        if len(said) >= ANSWER_BYTES:
            break
    text = said[:ANSWER_BYTES].decode(errors="replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _judged(status: int, said: str) -> str:
    told = f"answered {status}"
    if 200 <= status < 300:
        return told
    if 300 <= status < 400:
        told += ": a redirect, which is not followed"
    elif said:
        told += f": {said[:SHOWN_CHARS]}"
    raise NotDelivered(told, for_good=status == GONE)


def _words(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx.ConnectError):
        why = tls.distrust(error) or str(error) or "no reason given"
        return f"cannot connect: {why}"[:SHOWN_CHARS]
    return f"the connection broke: {type(error).__name__}"
