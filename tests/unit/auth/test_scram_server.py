"""SCRAM as the checking side: scramp as the client, then every way in which a client can break the rules."""

from __future__ import annotations

import base64

import pytest
import scramp

from tests.unit.auth.exchange import CERTIFICATE_HASH
from trunkline import errors
from trunkline.auth import scram
from trunkline.auth.scram_server import ScramServer

SALT = b"0123456789abcdef"
KEYS = scram.derive("pencil", SALT, 4096)
PLUS = scram.SHA_256_PLUS


def server(mechanism: str = scram.SHA_256, binding: bytes | None = None) -> ScramServer:
    return ScramServer(mechanism, binding, (SALT, 4096), b"servernonce")


def challenged() -> ScramServer:
    exchange = server()
    assert exchange.first(b"n,,n=,r=abc").startswith(b"r=abcservernonce,s=")
    return exchange


def test_rfc_7677_exchange() -> None:
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    keys = scram.derive("pencil", salt, 4096)
    exchange = ScramServer(scram.SHA_256, None, (salt, 4096), b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    nonce = b"rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    assert exchange.first(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO") == b"r=" + nonce + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    exchange.read_final(b"c=biws,r=" + nonce + b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    final = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    assert exchange.verify(keys) == (final, keys.client_key)


@pytest.mark.parametrize("mechanism", [scram.SHA_256, PLUS])
@pytest.mark.parametrize("password, right", [("pencil", True), ("pen", False)])
def test_a_client_gets_in_with_the_right_password_only(mechanism: str, password: str, right: bool) -> None:
    binding = CERTIFICATE_HASH if mechanism == PLUS else None
    exchange = server(mechanism, binding)
    client = scramp.ScramClient(
        [mechanism], "ann", password, channel_binding=None if binding is None else ("tls-server-end-point", binding)
    )
    client.set_server_first(exchange.first(client.get_client_first().encode()).decode())
    exchange.read_final(client.get_client_final().encode())
    proved = exchange.verify(KEYS)
    assert (proved is not None) is right
    if proved is not None:
        client.set_server_final(proved[0].decode())  # raises if our signature is wrong
        assert proved[1] == KEYS.client_key


@pytest.mark.parametrize(
    "message, detail",
    [
        (b"", "The message is empty."),
        (b"n,,n=,r=abc\0", "Message length does not match input length."),
        (b"n,,n=,r=" + b"a" * 1024, "The message is too long."),
        (b"x,,n=,r=abc", 'Unexpected channel-binding flag "x".'),
        (b"\xff", 'Unexpected channel-binding flag "0xff".'),
        (b"n", 'Comma expected, but found character "0x00".'),
        (b"nn,,n=,r=abc", 'Comma expected, but found character "n".'),
        (b"n,b,n=,r=abc", 'Unexpected attribute "b" in client-first-message.'),
        (b"n,,r=abc", 'Expected attribute "n" but found "r".'),
        (b"n,,", 'Expected attribute "n" but found "0x00".'),
        (b"n,,n", 'Expected character "=" for attribute "n".'),
        (b"n,,n=", 'Expected attribute "r" but found "0x00".'),
        (b"n,,n=,n=,r=abc", 'Expected attribute "r" but found "n".'),
        (b"n,,n=,r=abc,r=def", 'Unexpected attribute "r".'),
        (b"n,,n=,r=abc,1", 'Attribute expected, but found invalid character "1".'),
        (
            b"p=tls-server-end-point,,n=,r=abc",
            "The client selected SCRAM-SHA-256 without channel binding, "
            "but the SCRAM message includes channel binding data.",
        ),
    ],
)
def test_a_malformed_first_message_is_refused(message: bytes, detail: str) -> None:
    with pytest.raises(errors.ProtocolViolation) as refused:
        server().first(message)
    assert (refused.value.message, refused.value.detail) == ("malformed SCRAM message", detail)


@pytest.mark.parametrize("nonce", [b"", b"a b", b"a\xe9"])
def test_a_nonce_that_is_not_printable_is_refused(nonce: bytes) -> None:
    with pytest.raises(errors.ProtocolViolation, match="non-printable characters in SCRAM nonce"):
        server().first(b"n,,n=,r=" + nonce)


@pytest.mark.parametrize(
    "message, words",
    [
        (b"n,a=bob,n=,r=abc", "client uses authorization identity, but it is not supported"),
        (b"n,,m=x,n=,r=abc", "client requires an unsupported SCRAM extension"),
    ],
)
def test_what_postgresql_does_not_support_is_0a000(message: bytes, words: str) -> None:
    with pytest.raises(errors.TrunklineError, match=words) as refused:
        server().first(message)
    assert refused.value.sqlstate == "0A000"


def test_a_client_that_thinks_we_cannot_bind_is_refused_where_we_offered_it() -> None:
    with pytest.raises(errors.NotAuthorized, match="SCRAM channel binding negotiation error"):
        server(scram.SHA_256, CERTIFICATE_HASH).first(b"y,,n=,r=abc")
    assert server(scram.SHA_256, None).first(b"y,,n=,r=abc")


@pytest.mark.parametrize("flag", [b"n", b"y"])
def test_plus_without_binding_data_is_refused(flag: bytes) -> None:
    with pytest.raises(errors.ProtocolViolation, match="malformed SCRAM message"):
        server(PLUS, CERTIFICATE_HASH).first(flag + b",,n=,r=abc")


@pytest.mark.parametrize("flag", [b"p=tls-unique", b"p=", b"p=x\xff"])
def test_another_binding_type_is_refused(flag: bytes) -> None:
    with pytest.raises(errors.ProtocolViolation, match="unsupported SCRAM channel-binding type"):
        server(PLUS, CERTIFICATE_HASH).first(flag + b",,n=,r=abc")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"c=biws",
        b"c=biws,r=abcservernonce",
        b"c=biws,r=abcservernonce,",
        b"r=abcservernonce,c=biws,p=" + b"A" * 43 + b"=",
        b"c=biws,c=biws,r=abcservernonce,p=" + b"A" * 43 + b"=",
        b"c=biws,r=abcservernonce,r=abcservernonce,p=" + b"A" * 43 + b"=",
        b"c=biws,r=abcservernonce,p=",
        b"c=biws,r=abcservernonce,p=AAAA",
        b"c=biws,r=abcservernonce,p=!!!!",
        b"c=biws,r=abcservernonce,p=" + b"A" * 43 + b"=,x=1",
        b"c=biws,r=abcservernonce,p" + b"A" * 43,
        b"c=biws,r=" + b"a" * 2000,
    ],
)
def test_a_malformed_final_message_is_refused(message: bytes) -> None:
    with pytest.raises(errors.ProtocolViolation, match="malformed SCRAM message"):
        challenged().read_final(message)


@pytest.mark.parametrize("nonce", [b"abc", b"servernonce", b"abcservernoncex", b"ABCservernonce", b""])
def test_another_nonce_is_refused(nonce: bytes) -> None:
    with pytest.raises(errors.ProtocolViolation, match="invalid SCRAM response") as refused:
        challenged().read_final(b"c=biws,r=" + nonce + b",p=" + b"A" * 43 + b"=")
    assert refused.value.detail == "Nonce does not match."


def test_extensions_before_the_proof_are_signed_and_ignored() -> None:
    exchange = server()
    server_first = exchange.first(b"n,,n=,r=abc,x=1")
    without_proof = b"c=biws,r=abcservernonce,y=2,z="
    proof = scram.client_proof(KEYS, b"n=,r=abc,x=1," + server_first + b"," + without_proof)
    exchange.read_final(without_proof + b",p=" + scram.encode_base64(proof))
    assert exchange.verify(KEYS) is not None


def test_another_binding_than_our_certificate_is_refused() -> None:
    exchange = server(PLUS, CERTIFICATE_HASH)
    exchange.first(scram.PLUS_HEADER + b"n=,r=abc")
    other = scram.encode_base64(scram.PLUS_HEADER + b"x" * 32)
    with pytest.raises(errors.NotAuthorized, match="SCRAM channel binding check failed"):
        exchange.read_final(b"c=" + other + b",r=abcservernonce,p=" + b"A" * 43 + b"=")


@pytest.mark.parametrize("binding", [b"eSws", b"", b"biwsAA=="])
def test_the_final_message_must_repeat_the_first_ones_header(binding: bytes) -> None:
    with pytest.raises(errors.ProtocolViolation, match="unexpected SCRAM channel-binding attribute"):
        challenged().read_final(b"c=" + binding + b",r=abcservernonce,p=" + b"A" * 43 + b"=")
