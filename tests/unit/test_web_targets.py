"""Where a webhook may go, address by address."""

from __future__ import annotations

import pytest

from agents import web_targets
from agents.web_targets import refusal

NEVER = [
    "169.254.169.254",
    "169.254.1.1",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "100.100.100.200",
    "168.63.129.16",
    "0.0.0.0",
    "::",
    "224.0.0.1",
    "ff02::1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
]
PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "::1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "fd12::1",
    "100.64.0.1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
]
PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", NEVER)
def test_these_are_refused_whatever_is_allowed(address) -> None:
    assert refusal(address, allow_private=True)
    assert refusal(address, allow_private=False)


@pytest.mark.parametrize("address", PRIVATE)
def test_these_are_refused_unless_allowed(address) -> None:
    assert web_targets.ALLOWED_BY in refusal(address, allow_private=False)
    assert refusal(address, allow_private=True) == ""


@pytest.mark.parametrize("address", PUBLIC)
def test_these_may_always_be_told(address) -> None:
    assert refusal(address, allow_private=False) == ""


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "//h/", "ftp://h/", "http://", "http:///p", "http://u@h/"),
        *("http://u:p@h/", "http://h:0x50/", "http://h:99999/", "http://h/#f"),
        *("http://h/ b", "http://h\\@b/", "http://é.example/", "http://h/\r\nX: y"),
        *("http://[::1/", "http://[fe80::1%25eth0]/", "javascript:alert(1)"),
        "http://h/" + "a" * 300,
    ],
)
def test_what_is_no_url_for_a_webhook_is_refused(text) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        web_targets.url(text)


def test_what_may_be_secret_in_a_url_is_not_told() -> None:
    told = web_targets.told("https://user:pass@h:8443/path?token=abc")
    assert told == "https://h:8443/path?•••"
    assert web_targets.told("https://h/path") == "https://h/path"
