"""Whose certificates are trusted when this machine asks others over https."""

from __future__ import annotations

import ssl
from functools import cache

import httpx


@cache
def context() -> ssl.SSLContext:
    """The authorities of the web and, besides, those of this machine, where
    SSL_CERT_FILE and SSL_CERT_DIR say or OpenSSL keeps them. Made once: loading them
    takes longer than most answers."""
    made = httpx.create_ssl_context(trust_env=False)
    made.load_default_certs()
    return made


def distrust(error: BaseException | None) -> str:
    """What is wrong with the other side's certificate, if that broke the connection;
    else ""."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {error.verify_message.lower()}"
        error = error.__cause__ or error.__context__
    return ""
