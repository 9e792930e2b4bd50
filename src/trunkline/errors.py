"""The one tree of errors: each class says its SQLSTATE, severity, stable code and hint, once.

Rules:
1. An error that a client can see is a ``TrunklineError``; its ``code`` (``TLnnnn``) never changes meaning.
2. The SQLSTATE says the truth (PostgreSQL documentation, appendix A). Class 08 and 57P01 to 57P03 make drivers
   drop the connection, so they are used only where the connection or its transaction is really lost.
3. A text here never names a host, a password or a key: those belong to the log, and secrets not even there.
"""

from __future__ import annotations

import secrets
from typing import ClassVar, Self


class TrunklineError(Exception):
    """Base of all errors; carries what an ErrorResponse needs (protocol documentation, section 55.8)."""

    code: ClassVar[str] = "TL0000"
    sqlstate: str = "XX000"
    severity: str = "ERROR"
    hint: str | None = None
    position: int | None = None  # in the text of the statement, in characters, from 1

    def __init__(self, message: str, *, detail: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        if hint is not None:
            self.hint = hint


class ConfigError(TrunklineError):
    """The operator wrote something that cannot be used; the old settings stay whole."""

    code = "TL0001"
    sqlstate = "F0000"


class InternalError(TrunklineError):
    """Our own bug: only the client that met it is closed, and its server connection with it."""

    code = "TL0002"
    severity = "FATAL"

    @classmethod
    def incident(cls) -> Self:
        """One with a number of its own, by which the client's report is found in the log."""
        return cls(f"internal error (incident {secrets.token_hex(4)})")


# --- what a peer sent -------------------------------------------------------------------------------------------


class ProtocolViolation(TrunklineError):
    """The client broke the protocol; there is no safe way to find the next message, so the connection ends."""

    code = "TL0100"
    sqlstate = "08P01"
    severity = "FATAL"


class UnsupportedProtocol(TrunklineError):
    """A protocol major version that PostgreSQL itself no longer speaks."""

    code = "TL0101"
    sqlstate = "0A000"
    severity = "FATAL"


class MessageTooLarge(TrunklineError):
    """A message above max_packet_size, refused before any of its body is read."""

    code = "TL0102"
    sqlstate = "54000"
    severity = "FATAL"


class ServerProtocolViolation(TrunklineError):
    """A server sent what no PostgreSQL would; its connection is closed and nothing of it reaches a client."""

    code = "TL0103"
    sqlstate = "08006"
    severity = "FATAL"


# --- login ------------------------------------------------------------------------------------------------------


class AuthenticationFailed(TrunklineError):
    """Wrong password, unknown user: one error for both, so that neither can be told from the other."""

    code = "TL0200"
    sqlstate = "28P01"
    severity = "FATAL"


class NotAuthorized(TrunklineError):
    """TLS or a certificate was required and is missing, or this user may not do this at all."""

    code = "TL0201"
    sqlstate = "28000"
    severity = "FATAL"


class UnknownDatabase(TrunklineError):
    """Told only after authentication."""

    code = "TL0202"
    sqlstate = "3D000"
    severity = "FATAL"


class LoginTimeout(TrunklineError):
    """The client did not finish its login within client_login_timeout."""

    code = "TL0203"
    sqlstate = "08P01"
    severity = "FATAL"


class InvalidStartupOption(TrunklineError):
    """The startup packet's ``options`` hold a switch that the server would refuse (PostgreSQL: postgres.c)."""

    code = "TL0204"
    sqlstate = "42601"
    severity = "FATAL"


class InvalidStartupValue(TrunklineError):
    """A value in the startup packet that PostgreSQL refuses before anybody has logged in (backend_startup.c)."""

    code = "TL0205"
    sqlstate = "22023"
    severity = "FATAL"


class AuthUnavailable(TrunklineError):
    """Whoever is to say who a user is cannot be asked, or answers what cannot be used; why, is the log's."""

    code = "TL0206"
    sqlstate = "F0000"
    severity = "FATAL"


class DatabaseDisabled(TrunklineError):
    """New clients are refused (DISABLE); those who are in go on."""

    code = "TL0207"
    sqlstate = "55000"
    severity = "FATAL"


# --- limits and timers ------------------------------------------------------------------------------------------


class TooManyConnections(TrunklineError):
    """max_client_conn or a per-database or per-user limit is reached."""

    code = "TL0300"
    sqlstate = "53300"
    severity = "FATAL"


class PoolTimeout(TrunklineError):
    """No server became free within query_wait_timeout; the client is kept."""

    code = "TL0301"
    sqlstate = "53300"
    hint = "All server connections were busy; see SHOW POOLS, pool_size and query_wait_timeout."


class QueryTimeout(TrunklineError):
    code = "TL0302"
    sqlstate = "57014"
    severity = "FATAL"


class IdleTransactionTimeout(TrunklineError):
    code = "TL0303"
    sqlstate = "25P03"
    severity = "FATAL"


class TransactionTimeout(TrunklineError):
    code = "TL0304"
    sqlstate = "25P04"
    severity = "FATAL"


class IdleClientTimeout(TrunklineError):
    code = "TL0305"
    sqlstate = "57P05"
    severity = "FATAL"


class QueryCanceled(TrunklineError):
    """A cancel request met the query while it still waited for a server."""

    code = "TL0306"
    sqlstate = "57014"


class TransactionBlockRefused(TrunklineError):
    """Statement pooling: a transaction of several statements cannot be kept on one server."""

    code = "TL0307"
    sqlstate = "0A000"
    severity = "FATAL"
    hint = 'Use pool_mode = "transaction" for this database or user.'


class TransactionAborted(TrunklineError):
    """What PostgreSQL says in a failed transaction block; said by us when the server of that block is gone."""

    code = "TL0308"
    sqlstate = "25P02"


class UnknownStatement(TrunklineError):
    """A name that no prepared statement has, used where no server can be asked."""

    code = "TL0309"
    sqlstate = "26000"


class UnknownPortal(TrunklineError):
    """As `UnknownStatement`, for a portal."""

    code = "TL0310"
    sqlstate = "34000"


# --- servers ----------------------------------------------------------------------------------------------------


class ServerUnavailable(TrunklineError):
    """No server could be reached; which one stands in the log, not in what a client sees."""

    code = "TL0400"
    sqlstate = "08001"
    severity = "FATAL"


class ServerLost(TrunklineError):
    """The server connection went away while this client was using it."""

    code = "TL0401"
    sqlstate = "08006"
    severity = "FATAL"


class ServerRefused(TrunklineError):
    """A server's own refusal at login or while applying startup parameters; its SQLSTATE and words are kept.
    Or ours (28000) where it asks for what nobody could answer.

    ``authenticated`` says whether it came behind the server's AuthenticationOk.
    """

    code = "TL0402"
    severity = "FATAL"

    def __init__(
        self,
        sqlstate: str,
        message: str,
        *,
        detail: str | None = None,
        hint: str | None = None,
        authenticated: bool = True,
    ) -> None:
        super().__init__(message, detail=detail, hint=hint)
        self.sqlstate = sqlstate
        self.authenticated = authenticated


class CommitOutcomeUnknown(TrunklineError):
    """The server was lost while a COMMIT was under way: it may or may not have happened."""

    code = "TL0403"
    sqlstate = "08007"
    severity = "FATAL"


class ListenerLost(TrunklineError):
    """Notifications for this client may have been missed, as if the server that it listened at had been lost."""

    code = "TL0404"
    sqlstate = "08006"
    severity = "FATAL"


class SlowListener(TrunklineError):
    """A client does not read its notifications, and more are not kept for it."""

    code = "TL0405"
    sqlstate = "53200"
    severity = "FATAL"


class NoReplica(TrunklineError):
    """No replica may answer a read, and the primary is not to."""

    code = "TL0406"
    sqlstate = "57P03"


# --- routing ----------------------------------------------------------------------------------------------------


class StatementRefused(TrunklineError):
    """A statement that has no right answer from one shard; the plan says why."""

    code = "TL0700"
    sqlstate = "0A000"


class TransactionSpansShards(TrunklineError):
    """A statement for one shard in a transaction, or a batch, that is on another."""

    code = "TL0701"
    sqlstate = "0A000"
    hint = "Statements of one transaction have to concern one shard: use a transaction for each."


class UnknownShard(TrunklineError):
    """A hint names a shard that there is not."""

    code = "TL0702"
    sqlstate = "42704"


class InvalidPosition(TrunklineError):
    """A token of what has been written that is none of this database."""

    code = "TL0703"
    sqlstate = "22023"


# --- operation --------------------------------------------------------------------------------------------------


class ShuttingDown(TrunklineError):
    code = "TL0500"
    sqlstate = "57P01"
    severity = "FATAL"


class DatabasePaused(TrunklineError):
    code = "TL0501"
    sqlstate = "57P03"


class NoPrimary(TrunklineError):
    """Nobody is believed to be the primary of a database with replicas, and none came in time."""

    code = "TL0502"
    sqlstate = "57P03"
    hint = "SHOW REPLICAS in the console says what has been found."


class SwitchRefused(TrunklineError):
    """SWITCH DATABASE has given up, and everything is as it was; the target or the moment is not right for it."""

    code = "TL0510"
    sqlstate = "55000"


class SwitchTooLong(TrunklineError):
    """SWITCH DATABASE has given up, and everything is as it was: what it waited for did not happen in time."""

    code = "TL0511"
    sqlstate = "57014"


class SwitchUnderWay(TrunklineError):
    """One SWITCH of a database at a time."""

    code = "TL0512"
    sqlstate = "55006"


class SwitchOutcomeUnknown(TrunklineError):
    """The target was told to be the primary, and has not said that it is."""

    code = "TL0513"
    sqlstate = "58000"


class AdminNotAllowed(TrunklineError):
    code = "TL0600"
    sqlstate = "42501"


class AdminSyntaxError(TrunklineError):
    code = "TL0601"
    sqlstate = "42601"
    hint = "SHOW HELP lists the commands."
