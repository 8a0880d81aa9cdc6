"""Files are fetched over https only from servers whose certificates are trusted."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents import tls
from agents.hooks import fetch
from agents.hooks.budget import Budget, HookFailed
from agents.hooks.fetch import Reach
from tests.authority import Authority
from tests.depot import open_depot


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    """An authority that this machine trusts besides those of the web."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    tls.context.cache_clear()
    yield authority
    tls.context.cache_clear()


def fetched(authority: Authority, shown_as: str) -> bytes:
    """What a server at localhost gives that says it is `shown_as`."""
    into = io.BytesIO()
    with open_depot(authority.server(shown_as)) as depot:
        depot.files["model"] = b"weights"
        reach = Reach(1000, ("localhost",))
        fetch.fetch(depot.url("model"), into, reach, Budget(30))
    return into.getvalue()


def test_a_server_that_the_machines_own_authority_vouches_for_is_believed(
    trusted: Authority,
) -> None:
    assert fetched(trusted, "localhost") == b"weights"
    assert len(tls.context().get_ca_certs()) > 1  # those of the web are still there


@pytest.mark.parametrize(
    ("authority", "shown_as", "why"),
    [
        ("another", "localhost", "unable to get local issuer certificate"),
        ("tests", "models.example", "not valid for 'localhost'"),
    ],
)
def test_any_other_is_refused_in_words_and_nothing_is_kept(
    trusted: Authority, tmp_path: Path, authority: str, shown_as: str, why: str
) -> None:
    vouches = trusted if authority == "tests" else Authority(tmp_path, authority)
    with pytest.raises(HookFailed) as refused:
        fetched(vouches, shown_as)
    said = str(refused.value)
    assert said.startswith("https://localhost:")
    assert "cannot be fetched: its certificate is not trusted: " in said
    assert why in said
