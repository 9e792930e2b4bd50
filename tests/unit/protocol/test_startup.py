"""The pre-login parser against PostgreSQL's rules and words."""

from __future__ import annotations

import struct

import pytest

from trunkline import errors
from trunkline.protocol import startup
from trunkline.protocol.startup import (
    Answer,
    CancelRequest,
    GSSENCRequest,
    Negotiation,
    SSLRequest,
    StartupMessage,
    parse_startup,
)

SSL = struct.pack("!iHH", 8, 1234, 5679)
GSSENC = struct.pack("!iHH", 8, 1234, 5680)


def packet(body: bytes, major: int = 3, minor: int = 0) -> bytes:
    return struct.pack("!iHH", len(body) + 8, major, minor) + body


def startup_packet(*strings: bytes, major: int = 3, minor: int = 0) -> bytes:
    return packet(b"".join(string + b"\0" for string in strings) + b"\0", major, minor)


def cancel_packet(pid: int, key: bytes) -> bytes:
    return struct.pack("!iHHi", 12 + len(key), 1234, 5678, pid) + key


def login(*strings: bytes, minor: int = 0) -> StartupMessage:
    data = startup_packet(*strings, minor=minor)
    parsed = parse_startup(data)
    assert parsed is not None
    message, consumed = parsed
    assert isinstance(message, StartupMessage)
    assert consumed == len(data)
    return message


# --- framing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [*range(8), 10_001, 2**31 - 1, -1, -(2**31)])
def test_a_length_outside_8_to_10000_is_refused_at_the_header(length: int) -> None:
    with pytest.raises(errors.ProtocolViolation, match=r"^invalid length of startup packet$") as refused:
        parse_startup(struct.pack("!i", length))
    assert refused.value.sqlstate == "08P01"


@pytest.mark.parametrize("length", [8, 10_000])
def test_a_length_of_8_to_10000_is_waited_for(length: int) -> None:
    assert parse_startup(struct.pack("!i", length)) is None


@pytest.mark.parametrize(
    "stranger",
    [
        b"GET / HTTP/1.1\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"PING\r\n",
        b"\x16\x03\x01\x02",
        b"EHLO",
    ],
)
def test_other_protocols_get_an_error_and_not_a_wait(stranger: bytes) -> None:
    with pytest.raises(errors.ProtocolViolation):
        parse_startup(stranger)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_one_byte_at_a_time_the_message_comes_with_the_last_byte(kind: type) -> None:
    data = startup_packet(b"user", b"ann")
    for size in range(len(data)):
        assert parse_startup(kind(data[:size])) is None
    assert parse_startup(kind(data)) == (login(b"user", b"ann"), len(data))


def test_bytes_behind_the_message_are_left_alone() -> None:
    assert parse_startup(SSL + b"more") == (SSLRequest(), 8)


@pytest.mark.parametrize("first_byte, expected", [(0x16, True), (0, False), (ord("G"), False)])
def test_direct_tls_is_known_by_its_first_byte(first_byte: int, expected: bool) -> None:
    assert startup.is_tls_hello(first_byte) is expected


# --- requests ---------------------------------------------------------------------------------------------------


def test_encryption_requests_are_recognised() -> None:
    assert parse_startup(SSL) == (SSLRequest(), 8)
    assert parse_startup(GSSENC) == (GSSENCRequest(), 8)


@pytest.mark.parametrize("code", [5679, 5680])
def test_an_encryption_request_with_a_body_is_refused(code: int) -> None:
    with pytest.raises(errors.ProtocolViolation):
        parse_startup(packet(b"\0", 1234, code))


@pytest.mark.parametrize("size", [4, 32, 256])
def test_a_cancel_key_has_4_to_256_bytes(size: int) -> None:
    key = bytes(range(256))[:size]
    assert parse_startup(cancel_packet(-7, key)) == (CancelRequest(-7, key), 12 + size)


@pytest.mark.parametrize("size", [0, 3, 257])
def test_a_cancel_key_of_another_length_is_nobodys(size: int) -> None:
    assert parse_startup(cancel_packet(1, b"k" * size)) == (CancelRequest(0, b""), 12 + size)


def test_a_cancel_request_without_a_pid_is_nobodys() -> None:
    assert parse_startup(packet(b"\0\0", 1234, 5678)) == (CancelRequest(0, b""), 10)


def test_a_cancel_key_does_not_show_in_a_repr() -> None:
    assert "sesame" not in repr(CancelRequest(1, b"sesame"))


# --- startup messages -------------------------------------------------------------------------------------------


def test_user_database_and_settings_are_told_apart() -> None:
    message = login(b"user", b"ann", b"database", b"shop", b"options", b"-c a=b", b"DateStyle", b"ISO")
    assert (message.user, message.database, message.replication) == (b"ann", b"shop", None)
    assert list(message.parameters.items()) == [(b"options", b"-c a=b"), (b"DateStyle", b"ISO")]
    assert message.unknown_options == ()


@pytest.mark.parametrize("strings", [(b"user", b"ann"), (b"user", b"ann", b"database", b"")])
def test_the_database_defaults_to_the_user(strings: tuple[bytes, ...]) -> None:
    assert login(*strings).database == b"ann"


@pytest.mark.parametrize("strings", [(), (b"user", b""), (b"database", b"shop")])
def test_a_startup_without_a_user_is_refused(strings: tuple[bytes, ...]) -> None:
    with pytest.raises(errors.NotAuthorized, match=r"^no PostgreSQL user name specified in startup packet$") as refused:
        parse_startup(startup_packet(*strings))
    assert refused.value.sqlstate == "28000"


def test_of_a_repeated_name_the_last_one_counts_in_its_place() -> None:
    message = login(b"user", b"ann", b"a", b"1", b"b", b"2", b"a", b"3", b"user", b"bob")
    assert message.user == b"bob"
    assert list(message.parameters.items()) == [(b"b", b"2"), (b"a", b"3")]


def test_names_over_63_bytes_are_cut() -> None:
    message = login(b"user", b"u" * 64, b"database", b"d" * 5000)
    assert (message.user, message.database) == (b"u" * 63, b"d" * 63)


def test_names_need_not_be_utf8() -> None:
    assert login(b"user", b"\xff\xbf'").user == b"\xff\xbf'"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"user",
        b"user\0ann",
        b"user\0ann\0",
        b"user\0\0",
        b"user\0ann\0database\0\0",
        b"user\0ann\0\0x",
        b"user\0ann\0\0\0",
        b"\0\0",
    ],
)
def test_a_body_must_end_with_its_terminator_and_nowhere_before(body: bytes) -> None:
    words = "^invalid startup packet layout: expected terminator as last byte$"
    with pytest.raises(errors.ProtocolViolation, match=words):
        parse_startup(packet(body))


@pytest.mark.parametrize("major, minor", [(2, 0), (1, 0), (4, 0), (0, 0), (1234, 5681), (65535, 65535)])
def test_another_major_version_is_unsupported(major: int, minor: int) -> None:
    words = f"^unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2$"
    with pytest.raises(errors.UnsupportedProtocol, match=words) as refused:
        parse_startup(startup_packet(b"user", b"ann", major=major, minor=minor))
    assert refused.value.sqlstate == "0A000"


@pytest.mark.parametrize("value", [b"0", b"off", b"of", b"FALSE", b"f", b"no"])
def test_replication_switched_off_is_none(value: bytes) -> None:
    assert login(b"user", b"ann", b"replication", value).replication is None


@pytest.mark.parametrize(
    "value, meaning",
    [(b"1", b"true"), (b"on", b"true"), (b"Y", b"true"), (b"tru", b"true"), (b"database", b"database")],
)
def test_replication_switched_on_says_which(value: bytes, meaning: bytes) -> None:
    assert login(b"user", b"ann", b"replication", value).replication == meaning


@pytest.mark.parametrize("value", [b"", b"o", b"2", b"Database", b"truely"])
def test_another_value_of_replication_is_refused(value: bytes) -> None:
    with pytest.raises(errors.InvalidStartupValue, match='invalid value for parameter "replication"'):
        parse_startup(startup_packet(b"user", b"ann", b"replication", value))


# --- versions and protocol options ------------------------------------------------------------------------------


def test_each_unknown_protocol_option_is_named_once() -> None:
    message = login(b"_pq_.b", b"1", b"user", b"ann", b"_pq_.a", b"", b"_pq_.a", b"2", minor=9999)
    assert message.unknown_options == (b"_pq_.b", b"_pq_.a")
    assert message.parameters == {}


@pytest.mark.parametrize("requested, spoken", [(0, 0), (1, 0), (2, 2), (3, 2), (9999, 2)])
def test_the_reserved_minor_version_is_spoken_as_3_0(requested: int, spoken: int) -> None:
    assert login(b"user", b"ann", minor=requested).spoken_minor == spoken


@pytest.mark.parametrize("minor", [0, 1, 2])
def test_nothing_is_negotiated_where_the_client_gets_all_it_asked_for(minor: int) -> None:
    assert startup.negotiate_protocol_version(minor) == b""


def test_a_newer_minor_version_is_negotiated_down_with_every_unknown_option() -> None:
    message = startup.negotiate_protocol_version(9999, (b"_pq_.a", b"_pq_.b"))
    assert message == b"v" + struct.pack("!iHHi", 12 + 14, 3, 2, 2) + b"_pq_.a\0_pq_.b\0"
    assert len(message) == 1 + struct.unpack_from("!i", message, 1)[0]


@pytest.mark.parametrize("minor, named", [(0, 0), (1, 0), (2, 2)])
def test_unknown_options_alone_are_negotiated_at_the_clients_version(minor: int, named: int) -> None:
    message = startup.negotiate_protocol_version(minor, (b"_pq_.a",))
    assert struct.unpack_from("!HHi", message, 5) == (3, named, 1)


@pytest.mark.parametrize("size", [4, 32, 256])
def test_backend_key_data_carries_the_key(size: int) -> None:
    assert startup.backend_key_data(-2, b"k" * size) == b"K" + struct.pack("!ii", 8 + size, -2) + b"k" * size


@pytest.mark.parametrize("size", [0, 3, 257])
def test_backend_key_data_refuses_a_key_that_no_client_takes(size: int) -> None:
    with pytest.raises(ValueError, match="4 to 256"):
        startup.backend_key_data(1, b"k" * size)


# --- order ------------------------------------------------------------------------------------------------------

START = StartupMessage(3, 0, {}, (), b"ann", b"ann")
CANCEL = CancelRequest(1, b"1234")


@pytest.mark.parametrize(
    "before",
    [[], [SSLRequest()], [GSSENCRequest()], [SSLRequest(), GSSENCRequest()], [GSSENCRequest(), SSLRequest()]],
)
@pytest.mark.parametrize("last, answer", [(START, Answer.LOGIN), (CANCEL, Answer.CANCEL)])
def test_each_kind_of_encryption_may_be_asked_for_once(
    before: list[startup.StartupRequest], last: startup.StartupRequest, answer: Answer
) -> None:
    negotiation = Negotiation(tls_offered=False)
    assert [negotiation.feed(request) for request in before] == [Answer.REFUSE] * len(before)
    assert negotiation.feed(last) is answer


@pytest.mark.parametrize(
    "before, again",
    [
        ([SSLRequest()], SSLRequest()),
        ([GSSENCRequest()], GSSENCRequest()),
        ([SSLRequest(), GSSENCRequest()], SSLRequest()),
        ([GSSENCRequest(), SSLRequest()], GSSENCRequest()),
        ([START], START),
        ([START], SSLRequest()),
        ([CANCEL], START),
    ],
)
def test_a_request_out_of_its_place_is_a_violation(
    before: list[startup.StartupRequest], again: startup.StartupRequest
) -> None:
    negotiation = Negotiation(tls_offered=False)
    for request in before:
        negotiation.feed(request)
    with pytest.raises(errors.ProtocolViolation):
        negotiation.feed(again)


@pytest.mark.parametrize("request_inside", [SSLRequest(), GSSENCRequest()])
@pytest.mark.parametrize("direct", [True, False])
def test_no_encryption_may_be_asked_for_inside_tls(request_inside: startup.StartupRequest, direct: bool) -> None:
    negotiation = Negotiation(tls_offered=True)
    if direct:
        negotiation.direct_tls()
    else:
        assert negotiation.feed(SSLRequest()) is Answer.START_TLS
    with pytest.raises(errors.ProtocolViolation):
        negotiation.feed(request_inside)


@pytest.mark.parametrize("last, answer", [(START, Answer.LOGIN), (CANCEL, Answer.CANCEL)])
def test_login_and_cancel_work_inside_tls(last: startup.StartupRequest, answer: Answer) -> None:
    negotiation = Negotiation(tls_offered=True)
    assert negotiation.feed(GSSENCRequest()) is Answer.REFUSE
    assert negotiation.feed(SSLRequest()) is Answer.START_TLS
    assert negotiation.feed(last) is answer


@pytest.mark.parametrize("asked, word", [(SSLRequest(), "SSL"), (GSSENCRequest(), "GSSAPI encryption")])
@pytest.mark.parametrize("tls_offered", [True, False])
def test_plaintext_behind_an_encryption_request_is_refused(
    asked: startup.StartupRequest, word: str, tls_offered: bool
) -> None:
    with pytest.raises(errors.ProtocolViolation, match=f"^received unencrypted data after {word} request$"):
        Negotiation(tls_offered=tls_offered).feed(asked, leftover=1)


def test_direct_tls_must_come_first_and_must_be_offered() -> None:
    late = Negotiation(tls_offered=True)
    late.feed(GSSENCRequest())
    for negotiation in (late, Negotiation(tls_offered=False)):
        with pytest.raises(errors.ProtocolViolation):
            negotiation.direct_tls()


def test_a_repr_shows_the_phase() -> None:
    negotiation = Negotiation(tls_offered=False)
    negotiation.feed(SSLRequest())
    assert repr(negotiation) == "<Negotiation ssl_refused>"
