"""The pre-login parser: what a client may say before it is anybody.

The contract: ``parse_startup`` is given all bytes received so far and answers None (more are needed), or one
request and how many bytes it took; anything else is a ``TrunklineError``. However the bytes are cut, the outcome
is the same, and it is known at the header whether the rest is worth waiting for: a stranger can make us hold no
more than ``MAX_STARTUP_BYTES``.

The rules are those of PostgreSQL's ProcessStartupPacket (backend_startup.c), and so are the words of its errors.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from struct import Struct
from typing import Final, TypeAlias

from trunkline import errors

MAX_STARTUP_BYTES: Final = 10_000
MAX_NAME_BYTES: Final = 63  # PostgreSQL's NAMEDATALEN - 1; longer names are cut there, not refused
MIN_KEY_BYTES: Final = 4
MAX_KEY_BYTES: Final = 256
NEWEST_MINOR: Final = 2

_MAJOR: Final = 3
_TLS_HANDSHAKE: Final = 0x16
_PROTOCOL_OPTION: Final = b"_pq_."

_header = Struct("!IHH")  # length, major, minor (or the two halves of a request code)
_pid = Struct("!i")
_key_data = Struct("!cii")
_negotiate = Struct("!ciHHi")

Buffer: TypeAlias = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class SSLRequest:
    """May we speak TLS? Answered by one byte, S or N."""


@dataclass(frozen=True, slots=True)
class GSSENCRequest:
    """May we speak GSSAPI encryption? Always answered N."""


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Stop what the session with this pid and key is doing; never answered."""

    pid: int
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StartupMessage:
    """Who the client is and what it wants.

    ``parameters`` holds what goes to the server as settings, in the order in which PostgreSQL would apply them, with
    ``options`` still unsplit; ``user``, ``database``, ``replication`` and ``_pq_.*`` are not among them.
    ``replication`` is None, b"true" or b"database", however the client spelt it.
    """

    major: int
    minor: int
    parameters: dict[bytes, bytes]
    unknown_options: tuple[bytes, ...]
    user: bytes
    database: bytes
    replication: bytes | None = None

    @property
    def spoken_minor(self) -> int:
        """The minor version of the session; 3.1 was never released and is spoken as 3.0."""
        return spoken_minor(self.minor)


StartupRequest: TypeAlias = SSLRequest | GSSENCRequest | CancelRequest | StartupMessage


def is_tls_hello(first_byte: int) -> bool:
    """A TLS handshake record where a startup packet was expected: direct TLS, as PostgreSQL 17 and later take it."""
    return first_byte == _TLS_HANDSHAKE


# --- parsing ----------------------------------------------------------------------------------------------------


def parse_startup(buffer: Buffer) -> tuple[StartupRequest, int] | None:
    """The first request in ``buffer`` and its length, or None while it is incomplete.

    The length is judged as soon as its four bytes are there: HTTP, SSH, TLS and Redis read as lengths far above the
    limit, so that such a peer gets an error at once and not a wait.
    """
    if len(buffer) < 4:
        return None
    length = int.from_bytes(buffer[:4], "big")
    if not _header.size <= length <= MAX_STARTUP_BYTES:
        raise errors.ProtocolViolation("invalid length of startup packet")
    if len(buffer) < length:
        return None
    packet = bytes(buffer[:length])
    _, high, low = _header.unpack_from(packet)
    read = _READERS.get((high, low), _read_startup)
    return read(packet), length


def _read_ssl(packet: bytes) -> SSLRequest:
    _expect_bare(packet)
    return SSLRequest()


def _read_gssenc(packet: bytes) -> GSSENCRequest:
    _expect_bare(packet)
    return GSSENCRequest()


def _expect_bare(packet: bytes) -> None:
    if len(packet) != _header.size:
        raise errors.ProtocolViolation("invalid length of startup packet")


def _read_cancel(packet: bytes) -> CancelRequest:
    """One with a key that nobody was given is still a cancel request: closed without a word, as by PostgreSQL."""
    key = packet[_header.size + _pid.size :]
    if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        return CancelRequest(0, b"")
    (pid,) = _pid.unpack_from(packet, _header.size)
    return CancelRequest(pid, key)


def _read_startup(packet: bytes) -> StartupMessage:
    _, major, minor = _header.unpack_from(packet)
    if major != _MAJOR:
        raise errors.UnsupportedProtocol(
            f"unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.{NEWEST_MINOR}"
        )
    parameters = _read_parameters(packet)
    user = parameters.pop(b"user", b"")[:MAX_NAME_BYTES]
    database = parameters.pop(b"database", b"")[:MAX_NAME_BYTES]
    replication = _replication(parameters.pop(b"replication", b"false"))
    unknown = tuple(name for name in parameters if name.startswith(_PROTOCOL_OPTION))
    for name in unknown:
        del parameters[name]
    if not user:
        raise errors.NotAuthorized("no PostgreSQL user name specified in startup packet")
    return StartupMessage(major, minor, parameters, unknown, user, database or user, replication)


def _read_parameters(packet: bytes) -> dict[bytes, bytes]:
    """Names and values up to the empty name, which must be the packet's very last byte.

    A repeated name counts where it stands last, which is where PostgreSQL's assignment of it takes effect.
    """
    parameters: dict[bytes, bytes] = {}
    *strings, tail = packet[_header.size :].split(b"\0")
    pairs = iter(strings)
    position = _header.size
    for name in pairs:
        if not name:
            break
        value = next(pairs, None)
        if value is None:
            break
        parameters.pop(name, None)
        parameters[name] = value
        position += len(name) + len(value) + 2
    if tail or position != len(packet) - 1:
        raise errors.ProtocolViolation("invalid startup packet layout: expected terminator as last byte")
    return parameters


def _replication(value: bytes) -> bytes | None:
    """PostgreSQL's parse_bool, or the word ``database``."""
    if value == b"database":
        return value
    for meaning, words in _BOOLEANS:
        if value.lower() in words:
            return meaning
    raise errors.InvalidStartupValue(
        f'invalid value for parameter "replication": "{value.decode(errors="replace")}"',
        hint='Valid values are: "false", 0, "true", 1, "database".',
    )


def _prefixes(word: bytes, shortest: int = 1) -> set[bytes]:
    return {word[:size] for size in range(shortest, len(word) + 1)}


_BOOLEANS: Final = (
    (None, _prefixes(b"false") | _prefixes(b"no") | _prefixes(b"off", 2) | {b"0"}),
    (b"true", _prefixes(b"true") | _prefixes(b"yes") | _prefixes(b"on", 2) | {b"1"}),
)

_READERS: Final[dict[tuple[int, int], Callable[[bytes], StartupRequest]]] = {
    (1234, 5678): _read_cancel,
    (1234, 5679): _read_ssl,
    (1234, 5680): _read_gssenc,
}


# --- answers ----------------------------------------------------------------------------------------------------


def spoken_minor(requested: int) -> int:
    """The newest minor version that both sides know. 3.1 is reserved: no peer may ever be told that we speak it."""
    return NEWEST_MINOR if requested >= NEWEST_MINOR else 0


def negotiate_protocol_version(minor: int, unknown: tuple[bytes, ...] = ()) -> bytes:
    """NegotiateProtocolVersion for a client that asked for 3.``minor``, or nothing where it gets all it asked for.

    The message carries the whole version (3 << 16 | minor), as PostgreSQL sends it and libpq reads it, although the
    protocol documentation speaks of the minor number alone.
    """
    if minor <= NEWEST_MINOR and not unknown:
        return b""
    names = b"".join(name + b"\0" for name in unknown)
    length = _negotiate.size - 1 + len(names)
    return _negotiate.pack(b"v", length, _MAJOR, spoken_minor(minor), len(unknown)) + names


def backend_key_data(pid: int, key: bytes) -> bytes:
    """BackendKeyData; protocol 3.0 knows only keys of 4 bytes, 3.2 those of 4 to 256."""
    if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        raise ValueError(f"a cancel key has {MIN_KEY_BYTES} to {MAX_KEY_BYTES} bytes")
    return _key_data.pack(b"K", _key_data.size - 1 + len(key), pid) + key


# --- order ------------------------------------------------------------------------------------------------------


class Answer(enum.Enum):
    """What the connection does with a request that came in its place."""

    START_TLS = "send S, then shake hands"
    REFUSE = "send N, then read on"
    CANCEL = "hand the request on, then close"
    LOGIN = "go on to authentication"


class _Phase(enum.Enum):
    FRESH = enum.auto()
    SSL_REFUSED = enum.auto()
    GSS_REFUSED = enum.auto()
    BOTH_REFUSED = enum.auto()
    TLS = enum.auto()
    OVER = enum.auto()


# What may be asked, and what stands open afterwards. A missing key is the violation: so SSLRequest and GSSENCRequest
# come at most once each, neither comes inside TLS, and nothing at all comes after a startup or cancel message.
_AFTER_SSL: Final = {_Phase.FRESH: _Phase.SSL_REFUSED, _Phase.GSS_REFUSED: _Phase.BOTH_REFUSED}
_AFTER_GSS: Final = {_Phase.FRESH: _Phase.GSS_REFUSED, _Phase.SSL_REFUSED: _Phase.BOTH_REFUSED}
_AFTER_LAST: Final[dict[_Phase, _Phase]] = {phase: _Phase.OVER for phase in _Phase if phase is not _Phase.OVER}
_NEXT: Final[dict[type, tuple[dict[_Phase, _Phase], Answer]]] = {
    SSLRequest: (_AFTER_SSL, Answer.REFUSE),
    GSSENCRequest: (_AFTER_GSS, Answer.REFUSE),
    CancelRequest: (_AFTER_LAST, Answer.CANCEL),
    StartupMessage: (_AFTER_LAST, Answer.LOGIN),
}


class Negotiation:
    """The order of requests on one connection before login."""

    __slots__ = ("_phase", "_tls_offered")

    def __init__(self, *, tls_offered: bool) -> None:
        self._phase = _Phase.FRESH
        self._tls_offered = tls_offered

    def __repr__(self) -> str:
        return f"<Negotiation {self._phase.name.lower()}>"

    def feed(self, request: StartupRequest, leftover: int = 0) -> Answer:
        """Judge ``request``; ``leftover`` counts the bytes that were received behind it."""
        following, answer = _NEXT[type(request)]
        if self._phase not in following:
            raise errors.ProtocolViolation(f"unexpected {type(request).__name__} in startup negotiation")
        if leftover and answer is Answer.REFUSE:
            raise _unencrypted_data(request)
        if isinstance(request, SSLRequest) and self._tls_offered:
            self._phase = _Phase.TLS
            return Answer.START_TLS
        self._phase = following[self._phase]
        return answer

    def direct_tls(self) -> None:
        """The connection opened with a TLS hello in place of a request."""
        if self._phase is not _Phase.FRESH:
            raise errors.ProtocolViolation("unexpected TLS handshake in startup negotiation")
        if not self._tls_offered:
            raise errors.ProtocolViolation("received direct SSL connection request, but TLS is not enabled")
        self._phase = _Phase.TLS


def _unencrypted_data(request: StartupRequest) -> errors.ProtocolViolation:
    """Bytes behind SSLRequest were sent before TLS; taking them for the first bytes inside it is CVE-2021-23214."""
    what = "SSL" if isinstance(request, SSLRequest) else "GSSAPI encryption"
    return errors.ProtocolViolation(
        f"received unencrypted data after {what} request",
        detail="This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.",
    )
