"""A certificate authority of the tests' own, and servers it vouches for."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.x509.oid import NameOID

from tests.conftest import NOON

YEARS = timedelta(days=3650)
PEM = serialization.Encoding.PEM


class Authority:
    """`file` holds its certificate, for those who are to trust it."""

    def __init__(self, folder: Path, name: str = "tests") -> None:
        self.folder, self.file = folder, folder / f"{name}.pem"
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = named(f"authority of {name}")
        made = self._signed(self.name, self.key, x509.BasicConstraints(True, 0))
        self.file.write_bytes(made.public_bytes(PEM))

    def server(self, host: str) -> ssl.SSLContext:
        """What a server shows as which of its names is `host`."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternative = x509.SubjectAlternativeName([x509.DNSName(host)])
        made = self._signed(named(host), key, alternative)
        how = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        both = self.folder / f"{self.file.stem}-{host}.both"
        both.write_bytes(key.private_bytes(PEM, *how) + made.public_bytes(PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(both)
        return context

    def _signed(
        self,
        subject: x509.Name,
        key: EllipticCurvePrivateKey,
        extension: x509.ExtensionType,
    ) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOON - YEARS)
            .not_valid_after(NOON + YEARS)
            .add_extension(extension, critical=True)
            .sign(self.key, hashes.SHA256())
        )


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
