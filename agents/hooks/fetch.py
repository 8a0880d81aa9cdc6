"""Fetch a URL into a file: over http or https, bounded in size and time.

The host is resolved once and the connection goes to that very address, which must be
a public one unless the configuration names the host; so it is with every redirect.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import SplitResult, urljoin, urlsplit

import httpx

from agents import tls
from agents.hooks.budget import Budget, HookFailed

MOST_REDIRECTS = 5
CONNECT_S = 10.0
SILENCE_S = 30.0  # between two bits of the answer
CHUNK = 1 << 20
REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Reach:
    """How much may be fetched, and from which hosts although they are private."""

    most_bytes: int
    private_hosts: Sequence[str] = ()


def fetch(url: str, into: BinaryIO, reach: Reach, budget: Budget) -> None:
    """Write what the URL answers into a file. Raises HookFailed, HookStopped."""
    timeout = httpx.Timeout(SILENCE_S, connect=CONNECT_S)
    with httpx.Client(timeout=timeout, trust_env=False, verify=tls.context()) as client:
        for _ in range(MOST_REDIRECTS + 1):
            try:
                onward = _get(client, url, into, reach, budget)
            except httpx.HTTPError as error:
                said = tls.distrust(error) or str(error) or type(error).__name__
                raise HookFailed(f"{shown(url)} cannot be fetched: {said}") from None
            if onward is None:
                return
            if urlsplit(url).scheme == "https" and not onward.startswith("https:"):
                raise HookFailed(f"{shown(url)} leads on to a place without TLS")
            url = onward
    raise HookFailed(f"{shown(url)} leads on more than {MOST_REDIRECTS} times")


def _get(
    client: httpx.Client, url: str, into: BinaryIO, reach: Reach, budget: Budget
) -> str | None:
    """Fetch, or say where it leads on to."""
    budget.check()
    parts = _parts(url)
    address = address_of(parts, reach.private_hosts)
    host = parts.hostname or ""
    there = httpx.URL(url).copy_with(host=address)
    headers = {"Host": parts.netloc.rpartition("@")[2], "Accept-Encoding": "identity"}
    with client.stream(
        "GET", there, headers=headers, extensions={"sni_hostname": host}
    ) as answer:
        if answer.status_code in REDIRECTS:
            return urljoin(url, str(answer.headers.get("location", "")))
        if answer.status_code != 200:
            raise HookFailed(f"{shown(url)} answered {answer.status_code}")
        _save(answer, url, into, reach.most_bytes, budget)
    return None


def _save(
    answer: httpx.Response, url: str, into: BinaryIO, most_bytes: int, budget: Budget
) -> None:
    stated = answer.headers.get("content-length", "")
    if stated.isdecimal() and int(stated) > most_bytes:
        raise HookFailed(f"{shown(url)} has {stated} bytes, more than {most_bytes}")
    got = 0
    for chunk in answer.iter_raw(CHUNK):
        budget.check()
        got += len(chunk)
        if got > most_bytes:
            raise HookFailed(f"{shown(url)} has more than {most_bytes} bytes")
        into.write(chunk)


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise HookFailed(f"{shown(url)} is not a URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise HookFailed(f"{shown(url)} is not a URL of http or https")
    return parts


def address_of(parts: SplitResult, private_hosts: Sequence[str]) -> str:
    """The address to connect to. Raises HookFailed where none may be reached."""
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise HookFailed(f"no host {host[:80]} is known") from None
    addresses = [str(one[4][0]) for one in found]
    if host not in private_hosts and not all(map(is_public, addresses)):
        raise HookFailed(f"{host[:80]} is on a private network (preload.private_hosts)")
    return addresses[0]


def is_public(address: str) -> bool:
    known = ipaddress.ip_address(address.partition("%")[0])
    inner = getattr(known, "ipv4_mapped", None)
    return (inner or known).is_global and not known.is_multicast


def shown(url: str) -> str:
    """The URL without what may be secret in it."""
    parts = urlsplit(url)
    bare = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return bare if len(bare) <= 120 else f"{bare[:117]}…"
