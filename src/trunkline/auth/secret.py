"""What is stored for a user, and what stands in for it where nothing is stored.

1. A ``Secret`` never shows itself: not in a repr, not in an error.
2. A login with no usable secret goes through the same steps, with the same bytes and the same work, as one that has a
   secret and a wrong password: it is given a mock, which no password opens (``LoginSeed.mock``).
"""

from __future__ import annotations

import enum
import hmac
import re
from dataclasses import dataclass, field

from trunkline.auth.md5 import md5_secret
from trunkline.auth.scram import DEFAULT_ITERATIONS, SALT_BYTES, ScramSecret

_md5 = re.compile(r"md5[0-9a-fA-F]{32}").fullmatch


_SCRAM_PREFIX = "SCRAM-SHA-256$"


class SecretKind(enum.Enum):
    PLAIN = "plain"
    MD5 = "md5"
    SCRAM = "scram-sha-256"


@dataclass(frozen=True, slots=True)
class Secret:
    """A stored secret, as its text and, for SCRAM, taken apart. ``doomed``: a mock, which never matches."""

    kind: SecretKind
    text: str = field(repr=False)
    scram: ScramSecret | None = field(default=None, repr=False)
    doomed: bool = field(default=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Secret:
        """The kind is told by the form alone, as PostgreSQL's get_password_type does; what fits no form is plain."""
        if _md5(text):
            return cls(SecretKind.MD5, text.lower())
        scram = ScramSecret.parse(text)
        return cls(SecretKind.PLAIN, text) if scram is None else cls(SecretKind.SCRAM, text, scram)

    @staticmethod
    def kind_of(text: str) -> SecretKind:
        """As `parse` would tell of a secret that a server has made; for where there are thousands."""
        if _md5(text):
            return SecretKind.MD5
        return SecretKind.SCRAM if text.startswith(_SCRAM_PREFIX) else SecretKind.PLAIN

    @property
    def raw(self) -> bytes:
        """The text as bytes; a userlist may hold passwords that are not UTF-8."""
        return self.text.encode(errors="surrogateescape")

    def md5_text(self, user: str) -> str:
        """The md5 form of a plain or md5 secret."""
        return self.text if self.kind is SecretKind.MD5 else md5_secret(user, self.text)


@dataclass(frozen=True, slots=True)
class LoginSeed:
    """What makes salts and mocks stable for each user name, and unpredictable to who does not know ``seed``.

    All workers share one: with a seed each, the salt of a plain-text user would change from connection to connection
    exactly where that of a stored SCRAM secret does not. ``kind`` is that of most real secrets, so that the login of an
    unknown user takes the way, and the time, that theirs takes.
    """

    seed: bytes = field(repr=False)
    kind: SecretKind = SecretKind.PLAIN
    iterations: int = DEFAULT_ITERATIONS

    def salt(self, user: str) -> bytes:
        """The SCRAM salt for a user whose secret carries none."""
        return self._derive("salt", user)[:SALT_BYTES]

    def mock(self, user: str, kind: SecretKind | None = None) -> Secret:
        """A secret for a user who has none that could match."""
        return _MOCKS[kind or self.kind](self, user)

    def _derive(self, purpose: str, user: str) -> bytes:
        return hmac.digest(self.seed, f"{purpose}:{user}".encode(errors="surrogateescape"), "sha256")

    def _plain(self, user: str) -> Secret:
        return Secret(SecretKind.PLAIN, self._derive("password", user).hex(), doomed=True)

    def _md5(self, user: str) -> Secret:
        return Secret(SecretKind.MD5, "md5" + self._derive("password", user).hex()[:32], doomed=True)

    def _scram(self, user: str) -> Secret:
        keys = self._derive("stored key", user), self._derive("server key", user)
        scram = ScramSecret(self.iterations, self.salt(user), *keys)
        return Secret(SecretKind.SCRAM, scram.format(), scram, doomed=True)


_MOCKS = {
    SecretKind.PLAIN: LoginSeed._plain,
    SecretKind.MD5: LoginSeed._md5,
    SecretKind.SCRAM: LoginSeed._scram,
}
