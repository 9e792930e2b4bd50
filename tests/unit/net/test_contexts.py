"""TLS contexts from the settings; what cannot be used is said with the setting's name."""

from __future__ import annotations

import datetime
import hashlib
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.integration.certificates import DAY, Authority
from trunkline.config.global_settings import Settings
from trunkline.errors import ConfigError
from trunkline.net.contexts import client_tls, end_point_hash, server_tls


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def files(authority: Authority, tmp_path: Path) -> dict[str, str]:
    certificate, key = authority.issue("localhost").write(tmp_path, "server")
    return {"cert": str(certificate), "key": str(key), "ca": str(authority.write(tmp_path))}


def for_clients(files: dict[str, str], **others: str) -> Settings:
    given = {
        "client_tls_sslmode": "require",
        "client_tls_cert_file": files["cert"],
        "client_tls_key_file": files["key"],
    }
    return replace(Settings(), **{**given, **others})


def test_disabled_is_no_context() -> None:
    assert client_tls(Settings()).context is None
    assert server_tls(replace(Settings(), server_tls_sslmode="disable")) is None


def test_a_clients_context_knows_the_hash_of_its_certificate(files: dict[str, str]) -> None:
    made = client_tls(for_clients(files))
    der = ssl.PEM_cert_to_DER_cert(Path(files["cert"]).read_text())
    assert made.mode == "require"
    assert made.certificate_hash == hashlib.sha256(der).digest()


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("require", ssl.CERT_OPTIONAL), ("verify-ca", ssl.CERT_REQUIRED), ("verify-full", ssl.CERT_REQUIRED)],
)
def test_clients_certificates_are_demanded_by_verify_modes(
    files: dict[str, str], mode: str, expected: ssl.VerifyMode
) -> None:
    made = client_tls(for_clients(files, client_tls_sslmode=mode, client_tls_ca_file=files["ca"]))
    assert made.context is not None
    assert made.context.verify_mode == expected


@pytest.mark.parametrize(
    ("mode", "verifies", "names"),
    [
        ("allow", ssl.CERT_NONE, False),
        ("prefer", ssl.CERT_NONE, False),
        ("require", ssl.CERT_NONE, False),
        ("verify-ca", ssl.CERT_REQUIRED, False),
        ("verify-full", ssl.CERT_REQUIRED, True),
    ],
)
def test_what_is_checked_of_servers(mode: str, verifies: ssl.VerifyMode, names: bool) -> None:
    context = server_tls(replace(Settings(), server_tls_sslmode=mode))
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (verifies, names)


@pytest.mark.parametrize(
    ("protocols", "lowest", "highest"),
    [
        ("secure", ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3),
        ("tlsv1.3", ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3),
        ("tlsv1.2", ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2),
        ("all", ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3),
    ],
)
def test_versions(protocols: str, lowest: ssl.TLSVersion, highest: ssl.TLSVersion) -> None:
    context = server_tls(replace(Settings(), server_tls_sslmode="require", server_tls_protocols=protocols))
    assert context is not None
    assert (context.minimum_version, context.maximum_version) == (lowest, highest)


@pytest.mark.parametrize(
    ("others", "named"),
    [
        ({"client_tls_cert_file": "/nowhere/server.crt"}, "client_tls_cert_file"),
        ({"client_tls_key_file": "/nowhere/server.key"}, "client_tls_key_file"),
        ({"client_tls_ca_file": "/nowhere/root.crt"}, "client_tls_ca_file"),
        ({"client_tls_ciphers": "NONSENSE"}, "NONSENSE"),
    ],
)
def test_what_cannot_be_used_is_named(files: dict[str, str], others: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        client_tls(for_clients(files, **others))


def test_a_key_of_another_certificate_is_refused(authority: Authority, files: dict[str, str], tmp_path: Path) -> None:
    _, other = authority.issue("other").write(tmp_path, "other")
    with pytest.raises(ConfigError, match="client_tls_cert_file"):
        client_tls(for_clients(files, client_tls_key_file=str(other)))


def self_signed(algorithm: hashes.HashAlgorithm, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - DAY).not_valid_after(now + DAY)
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [
        (hashes.SHA256(), "sha256"),
        (hashes.SHA384(), "sha384"),
        (hashes.SHA512(), "sha512"),
        (hashes.SHA224(), "sha224"),
    ],
)
@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_channel_binding_takes_the_hash_of_the_signature(algorithm: hashes.HashAlgorithm, name: str, kind: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)
    certificate = self_signed(algorithm, key)
    assert end_point_hash(certificate) == hashlib.new(name, certificate).digest()
