"""A certificate authority for tests: server and client certificates that expire tomorrow and are never stored."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)
LOOPBACK = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as PEM."""

    certificate: bytes
    key: bytes

    def write(self, directory: Path, name: str) -> tuple[Path, Path]:
        """``name.crt`` and ``name.key`` in the directory, the key for its owner alone."""
        paths = directory / f"{name}.crt", directory / f"{name}.key"
        for path, content in zip(paths, (self.certificate, self.key), strict=True):
            path.write_bytes(content)
            path.chmod(0o600)
        return paths


class Authority:
    """Signs certificates; ``certificate`` is the root that peers have to trust."""

    def __init__(self, name: str = "Trunkline test authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        builder = _builder(self._name, self._name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self._root = builder.sign(self._key, hashes.SHA256())

    @property
    def certificate(self) -> bytes:
        return self._root.public_bytes(serialization.Encoding.PEM)

    def write(self, directory: Path, name: str = "root") -> Path:
        path = directory / f"{name}.crt"
        path.write_bytes(self.certificate)
        return path

    def issue(self, common_name: str, hosts: Sequence[str] = LOOPBACK, *, expired: bool = False) -> Certificate:
        """A certificate for a server (its hosts) or a client (its common name is the user)."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([_alternative(host) for host in hosts])
        builder = _builder(_name(common_name), self._name, key.public_key(), ended=7 * DAY if expired else 0 * DAY)
        signed = builder.add_extension(names, critical=False).sign(self._key, hashes.SHA256())
        return Certificate(signed.public_bytes(serialization.Encoding.PEM), _pem(key))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, ended: datetime.timedelta = 0 * DAY
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC) - ended
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - DAY).not_valid_after(now + DAY)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
