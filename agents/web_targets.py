"""Where a webhook may go: the shape of its URL, and which addresses are refused. Pure.

A name is resolved once, at delivery, and the connection is made to the very address
that was judged, so that a name which answers differently a moment later gains nothing.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from agents.quantities import shown

MAX_URL_CHARS = 300
ALLOWED_BY = "results.allow_private_targets"
Address = IPv4Address | IPv6Address
# what clouds tell their machines, credentials among it; refused whatever is allowed
METADATA = frozenset(
    map(
        ip_address,
        ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16"),
    )
)
TRANSLATED = ip_network("64:ff9b::/96")  # IPv4 in the last four bytes


def url(text: str) -> str:
    """A URL that a webhook may have. Raises ValueError."""
    if len(text) > MAX_URL_CHARS:
        raise ValueError(f"is longer than {MAX_URL_CHARS} characters")
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise ValueError(
            f"{shown(text)} holds what a URL must not: write it in percent form"
        )
    parts = _split(text)
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{shown(text)} is not a URL with http or https")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user or a password; name a secret instead")
    if not parts.hostname or "%" in parts.netloc:
        raise ValueError(f"{shown(text)} names no host")
    if parts.fragment:
        raise ValueError("must not hold a fragment (#)")
    return text


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises for what is no port
    except ValueError:
        raise ValueError(f"{shown(text)} is not a URL") from None
    return parts


def told(text: str) -> str:
    """A URL for people: what may be secret in it, its query and its user, is left
    out."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return "•••"
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" + ("?•••" if parts.query else "")


def refusal(text: str, *, allow_private: bool) -> str:
    """Why nothing is sent to this address; "" where it may be."""
    address = _within(ip_address(text.partition("%")[0]))
    if address in METADATA or address.is_link_local:
        return f"{address} is a link-local or metadata address"
    if address.is_multicast or address.is_unspecified:
        return f"{address} is not the address of one machine"
    if address.is_global:
        return ""
    if allow_private and (address.is_private or _is_shared(address)):
        return ""
    return f"{address} is not a public address ({ALLOWED_BY})"


def literal_refusal(text: str, *, allow_private: bool) -> str:
    """As `refusal`, for a URL whose host is an address itself; "" for a name."""
    host = urlsplit(text).hostname or ""
    try:
        ip_address(host)
    except ValueError:
        if host == "localhost" and not allow_private:
            return f"localhost is not a public address ({ALLOWED_BY})"
        return ""
    return refusal(host, allow_private=allow_private)


def _within(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in TRANSLATED:
            return IPv4Address(address.packed[-4:])
    return address


def _is_shared(address: Address) -> bool:
    return address in ip_network("100.64.0.0/10")
