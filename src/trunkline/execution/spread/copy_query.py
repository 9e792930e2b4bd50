"""COPY (SELECT ...) TO STDOUT: rows of several shards, written as one server would write them.

Where the rows of one shard come behind those of another, each shard writes its own. Else they are written here: what
the client is told before the first of them (formats, header, or what is wrong with the options) is what one shard says
to the same COPY without rows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from trunkline.execution.merge.merger import cells_of_row, rows_of
from trunkline.execution.refusals import refused
from trunkline.execution.spread.asked import Answer, Asked, Run
from trunkline.execution.spread.copy_out import BINARY_END, COPY_DONE, copy_out
from trunkline.execution.spread.copy_written import line_writer
from trunkline.execution.spread.participant import Participant, as_error
from trunkline.execution.spread.participants import Participants
from trunkline.protocol.messages import message, query
from trunkline.routing.spreading.copied import CopyQuery
from trunkline.routing.spreading.request import Concatenation
from trunkline.routing.spreading.writing_copy import OTHER_ENCODING, CopyAll

_MESSAGE_HEADER = 5  # type and size; what follows them in a DataRow is a tuple of binary COPY
_BINARY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)


async def copy_query(run: Run, program: CopyQuery, asked: Asked, participants: Participants) -> Answer:
    """Begin it; `run` runs the query's own program."""
    assert asked.inner is not None
    is_binary = program.form == "binary"
    if isinstance(program.program, Concatenation):
        text = _copy_of(program.program.sql, program)
        return await copy_out(CopyAll(text, is_binary, program.header), asked, participants)
    alone = not any(participants) and not participants.in_transaction
    first = next(iter(participants), None) or await participants.at(asked.home)
    if first.translates and not is_binary:
        raise refused(OTHER_ENCODING)
    beginning = await _beginning(first, _copy_of(b"SELECT * FROM (%b\n) AS q LIMIT 0" % program.inner.sql, program))
    if alone:  # what it needs now is leased in the order of the shards
        participants.release()
    inner = replace(asked.inner, result_formats=(1,) if is_binary else ())
    answer = await run(program.program, inner, participants)
    if is_binary:
        return CopyOfRows(answer, beginning[:1], _tuples, head=_BINARY_HEADER, end=BINARY_END)
    write = line_writer(program, [one.name for one in inner.described.fields or ()])
    return CopyOfRows(answer, beginning, lambda run: _lines(run, write))


def _copy_of(sql: bytes, program: CopyQuery) -> bytes:
    return b"COPY (%b\n) %b" % (sql, program.tail)


async def _beginning(one: Participant, sql: bytes) -> list[bytes]:
    """CopyOutResponse and what stands before the first row; StatementFailed in the server's words."""
    one.request(query(sql), ("query",))
    found, error = [], None
    while True:
        kind, body = await one.message()
        if kind in b"Hd":
            found.append(message(bytes([kind]), body))
        elif kind == ord("E"):
            error = error or as_error(body)
        elif kind == ord("Z"):
            break
    if error is not None:
        raise error
    return found


def _tuples(run: bytes) -> bytes:
    return b"".join([message(b"d", row[_MESSAGE_HEADER:]) for row in rows_of(run)])


def _lines(run: bytes, write: Callable[[list[bytes | None]], bytes]) -> bytes:
    return b"".join([message(b"d", write(cells_of_row(row))) for row in rows_of(run)])


class CopyOfRows:
    """The rows of an answer as the messages of a COPY; `head` goes with what comes first of them and of `end`."""

    def __init__(
        self,
        answer: Answer,
        beginning: list[bytes],
        write: Callable[[bytes], bytes],
        *,
        head: bytes = b"",
        end: bytes = b"",
    ) -> None:
        self._answer = answer
        self._beginning = beginning
        self._write = write
        self._head = head
        self._end = end

    async def rows(self) -> AsyncIterator[bytes]:
        """The whole of it."""
        yield b"".join(self._beginning)
        async for run in self._answer.rows():
            yield self._headed(self._write(run))
        if self._end:
            yield self._headed(message(b"d", self._end))
        yield COPY_DONE

    def _headed(self, messages: bytes) -> bytes:
        """With the head in the first of these messages, unless it has been said."""
        if not self._head or not messages:
            return messages
        head, self._head = self._head, b""
        end = 1 + int.from_bytes(messages[1:_MESSAGE_HEADER], "big")
        return message(b"d", head + messages[_MESSAGE_HEADER:end]) + messages[end:]

    def tag(self) -> bytes:
        return b"COPY " + self._answer.tag().split()[-1]
