"""Clients that say anything, servers that answer anything, in any slices, through one pool.

The invariant: nothing crashes, and no client ever gets a byte that was meant for another. Each client writes its own
mark into whatever it sends; the far end of a server repeats the mark of the request it answers, and each byte that
comes out at a client may carry its mark only. When it is all over, what is in the idle place is proved to be free.
"""

from __future__ import annotations

import asyncio
import logging
import re
import struct
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.relay import (
    SYNC,
    FarEnd,
    Relay,
    bind,
    close,
    config,
    describe,
    error,
    execute,
    parse,
    query,
)
from trunkline.protocol.messages import command_complete, message, parameter_status, ready_for_query

MARK = re.compile(rb"<client-(\d)>")
CLIENTS = 3

# --- what clients say ------------------------------------------------------------------------------------------------

NAMES = (b"", b"a", b"b")
requests: dict[str, Callable[[bytes, bytes], bytes]] = {
    "query": lambda mark, name: query(b"select " + mark),
    "begin": lambda mark, name: query(b"begin " + mark),
    "commit": lambda mark, name: query(b"commit " + mark),
    "fail": lambda mark, name: query(b"fail " + mark),
    "copy": lambda mark, name: query(b"copy " + mark),
    "parse": lambda mark, name: parse(name, b"select " + mark),
    "parse_shared": lambda mark, name: parse(name, b"select 1"),
    "parse_failing": lambda mark, name: parse(name, b"fail " + mark),
    "parse_large": lambda mark, name: parse(name, b"select " + mark + b"x" * 70_000),
    "bind": lambda mark, name: bind(name),
    "describe": lambda mark, name: describe(name),
    "describe_portal": lambda mark, name: describe(b"", b"P"),
    "execute": lambda mark, name: execute(),
    "close": lambda mark, name: close(name),
    "sync": lambda mark, name: SYNC,
    "flush": lambda mark, name: message(b"H", b""),
    "copy_data": lambda mark, name: message(b"d", mark * 5),
    "copy_done": lambda mark, name: message(b"c", b""),
    "copy_fail": lambda mark, name: message(b"f", b"why\0"),
    "function": lambda mark, name: message(b"F", bytes(14)),
    "terminate": lambda mark, name: message(b"X", b""),
    "illegal_type": lambda mark, name: message(b"?", mark),
    "illegal_length": lambda mark, name: struct.pack("!BI", ord("Q"), 3),
    "no_name": lambda mark, name: message(b"P", b"no zero byte"),
    "empty_bind": lambda mark, name: message(b"B", b""),
    "empty_close": lambda mark, name: message(b"C", b""),
}
HARMLESS = [name for name in requests if not name.startswith(("illegal", "terminate"))]


# --- a server, as far as the wire goes -------------------------------------------------------------------------------


class ScriptedServer:
    """Answers what it is sent, in order, as PostgreSQL would at its simplest; says something illegal when told to."""

    def __init__(self, far: FarEnd) -> None:
        self.far = far
        self.mark = b""  # of the request being answered
        self.portal: bytes | None = None  # the mark of what the unnamed portal runs
        self.statements: dict[bytes, bytes] = {}
        self.skipping = self.copying = False
        self.status = b"I"

    def serve(self) -> bytes:
        return b"".join(self.answer(kind, body) for kind, body in self.far.frames())

    def answer(self, kind: str, body: bytes) -> bytes:
        if kind not in "dcfSH":
            found = MARK.search(body)
            self.mark = found[0] if found is not None else b""
        if self.copying:
            return self._in_copy(kind)
        if kind == "S":
            self.skipping = False
            return self._ready()
        if self.skipping or kind in "HXdcf":
            return b""
        return _ANSWERS[kind](self, body)

    def _ready(self) -> bytes:
        if self.status == b"I":
            self.portal = None
        return ready_for_query(self.status)

    def _in_copy(self, kind: str) -> bytes:
        if kind in "dSH":
            return b""
        self.copying = False
        if kind != "c":
            return error("57014", self.mark.decode()) + self._ready()
        return command_complete("COPY 1 " + self.mark.decode()) + self._ready()

    def _rows(self) -> bytes:
        value = self.mark or b"1"
        row = message(b"D", b"\0\1" + len(value).to_bytes(4, "big") + value)
        return row + command_complete("SELECT " + self.mark.decode())

    def query(self, body: bytes) -> bytes:
        word = body.split(b" ")[0].rstrip(b"\0")
        self.status = {b"begin": b"T", b"commit": b"I"}.get(word, self.status)
        self.statements.pop(b"", None)
        self.portal = None
        if word == b"fail":
            self.status = b"E" if self.status != b"I" else b"I"
            return error(text=self.mark.decode()) + self._ready()
        if word == b"copy":
            self.copying = True
            return message(b"G", b"\0\0\0")
        if word == b"SELECT":  # set_config of ours
            return self._rows() + parameter_status(b"TimeZone", b"UTC") + self._ready()
        return message(b"T", b"\0\1c\0" + bytes(18)) + self._rows() + self._ready()

    def fail(self, sqlstate: str = "42601") -> bytes:
        self.skipping = True
        self.status = b"E" if self.status != b"I" else b"I"
        return error(sqlstate, self.mark.decode())

    def parse(self, body: bytes) -> bytes:
        name, _, rest = body.partition(b"\0")
        if b"fail" in rest or not rest:
            return self.fail()
        if name and name in self.statements:
            return self.fail("42P05")
        self.statements[name] = rest
        return message(b"1", b"")

    def bind(self, body: bytes) -> bytes:
        name = ([*body.split(b"\x00"), b"", b""])[1]
        statement = self.statements.get(name)
        if statement is None:
            return self.fail("26000")
        found = MARK.search(statement)
        self.portal = found[0] if found is not None else b""
        return message(b"2", b"")

    def describe(self, body: bytes) -> bytes:
        if body[:1] == b"S" and body[1:-1] not in self.statements:
            return self.fail("26000")
        return (message(b"t", b"\0\0") if body[:1] == b"S" else b"") + message(b"n", b"")

    def execute(self, body: bytes) -> bytes:
        if self.portal is None:
            return self.fail("34000")
        self.mark = self.portal
        return self._rows()

    def close(self, body: bytes) -> bytes:
        if body[:1] == b"S":
            self.statements.pop(body[1:-1], None)
        return message(b"3", b"") if body else self.fail()

    def function(self, body: bytes) -> bytes:
        return message(b"V", b"\xff\xff\xff\xff") + self._ready()


_ANSWERS = {
    "Q": ScriptedServer.query,
    "P": ScriptedServer.parse,
    "B": ScriptedServer.bind,
    "D": ScriptedServer.describe,
    "E": ScriptedServer.execute,
    "C": ScriptedServer.close,
    "F": ScriptedServer.function,
}
LIES = [message(b"1", b""), message(b"D", b"\0\0"), ready_for_query(), b"?\0\0\0\4", b"D\0\0\0\0", b"Z\xff\xff\xff\xff"]
LIES += [error("57P01", "shutting down", "FATAL"), b"D\0\1\0\0unfinished", parameter_status(b"TimeZone", b"CET")]


# --- the run ---------------------------------------------------------------------------------------------------------


class Run:
    """One example: a relay, its clients' far ends, and what each of them received."""

    def __init__(self, servers: int) -> None:
        self.relay = Relay(config(default_pool_size=servers, session_state="pgbouncer"))
        self.ends = [self.relay.client()[1] for _ in range(CLIENTS)]
        self.received = [b""] * CLIENTS
        self.scripts: dict[int, ScriptedServer] = {}

    def say(self, client: int, name: str, statement: bytes, slices: int) -> None:
        data = requests[name](b"<client-%d>" % client, statement)
        step = max(len(data) // slices, 1)
        for start in range(0, len(data), step):
            try:
                self.ends[client].send(data[start : start + step])
            except (BrokenPipeError, ConnectionResetError, BlockingIOError):
                return
            self.relay.turn(2)

    def serve(self, slices: int = 1, lie: bytes = b"") -> None:
        for number, (server, far) in enumerate(self.relay.opener.opened):
            script = self.scripts.setdefault(number, ScriptedServer(far))
            said = script.serve() + (lie if server.lessee is not None else b"")
            step = max(len(said) // slices, 1)
            for start in range(0, len(said), step):
                try:
                    far.send(said[start : start + step])
                except (BrokenPipeError, ConnectionResetError):
                    break
                self.relay.turn(2)
        self.relay.turn(2)

    def check(self) -> None:
        for number, end in enumerate(self.ends):
            self.received[number] += end.bytes()
            marks = set(MARK.findall(self.received[number]))
            assert marks <= {b"%d" % number}, f"client {number} got {marks}"
        for server in self.relay.pool.idle:
            assert server.session.free
            assert server.lessee is None


steps = st.lists(
    st.tuples(
        st.integers(0, CLIENTS - 1),
        st.sampled_from(list(requests)) | st.sampled_from(HARMLESS) | st.sampled_from(HARMLESS),
        st.sampled_from(NAMES),
        st.sampled_from([1, 1, 1, 2, 7, 1000]),
        st.booleans(),  # whether servers answer behind it
    ),
    max_size=40,
)


async def play(sequence: list[tuple[int, str, bytes, int, bool]], servers: int, lie_at: int, lie: bytes) -> Run:
    run = Run(servers)
    try:
        for number, (client, name, statement, slices, answer) in enumerate(sequence):
            run.say(client, name, statement, slices)
            await run.relay.settle(3)
            if answer or number == lie_at:
                run.serve(slices, lie if number == lie_at else b"")
            run.check()
        for _ in range(3):
            run.serve()
            await run.relay.settle(3)
            run.check()
    finally:
        await run.relay.close()
    return run


@pytest.fixture(autouse=True)
def no_internal_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, logger="trunkline")


def internal_errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.exc_info]


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(sequence=steps, servers=st.integers(1, 3))
def test_no_client_gets_a_byte_of_another(
    caplog: pytest.LogCaptureFixture, sequence: list[tuple[int, str, bytes, int, bool]], servers: int
) -> None:
    caplog.clear()
    asyncio.run(play(sequence, servers, -1, b""))
    assert not internal_errors(caplog)


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(sequence=steps, servers=st.integers(1, 2), lie_at=st.integers(0, 39), lie=st.sampled_from(LIES))
def test_nor_when_servers_lie(
    caplog: pytest.LogCaptureFixture,
    sequence: list[tuple[int, str, bytes, int, bool]],
    servers: int,
    lie_at: int,
    lie: bytes,
) -> None:
    caplog.clear()
    asyncio.run(play(sequence, servers, lie_at, lie))
    assert not internal_errors(caplog)


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.integers(0, CLIENTS - 1), st.binary(max_size=40) | st.just(b"Q\0\0\0\x05\0")), max_size=30)
)
def test_any_bytes_of_a_client_are_borne(chunks: list[tuple[int, bytes]]) -> None:
    async def garble() -> None:
        run = Run(1)
        try:
            for client, chunk in chunks:
                try:
                    run.ends[client].send(chunk)
                except (BrokenPipeError, ConnectionResetError):
                    continue
                await run.relay.settle(3)
                run.serve()
                run.check()
        finally:
            await run.relay.close()

    asyncio.run(garble())
