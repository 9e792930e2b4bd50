"""A client's login, as decisions: what to send, what to derive, whom to accept.

1. An unknown user and a wrong password meet the same messages, the same words and the same work: without a usable
   secret the exchange runs on a mock to its end and fails there.
2. The machine goes one way. Whatever fails leaves it over, and a message that its state does not expect is refused:
   no message can change who is logging in.
3. No costly work is done here: PBKDF2 is asked for with ``Derive``.
"""

from __future__ import annotations

import enum
import hmac
import secrets as entropy
from collections.abc import Callable
from typing import Final

from trunkline import errors
from trunkline.auth import messages, scram
from trunkline.auth.md5 import SALT_BYTES, md5_secret, md5_verify
from trunkline.auth.messages import AuthCode
from trunkline.auth.replies import Accept, CacheScope, Derive, Reply, Send
from trunkline.auth.scram_server import ScramServer
from trunkline.auth.secret import LoginSeed, Secret, SecretKind

_NONCE_BYTES: Final = 18  # PostgreSQL's SCRAM_RAW_NONCE_LEN


class _State(enum.Enum):
    NEW = enum.auto()
    PASSWORD = enum.auto()
    MD5 = enum.auto()
    SASL_INITIAL = enum.auto()
    SASL_FIRST = enum.auto()
    SASL_FINAL = enum.auto()
    DERIVING_FOR_PROOF = enum.auto()
    DERIVING_FOR_PASSWORD = enum.auto()
    OVER = enum.auto()


class ClientAuthentication:
    """One login of ``user`` by ``auth_type``, which is PgBouncer's word for it (HBA methods are resolved before).

    ``certificate_hash`` is the tls-server-end-point hash of our own certificate, ``certificate_user`` the user that a
    verified client certificate stands for, ``system_user`` the one that the owner of the client's process does.
    """

    __slots__ = (
        "_auth_type",
        "_certificate_hash",
        "_certificate_user",
        "_exchange",
        "_mechanism",
        "_password",
        "_rng",
        "_salt",
        "_secret",
        "_seed",
        "_state",
        "_stored",
        "_system_user",
        "_user",
    )

    def __init__(
        self,
        auth_type: str,
        user: str,
        secret: Secret | None,
        *,
        seed: LoginSeed,
        tls: bool = False,
        certificate_hash: bytes | None = None,
        certificate_user: str | None = None,
        system_user: str | None = None,
        rng: Callable[[int], bytes] = entropy.token_bytes,
    ) -> None:
        self._auth_type = auth_type
        self._user = user
        self._stored = secret
        # An empty password matches nothing, as in PgBouncer and PostgreSQL: it stands for "none".
        self._secret = secret if secret is not None and secret.text else seed.mock(user)
        self._seed = seed
        self._certificate_hash = certificate_hash if tls else None
        self._certificate_user = certificate_user if tls else None
        self._system_user = system_user
        self._rng = rng
        self._state = _State.NEW
        self._exchange: ScramServer | None = None
        self._mechanism = ""
        self._salt = self._password = b""

    def __repr__(self) -> str:
        return f"<ClientAuthentication {self._auth_type} {self._user!r} {self._state.name.lower()}>"

    @property
    def max_message_bytes(self) -> int:
        """The largest body that the next message may have; a longer one is refused at its header."""
        return _MAX_BYTES.get(self._state, 0)

    def start(self) -> Reply:
        begin = _START.get(self._auth_type)
        if begin is None or self._leave() is not _State.NEW:
            raise errors.InternalError(f"login by {self._auth_type!r} cannot be started")
        return begin(self)

    def feed(self, body: bytes) -> Reply:
        """Take the body of a PasswordMessage, SASLInitialResponse or SASLResponse."""
        limit = self.max_message_bytes
        handle = _FEED.get(self._leave())
        if handle is None:
            raise errors.ProtocolViolation("unexpected password message")
        if len(body) > limit:
            raise errors.ProtocolViolation("invalid message length")
        return handle(self, body)

    def derived(self, keys: scram.ScramKeys) -> Reply:
        """Take the keys that the last reply asked for."""
        handle = _DERIVED.get(self._leave())
        if handle is None:
            raise errors.InternalError("derived keys were not asked for")
        return handle(self, keys)

    def _leave(self) -> _State:
        """Take the state away: the handler puts the next one, and one that raises leaves the login over."""
        state, self._state = self._state, _State.OVER
        return state

    def _failed(self) -> errors.AuthenticationFailed:
        return errors.AuthenticationFailed(f'password authentication failed for user "{self._user}"')

    def _accept(self, *, keys: tuple[bytes, bytes] | None = None, last: bytes = b"") -> Accept:
        client_key, server_key = keys or (None, None)
        payload = last + messages.authentication(AuthCode.OK)
        return Accept(payload, client_key, server_key, self._password or None)

    # --- without a password -----------------------------------------------------------------------------------

    def _start_any(self) -> Reply:
        return self._accept()

    def _start_trust(self) -> Reply:
        if self._stored is None:  # in PostgreSQL's words: there is nothing else that could be wrong
            raise errors.NotAuthorized(f'role "{self._user}" does not exist')
        return self._accept()

    def _start_cert(self) -> Reply:
        if self._certificate_user is None:
            raise errors.NotAuthorized("connection requires a valid client certificate")
        if self._certificate_user != self._user:
            raise errors.NotAuthorized(f'certificate authentication failed for user "{self._user}"')
        return self._accept()

    def _start_peer(self) -> Reply:
        if self._system_user != self._user:
            raise errors.NotAuthorized(f'Peer authentication failed for user "{self._user}"')
        return self._accept()

    # --- plain ------------------------------------------------------------------------------------------------

    def _start_plain(self) -> Reply:
        self._state = _State.PASSWORD
        return Send(messages.authentication(AuthCode.CLEARTEXT_PASSWORD))

    def _read_password(self, body: bytes) -> Reply:
        self._password = messages.read_password(body)
        if not self._password:
            raise errors.AuthenticationFailed("empty password returned by client")
        return _CHECK[self._secret.kind](self)

    def _check_plain(self) -> Reply:
        return self._accept_if(hmac.compare_digest(self._secret.raw, self._password))

    def _check_md5(self) -> Reply:
        claimed = md5_secret(self._user, self._password)
        return self._accept_if(hmac.compare_digest(self._secret.text, claimed))

    def _check_scram(self) -> Reply:
        self._state = _State.DERIVING_FOR_PASSWORD
        salt, iterations = self._challenge()
        return Derive(self._user, self._password, salt, iterations, CacheScope.NEVER)

    def _check_derived(self, keys: scram.ScramKeys) -> Reply:
        stored = self._secret.scram
        matches = stored is not None and hmac.compare_digest(keys.server_key, stored.server_key)
        return self._accept_if(matches, keys=(keys.client_key, keys.server_key))

    def _accept_if(self, matches: bool, *, keys: tuple[bytes, bytes] | None = None) -> Reply:
        if not matches or self._secret.doomed:
            raise self._failed()
        return self._accept(keys=keys)

    # --- md5 --------------------------------------------------------------------------------------------------

    def _start_md5(self) -> Reply:
        if self._secret.kind is SecretKind.SCRAM:
            return self._start_scram()
        self._salt = self._rng(SALT_BYTES)
        self._state = _State.MD5
        return Send(messages.authentication(AuthCode.MD5_PASSWORD, self._salt))

    def _read_md5(self, body: bytes) -> Reply:
        response = messages.read_password(body)
        if not response:
            raise errors.AuthenticationFailed("empty password returned by client")
        return self._accept_if(md5_verify(self._secret.md5_text(self._user), self._salt, response))

    # --- SCRAM ------------------------------------------------------------------------------------------------

    def _start_scram(self) -> Reply:
        if self._secret.kind is SecretKind.MD5:  # nothing to check a proof against
            self._secret = self._seed.mock(self._user, SecretKind.SCRAM)
        self._state = _State.SASL_INITIAL
        return Send(messages.authentication_sasl(self._mechanisms()))

    def _mechanisms(self) -> tuple[str, ...]:
        return (scram.SHA_256,) if self._certificate_hash is None else (scram.SHA_256_PLUS, scram.SHA_256)

    def _challenge(self) -> tuple[bytes, int]:
        stored = self._secret.scram
        if stored is None:
            return self._seed.salt(self._user), self._seed.iterations
        return stored.salt, stored.iterations

    def _read_initial(self, body: bytes) -> Reply:
        name, client_first = messages.read_sasl_initial_response(body)
        self._mechanism = name.decode("ascii", "replace")
        if self._mechanism not in self._mechanisms():
            raise errors.ProtocolViolation("client selected an invalid SASL authentication mechanism")
        if client_first is None:  # it will come as the answer to an empty challenge
            self._state = _State.SASL_FIRST
            return Send(messages.authentication(AuthCode.SASL_CONTINUE))
        return self._read_first(client_first)

    def _read_first(self, client_first: bytes) -> Reply:
        nonce = scram.encode_base64(self._rng(_NONCE_BYTES))
        self._exchange = ScramServer(self._mechanism, self._certificate_hash, self._challenge(), nonce)
        server_first = self._exchange.first(client_first)
        self._state = _State.SASL_FINAL
        return Send(messages.authentication(AuthCode.SASL_CONTINUE, server_first))

    def _read_final(self, client_final: bytes) -> Reply:
        assert self._exchange is not None
        self._exchange.read_final(client_final)
        if self._secret.scram is not None:
            return self._verify(self._secret.scram)
        self._state = _State.DERIVING_FOR_PROOF
        scope = CacheScope.UNKNOWN if self._secret.doomed else CacheScope.KNOWN
        return Derive(self._user, self._secret.raw, *self._challenge(), scope)

    def _verify(self, keys: scram.ScramSecret | scram.ScramKeys) -> Reply:
        assert self._exchange is not None
        proved = self._exchange.verify(keys)
        if proved is None or self._secret.doomed:
            raise self._failed()
        server_final, client_key = proved
        last = messages.authentication(AuthCode.SASL_FINAL, server_final)
        return self._accept(keys=(client_key, keys.server_key), last=last)


_START: Final[dict[str, Callable[[ClientAuthentication], Reply]]] = {
    "any": ClientAuthentication._start_any,
    "trust": ClientAuthentication._start_trust,
    "cert": ClientAuthentication._start_cert,
    "peer": ClientAuthentication._start_peer,
    "plain": ClientAuthentication._start_plain,
    "password": ClientAuthentication._start_plain,  # its name in an HBA file
    "md5": ClientAuthentication._start_md5,
    "scram-sha-256": ClientAuthentication._start_scram,
}

_FEED: Final[dict[_State, Callable[[ClientAuthentication, bytes], Reply]]] = {
    _State.PASSWORD: ClientAuthentication._read_password,
    _State.MD5: ClientAuthentication._read_md5,
    _State.SASL_INITIAL: ClientAuthentication._read_initial,
    _State.SASL_FIRST: ClientAuthentication._read_first,
    _State.SASL_FINAL: ClientAuthentication._read_final,
}

_DERIVED: Final[dict[_State, Callable[[ClientAuthentication, scram.ScramKeys], Reply]]] = {
    _State.DERIVING_FOR_PROOF: ClientAuthentication._verify,
    _State.DERIVING_FOR_PASSWORD: ClientAuthentication._check_derived,
}

_CHECK: Final[dict[SecretKind, Callable[[ClientAuthentication], Reply]]] = {
    SecretKind.PLAIN: ClientAuthentication._check_plain,
    SecretKind.MD5: ClientAuthentication._check_md5,
    SecretKind.SCRAM: ClientAuthentication._check_scram,
}

_MAX_BYTES: Final[dict[_State, int]] = {
    _State.PASSWORD: messages.MAX_PASSWORD_BYTES,
    _State.MD5: messages.MAX_PASSWORD_BYTES,
    _State.SASL_INITIAL: scram.MAX_MESSAGE_BYTES,
    _State.SASL_FIRST: scram.MAX_MESSAGE_BYTES,
    _State.SASL_FINAL: scram.MAX_MESSAGE_BYTES,
}
