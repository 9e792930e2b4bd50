"""A transaction block whose server is gone: what the proxy answers in PostgreSQL's place until the block ends.

PostgreSQL lets a failed block do three things: end, close statements and portals, and define and describe what would
end it; all else hears 25P02 (postgres.c). The same here, over both protocols, without a server.

Rules:
1. An error that the client has not heard yet is told with the first statement that is not a ROLLBACK, or the first
   Sync; a COMMIT hears it too, for its answer would pass for success.
2. Nothing here is asked while a server is leased: `LOST` is a state of clients without one.
3. What is not certain to be the end of the block and nothing else is not taken for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from trunkline.errors import TransactionAborted, TrunklineError, UnknownPortal, UnknownStatement
from trunkline.protocol.messages import (
    BIND_COMPLETE,
    CLOSE_COMPLETE,
    NO_DATA,
    PARSE_COMPLETE,
    command_complete,
    error_response,
    message,
    ready_for_query,
)
from trunkline.protocol.statement import Statement, intern
from trunkline.proxy.losses import ABORTED, Farewell

_BLANK = rb"(?:\s|--[^\r\n]*|/\*(?:[^*/]|\*(?!/)|/(?!\*))*\*/)"
_END = re.compile(
    rb"%b*(?:(?P<rollback>rollback|abort)|commit|end|(?P<prepare>prepare%b+transaction%b+'[^'\\]*'))"
    rb"(?:%b+(?:work|transaction))?(?:%b+and%b+no%b+chain)?%b*(?:(?P<semicolon>;)%b*)*(?P<more>.*)" % ((_BLANK,) * 9),
    re.IGNORECASE | re.DOTALL,
)
NAME_BYTES = 63  # NAMEDATALEN - 1
NO_PARAMETERS = message(b"t", b"\0\0")


class Client(Protocol):
    """What is needed of a ClientLink."""

    names: dict[bytes, Statement] | None
    unnamed: bytes | None

    def name(self, name: bytes, statement: Statement | None) -> None: ...


@dataclass(frozen=True, slots=True)
class Ending:
    """A text that begins with the end of a block."""

    keeps: bool  # it wanted the changes kept
    more: bool  # other statements follow


def ending_of(sql: bytes) -> Ending | None:
    """What the text ends, or None: then it is nothing but a statement that fails."""
    found = _END.match(sql)
    if found is None or (found["more"] and not found["semicolon"]):
        return None
    return Ending(keeps=not found["rollback"], more=bool(found["more"]))


@dataclass(slots=True)
class LostBlock:
    """One client's; `error` is what it has not heard yet. In a batch outside a block only that is told."""

    client: Client
    in_block: bool
    error: TrunklineError | None
    began_at: float
    portals: dict[bytes, bytes] = field(default_factory=dict)

    @classmethod
    def after(cls, client: Client, end: Farewell, began_at: float) -> LostBlock | None:
        """What stands between the client and its next statement, if anything does."""
        if not end.in_block and not end.pending:
            return None
        return cls(client, end.in_block, end.error if end.pending else None, began_at)

    @property
    def status(self) -> bytes:
        return b"E" if self.in_block else b"I"

    # --- simple queries -----------------------------------------------------------------------------------------

    def query(self, sql: bytes) -> bytes | None:
        """The whole answer; None when the block is over and the text is to be run as it is."""
        ending = ending_of(sql) if self.in_block else None
        if ending is not None and ending.more and not ending.keeps:
            self.in_block = False
            self.error = None
            return None
        if ending is None or ending.more:
            said = self._error()
        elif ending.keeps and self.error is not None:
            said = self._error()
            self.in_block = False
        else:
            said = command_complete("ROLLBACK")
            self.in_block = False
            self.error = None
        return said + ready_for_query(self.status)

    def _error(self) -> bytes:
        error, self.error = self.error, None
        return error_response(error or TransactionAborted(ABORTED))

    def function(self) -> bytes:
        """A function call, which no block lets through once it has failed."""
        return self._error() + ready_for_query(self.status)

    @property
    def over(self) -> bool:
        return not self.in_block and self.error is None

    # --- the extended protocol: an answer, and whether it was an error ------------------------------------------------

    def message(self, kind: str, body: bytes) -> tuple[bytes, bool]:
        """The answer to one message, and whether all up to Sync is skipped from now on."""
        try:
            return _ANSWERS[kind](self, body), False
        except TrunklineError as error:
            return error_response(error), True

    def sync(self) -> bytes:
        """Without a block it would have committed here; and no block is called failed before its error was told."""
        said = b"" if self.error is None else self._error()
        return said + ready_for_query(self.status)

    def _refuse(self) -> TrunklineError:
        error, self.error = self.error, None
        return error or TransactionAborted(ABORTED)

    def _ends(self, sql: bytes) -> Ending:
        ending = ending_of(sql) if self.in_block else None
        if ending is None or ending.more:
            raise self._refuse()
        return ending

    def _parse(self, body: bytes) -> bytes:
        name, sql = _strings(body, 2)
        self._ends(sql)
        if name:
            self.client.name(name[:NAME_BYTES], intern(body[len(name) + 1 :]))
        else:
            self.client.unnamed = message(b"P", body)
        return PARSE_COMPLETE

    def _statement(self, name: bytes) -> bytes:
        if name:
            known = (self.client.names or {}).get(name[:NAME_BYTES])
            body = known.body if known is not None else None
        else:
            body = self.client.unnamed[6:] if self.client.unnamed is not None else None
        if body is None:
            raise _unknown(name)
        return body.split(b"\0", 1)[0]

    def _bind(self, body: bytes) -> bytes:
        portal, name = _strings(body, 2)
        sql = self._statement(name)
        self._ends(sql)
        self.portals[portal] = sql
        return BIND_COMPLETE

    def _describe(self, body: bytes) -> bytes:
        name = body[1:].rstrip(b"\0")
        if body[:1] == b"S":
            self._ends(self._statement(name))
            return NO_PARAMETERS + NO_DATA
        self._ends(self._portal(name))
        return NO_DATA

    def _portal(self, name: bytes) -> bytes:
        if name not in self.portals:
            if self.error is not None:
                raise self._refuse()
            raise UnknownPortal(f'portal "{name.decode(errors="replace")}" does not exist')
        return self.portals[name]

    def _execute(self, body: bytes) -> bytes:
        ending = self._ends(self._portal(*_strings(body, 1)))
        self.in_block = False
        if ending.keeps and self.error is not None:
            raise self._refuse()
        self.error = None
        return command_complete("ROLLBACK")

    def _close(self, body: bytes) -> bytes:
        name = body[1:].rstrip(b"\0")
        if body[:1] == b"P":
            self.portals.pop(name, None)
        elif name:
            self.client.name(name[:NAME_BYTES], None)
        else:
            self.client.unnamed = None
        return CLOSE_COMPLETE


def _strings(body: bytes, count: int) -> list[bytes]:
    """The zero-terminated strings with which a message begins."""
    parts = body.split(b"\0", count)
    if len(parts) <= count:
        raise TransactionAborted(ABORTED)  # malformed: no statement at all, let alone the end of the block
    return parts[:count]


def _unknown(name: bytes) -> UnknownStatement:
    if not name:
        return UnknownStatement("unnamed prepared statement does not exist")
    return UnknownStatement(f'prepared statement "{name.decode(errors="replace")}" does not exist')


_ANSWERS: Mapping[str, Callable[[LostBlock, bytes], bytes]] = {
    "P": LostBlock._parse,
    "B": LostBlock._bind,
    "D": LostBlock._describe,
    "E": LostBlock._execute,
    "C": LostBlock._close,
}
