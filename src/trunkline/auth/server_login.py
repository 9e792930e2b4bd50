"""Our login to a server, as decisions: what to answer to each Authentication message.

1. The server is a stranger until it has proved itself: once SASL was begun, AuthenticationOk counts only behind a
   server signature that was verified, and no text of the server's goes into an error.
2. A password leaves in clear only if it is known as such and the server asks for it; a hash is never sent as one.
"""

from __future__ import annotations

import enum
import secrets as entropy
from collections.abc import Callable
from typing import Final, TypeAlias

from trunkline import errors
from trunkline.auth import messages, scram
from trunkline.auth.md5 import SALT_BYTES, md5_response, md5_secret
from trunkline.auth.messages import AuthCode
from trunkline.auth.replies import Accept, CacheScope, Derive, Reply, Send
from trunkline.auth.scram_client import ScramChallenge, ScramClient
from trunkline.auth.secret import Secret, SecretKind

_NONCE_BYTES: Final = 18


class _State(enum.Enum):
    NEW = enum.auto()
    PASSWORD_SENT = enum.auto()
    SASL_BEGUN = enum.auto()
    DERIVING = enum.auto()
    PROOF_SENT = enum.auto()
    SERVER_PROVED = enum.auto()
    OVER = enum.auto()


class ServerAuthentication:
    """One login as ``user``, with whatever is known: a password, a stored secret, or keys that a client proved.

    ``scram_keys`` is (client_key, server_key) of an earlier ``Accept``; they fit a server that stores ``secret``.
    ``tls_certificate_hash`` is the tls-server-end-point hash of the server's certificate.
    """

    __slots__ = ("_binding", "_bound", "_exchange", "_keys", "_password", "_rng", "_secret", "_state", "_user")

    def __init__(
        self,
        user: str,
        password: str | bytes | None = None,
        secret: Secret | None = None,
        scram_keys: tuple[bytes, bytes] | None = None,
        tls_certificate_hash: bytes | None = None,
        *,
        require_channel_binding: bool = False,
        rng: Callable[[int], bytes] = entropy.token_bytes,
    ) -> None:
        self._user = user
        self._secret = secret
        self._password = _plain_password(password, secret)
        self._keys = None if scram_keys is None else scram.ScramKeys.of(*scram_keys)
        self._binding = tls_certificate_hash
        self._bound = not require_channel_binding
        self._rng = rng
        self._state = _State.NEW
        self._exchange: ScramClient | None = None

    def __repr__(self) -> str:
        return f"<ServerAuthentication {self._user!r} {self._state.name.lower()}>"

    def feed(self, code: int, body: bytes) -> Reply:
        """Take an Authentication message: its code and what follows it."""
        state, self._state = self._state, _State.OVER
        handle = _HANDLERS.get((state, code))
        if handle is None:
            raise _unexpected(state, code)
        return handle(self, body)

    def derived(self, keys: scram.ScramKeys) -> Reply:
        """Take the keys that the last reply asked for."""
        if self._state is not _State.DERIVING:
            raise errors.InternalError("derived keys were not asked for")
        return self._prove(keys)

    def _on_ok(self, body: bytes) -> Reply:
        _expect_size(body, 0)
        if not self._bound:
            raise errors.ServerUnavailable(
                "channel binding required, but server authenticated client without channel binding"
            )
        return Accept()

    def _on_cleartext(self, body: bytes) -> Reply:
        _expect_size(body, 0)
        self._refuse_unbound("password")
        if self._password is None:
            raise self._cannot_answer("a password in clear text")
        return self._send_password(self._password)

    def _on_md5(self, body: bytes) -> Reply:
        _expect_size(body, SALT_BYTES)
        self._refuse_unbound("md5")
        if self._password is not None:
            return self._send_password(md5_response(md5_secret(self._user, self._password), body))
        if self._secret is not None and self._secret.kind is SecretKind.MD5:
            return self._send_password(md5_response(self._secret.text, body))
        raise self._cannot_answer("an md5 password")

    def _send_password(self, password: bytes) -> Reply:
        if b"\0" in password:
            raise errors.ServerUnavailable("a password cannot contain a zero byte")
        self._state = _State.PASSWORD_SENT
        return Send(messages.response(password + b"\0"))

    def _on_sasl(self, body: bytes) -> Reply:
        offered = messages.read_sasl_mechanisms(body)
        if self._password is None and self._keys is None:
            raise self._cannot_answer("SCRAM")
        self._exchange = ScramClient(offered, self._binding, scram.encode_base64(self._rng(_NONCE_BYTES)))
        mechanism, client_first = self._exchange.first()
        if mechanism != scram.SHA_256_PLUS:
            self._refuse_unbound("SCRAM-SHA-256")
        self._state = _State.SASL_BEGUN
        return Send(messages.sasl_initial_response(mechanism, client_first))

    def _on_sasl_continue(self, body: bytes) -> Reply:
        assert self._exchange is not None
        challenge = self._exchange.on_server_first(body)
        if self._password is None:
            return self._prove(self._passed_through(challenge))
        self._state = _State.DERIVING
        return Derive(self._user, self._password, challenge.salt, challenge.iterations, CacheScope.KNOWN)

    def _passed_through(self, challenge: ScramChallenge) -> scram.ScramKeys:
        """The client's keys, unless the secret that they belong to is visibly not the server's."""
        assert self._keys is not None
        stored = self._secret.scram if self._secret is not None else None
        if stored is not None and (stored.salt, stored.iterations) != (challenge.salt, challenge.iterations):
            raise _in_vain(
                "cannot log in to the server: it stores another SCRAM secret for this user",
                hint="Keys can be passed through only if the stored SCRAM secret is identical on the server.",
            )
        return self._keys

    def _prove(self, keys: scram.ScramKeys) -> Reply:
        assert self._exchange is not None
        self._state = _State.PROOF_SENT
        return Send(messages.response(self._exchange.continue_with(keys)))

    def _on_sasl_final(self, body: bytes) -> Reply:
        assert self._exchange is not None
        self._exchange.on_server_final(body)
        self._bound = self._bound or self._exchange.mechanism == scram.SHA_256_PLUS
        self._state = _State.SERVER_PROVED
        return Send(b"")

    def _refuse_unbound(self, method: str) -> None:
        """Before the answer leaves: a downgrade must not even get a hash out of us."""
        if not self._bound:
            raise errors.ServerUnavailable(f"channel binding required, but the server asks for {method} without it")

    def _cannot_answer(self, asked: str) -> errors.ServerRefused:
        return _in_vain(
            f"cannot log in to the server: it asks for {asked}, and what is known of this user does not allow that"
        )


def _in_vain(message: str, hint: str | None = None) -> errors.ServerRefused:
    """What no further try will change: whoever waits hears it at once."""
    return errors.ServerRefused("28000", message, hint=hint, authenticated=False)


def _plain_password(password: str | bytes | None, secret: Secret | None) -> bytes | None:
    if password is None and secret is not None and secret.kind is SecretKind.PLAIN:
        password = secret.raw
    if isinstance(password, str):
        password = password.encode(errors="surrogateescape")
    return password or None  # an empty one is none: no PostgreSQL accepts it


def _expect_size(body: bytes, size: int) -> None:
    if len(body) != size:
        raise errors.ServerProtocolViolation("malformed authentication message from the server")


def _unexpected(state: _State, code: int) -> errors.TrunklineError:
    if state is _State.NEW and code in _UNSUPPORTED:
        return errors.ServerUnavailable(
            f"the server asks for {_UNSUPPORTED[code]} authentication, which is not supported"
        )
    if code == AuthCode.OK and state in (_State.SASL_BEGUN, _State.DERIVING, _State.PROOF_SENT):
        return errors.ServerProtocolViolation("the server accepted the login before it proved itself")
    if code in set(AuthCode):
        return errors.ServerProtocolViolation("unexpected authentication message from the server")
    return errors.ServerUnavailable(f"the server asks for authentication method {code}, which is not supported")


_UNSUPPORTED: Final[dict[int, str]] = {
    AuthCode.KERBEROS_V5: "Kerberos V5",
    AuthCode.SCM_CREDENTIAL: "SCM credential",
    AuthCode.GSS: "GSSAPI",
    AuthCode.SSPI: "SSPI",
}

_Handler: TypeAlias = Callable[[ServerAuthentication, bytes], Reply]

_HANDLERS: Final[dict[tuple[_State, int], _Handler]] = {
    (_State.NEW, AuthCode.OK): ServerAuthentication._on_ok,
    (_State.NEW, AuthCode.CLEARTEXT_PASSWORD): ServerAuthentication._on_cleartext,
    (_State.NEW, AuthCode.MD5_PASSWORD): ServerAuthentication._on_md5,
    (_State.NEW, AuthCode.SASL): ServerAuthentication._on_sasl,
    (_State.PASSWORD_SENT, AuthCode.OK): ServerAuthentication._on_ok,
    (_State.SASL_BEGUN, AuthCode.SASL_CONTINUE): ServerAuthentication._on_sasl_continue,
    (_State.PROOF_SENT, AuthCode.SASL_FINAL): ServerAuthentication._on_sasl_final,
    (_State.SERVER_PROVED, AuthCode.OK): ServerAuthentication._on_ok,
}
