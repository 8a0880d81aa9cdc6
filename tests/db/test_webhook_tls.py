"""A webhook over TLS: the connection goes to the address that was judged, and the
certificate must still be the name's own."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agents import tls
from scheduling import deliveries
from scheduling.models import Delivery
from tests.conftest import NOON
from tests.db.receiver import Receiver, receiving
from tests.db.test_results import ended, set_keys

pytestmark = pytest.mark.django_db


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate of this name, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOON - timedelta(days=3650))
        .not_valid_after(NOON + timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.crt", folder / f"{name}.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    how = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, *how))
    return paths


@pytest.fixture
def fresh_trust() -> Iterator[None]:
    tls.context.cache_clear()
    yield
    tls.context.cache_clear()


def outcome(make_agent, tmp_path: Path, name: str, *, trusted: bool) -> Delivery:
    """Of a delivery to https://localhost, which shows a certificate of `name`."""
    set_keys(allow_private_targets=True, timeout=5)
    chain, key = certificate(tmp_path, name)
    if trusted:
        tls.context().load_verify_locations(chain)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain, key)
    with receiving(Receiver(), tls=server) as receiver:
        ended(make_agent, results=[f"https://localhost:{receiver.port}/"])
        deliveries.deliver_due(NOON)
        row = Delivery.objects.get()
        assert bool(receiver.got) == (row.state == "delivered")
        if receiver.got:
            host = receiver.got[0].headers["host"]
            assert host == f"localhost:{receiver.port}"
    return row


def test_a_certificate_of_the_name_is_taken(make_agent, tmp_path, fresh_trust) -> None:
    row = outcome(make_agent, tmp_path, "localhost", trusted=True)
    assert (row.state, row.detail) == ("delivered", "answered 204")


@pytest.mark.parametrize(
    ("name", "trusted"), [("localhost", False), ("other.example", True)]
)
def test_one_that_is_unknown_or_of_another_name_is_refused(
    make_agent, tmp_path, fresh_trust, name, trusted
) -> None:
    row = outcome(make_agent, tmp_path, name, trusted=trusted)
    assert row.state == "pending"
    assert "its certificate is not trusted: " in row.detail
