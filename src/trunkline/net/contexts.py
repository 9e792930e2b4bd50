"""TLS contexts made from the settings, and what channel binding needs of a certificate."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass

from trunkline.config.global_settings import Settings
from trunkline.errors import ConfigError
from trunkline.net.tls import ALPN

_VERSIONS = {"tlsv1.2": ssl.TLSVersion.TLSv1_2, "tlsv1.3": ssl.TLSVersion.TLSv1_3}

# Signature algorithm OIDs (DER bodies) whose hash is not SHA-256; MD5 and SHA-1 count as SHA-256 (RFC 5929, 4.1).
_SIGNATURE_HASHES = {
    bytes.fromhex("2a864886f70d01010c"): "sha384",  # sha384WithRSAEncryption
    bytes.fromhex("2a864886f70d01010d"): "sha512",
    bytes.fromhex("2a864886f70d01010e"): "sha224",
    bytes.fromhex("2a8648ce3d040301"): "sha224",  # ecdsa-with-SHA224
    bytes.fromhex("2a8648ce3d040303"): "sha384",
    bytes.fromhex("2a8648ce3d040304"): "sha512",
}


@dataclass(frozen=True, slots=True)
class ClientTls:
    """How we speak TLS to clients: `mode` is client_tls_sslmode; the hash is of our certificate."""

    mode: str
    context: ssl.SSLContext | None
    certificate_hash: bytes | None


def client_tls(settings: Settings) -> ClientTls:
    """Made anew at each reload, so that new connections get new certificates and old ones stay."""
    mode = settings.client_tls_sslmode
    if mode == "disable":
        return ClientTls(mode, None, None)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _shape(context, settings.client_tls_protocols, settings.client_tls_ciphers)
    context.set_alpn_protocols([ALPN])
    _load_chain(context, settings.client_tls_cert_file, settings.client_tls_key_file, "client_tls")
    if settings.client_tls_ca_file:
        _load_authorities(context, settings.client_tls_ca_file, "client_tls_ca_file")
        context.verify_mode = ssl.CERT_REQUIRED if mode.startswith("verify") else ssl.CERT_OPTIONAL
    return ClientTls(mode, context, end_point_hash(_first_certificate(settings.client_tls_cert_file)))


def server_tls(settings: Settings) -> ssl.SSLContext | None:
    """The context for connections to servers, or None when server_tls_sslmode is disable."""
    mode = settings.server_tls_sslmode
    if mode == "disable":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _shape(context, settings.server_tls_protocols, settings.server_tls_ciphers)
    context.set_alpn_protocols([ALPN])
    context.check_hostname = mode == "verify-full"
    context.verify_mode = ssl.CERT_REQUIRED if mode.startswith("verify") else ssl.CERT_NONE
    if settings.server_tls_ca_file:
        _load_authorities(context, settings.server_tls_ca_file, "server_tls_ca_file")
    elif mode.startswith("verify"):
        context.load_default_certs()
    if settings.server_tls_cert_file:
        _load_chain(context, settings.server_tls_cert_file, settings.server_tls_key_file, "server_tls")
    return context


def _shape(context: ssl.SSLContext, protocols: str, ciphers: str) -> None:
    words = {word.strip().lower() for word in protocols.split(",")}
    chosen = [version for word, version in _VERSIONS.items() if word in words] or list(_VERSIONS.values())
    context.minimum_version, context.maximum_version = min(chosen), max(chosen)
    if ciphers and ciphers not in ("default", "secure", "fast", "normal", "compat"):
        try:
            context.set_ciphers(ciphers)
        except ssl.SSLError:
            raise ConfigError(f"TLS ciphers: OpenSSL knows none of {ciphers!r}") from None


def _load_chain(context: ssl.SSLContext, certificate: str, key: str, prefix: str) -> None:
    try:
        context.load_cert_chain(certificate, key or None)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or "not usable"
        raise ConfigError(f"{prefix}_cert_file and {prefix}_key_file: {reason} ({certificate}, {key})") from None


def _load_authorities(context: ssl.SSLContext, path: str, name: str) -> None:
    try:
        context.load_verify_locations(path)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or "not usable"
        raise ConfigError(f"{name}: {reason} ({path})") from None


def _first_certificate(path: str) -> bytes:
    with open(path, encoding="ascii", errors="replace") as file:
        text = file.read()
    end = "-----END CERTIFICATE-----"
    start = text.index("-----BEGIN CERTIFICATE-----")
    return ssl.PEM_cert_to_DER_cert(text[start : text.index(end, start) + len(end)])


def end_point_hash(certificate: bytes) -> bytes:
    """tls-server-end-point of a DER certificate: its hash, by the algorithm of its signature (RFC 5929, section 4)."""
    return hashlib.new(_SIGNATURE_HASHES.get(_signature_oid(certificate), "sha256"), certificate).digest()


def _signature_oid(certificate: bytes) -> bytes:
    """Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { OID ... } ... }"""
    start, _ = _der_value(certificate, 0)
    tbs, size = _der_value(certificate, start)
    algorithm, _ = _der_value(certificate, tbs + size)
    oid, size = _der_value(certificate, algorithm)
    return certificate[oid : oid + size]


def _der_value(data: bytes, at: int) -> tuple[int, int]:
    """(offset, size) of the value of the DER element at `at`."""
    first = data[at + 1]
    if first < 0x80:
        return at + 2, first
    count = first & 0x7F
    return at + 2 + count, int.from_bytes(data[at + 2 : at + 2 + count], "big")
