"""A console session over a pair of sockets, message by message."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

import pytest

from tests.integration import wire
from tests.integration.waiting import wait_until
from tests.integration.wire import FLUSH, SYNC, TERMINATE, Frame, Wire, error_fields, frame, rows
from trunkline.admin import console
from trunkline.admin.console import serve_console
from trunkline.admin.show_pools import show_lists
from trunkline.net.inbox import Inbox
from trunkline.proxy.client import ClientLink
from trunkline.proxy.identity import Identity, Peer
from trunkline.proxy.instance import Instance

Enter = Callable[..., Awaitable[Wire]]


@pytest.fixture
async def enter(instance: Instance) -> AsyncIterator[Enter]:
    """`await enter(user)`: a session that has been greeted."""
    async with AsyncExitStack() as stack:

        async def enter(user: str = "ops") -> Wire:
            ours, theirs = socket.socketpair()
            _let_in(instance, ours, user)
            session = await stack.enter_async_context(Wire(*await asyncio.open_connection(sock=theirs)))
            for message in await session.read_until("Z"):
                session._remember(message)
            return session

        yield enter


def _let_in(instance: Instance, ours: socket.socket, user: str) -> None:
    ours.setblocking(False)
    link = ClientLink(instance.engine)
    link.session = identity = Identity(instance.clients, Peer(("127.0.0.1", 1), ("127.0.0.1", 2)))
    identity.user, identity.database = user, "trunkline"
    link.attach(ours.detach())
    inbox = Inbox(link)
    instance.clients.register(link, identity, "console", 4)
    instance.clients.move(link, instance.clients.consoles)
    instance.clients.tasks.spawn(serve_console(instance, link, inbox, identity))


async def ask(session: Wire, *messages: bytes) -> list[Frame]:
    await session.send(*messages, SYNC)
    return await session.read_until("Z")


def types(frames: Sequence[Frame]) -> str:
    return "".join(message.type for message in frames)


def sqlstate(frames: Sequence[Frame]) -> str:
    return error_fields(next(message for message in frames if message.type == "E"))["C"]


async def test_the_greeting_reports_what_drivers_need(enter: Enter) -> None:
    session = await enter()
    assert session.parameters["client_encoding"] == session.parameters["server_encoding"] == "UTF8"
    assert session.parameters["is_superuser"] == "on"
    assert session.backend_pid and len(session.cancel_key) == 4
    assert (await enter("ann")).parameters["is_superuser"] == "off"


# --- simple query -----------------------------------------------------------------------------------------------


async def test_a_simple_query_may_hold_several_statements(enter: Enter) -> None:
    session = await enter()
    assert types(await session.query("show version; begin; show state")) == "TDCCTDDDCZ"
    assert types(await session.query("commit")) == "CZ"
    assert types(await session.query(" ; ")) == "IZ"
    assert types(await session.query("show help")) == "NCZ"


async def test_an_error_ends_its_query_and_not_the_session(enter: Enter) -> None:
    session = await enter()
    frames = await session.query("show version; bogus; show version")
    assert types(frames) == "TDCEZ"
    assert (error_fields(frames[3])["S"], sqlstate(frames)) == ("ERROR", "42601")
    assert types(await session.query("show version")) == "TDCZ"


async def test_ready_for_query_tells_of_the_transaction(enter: Enter) -> None:
    session = await enter()
    told = [
        (await session.query(sql))[-1].body for sql in ("begin", "show state", "bogus", "rollback to a", "rollback")
    ]
    assert told == [b"T", b"T", b"T", b"T", b"I"]


# --- extended query ---------------------------------------------------------------------------------------------


async def test_a_prepared_statement_is_described_and_run_again(enter: Enter) -> None:
    session = await enter()
    frames = await ask(session, wire.parse("show lists", "s"), wire.describe("S", "s"))
    assert types(frames) == "1tTZ"
    for _ in range(2):
        frames = await ask(session, wire.bind("s"), wire.describe("P"), wire.execute(), wire.close("P"))
        assert types(frames) == "2T" + "D" * 14 + "C3Z"


async def test_answers_come_at_a_flush_without_sync(enter: Enter) -> None:
    session = await enter()
    await session.send(wire.parse("show version"), wire.describe("S"), FLUSH)
    assert types(await session.read_until("T")) == "1tT"
    assert types(await ask(session, wire.bind(), wire.execute())) == "2DCZ"


async def test_a_limit_suspends_the_portal(enter: Enter) -> None:
    session = await enter()
    await session.query("begin")
    frames = await ask(session, wire.parse("show lists"), wire.bind(portal="c"), wire.execute("c", 10))
    assert types(frames) == "12" + "D" * 10 + "sZ"
    assert types(await ask(session, wire.execute("c", 10))) == "DDDDCZ"
    assert types(await ask(session, wire.execute("c", 10))) == "CZ"


async def test_portals_end_with_the_transaction(enter: Enter) -> None:
    session = await enter()
    assert types(await ask(session, wire.parse("show lists"), wire.bind(portal="c"))) == "12Z"
    assert sqlstate(await ask(session, wire.execute("c"))) == "34000"


async def test_after_an_error_everything_is_skipped_to_sync(enter: Enter) -> None:
    session = await enter()
    frames = await ask(session, wire.parse("bogus"), wire.bind(), wire.execute(), wire.parse("pause"))
    assert types(frames) == "EZ"
    assert types(await ask(session, wire.parse("show version"), wire.bind(), wire.execute())) == "12DCZ"


async def test_the_empty_query_and_commands_without_rows(enter: Enter) -> None:
    session = await enter()
    frames = await ask(session, wire.parse(""), wire.bind(), wire.describe("P"), wire.execute())
    assert types(frames) == "12nIZ"
    frames = await ask(session, wire.parse("reconnect"), wire.bind(), wire.describe("P"), wire.execute())
    assert types(frames) == "12nCZ"


# --- rights and control -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sql", ["reload", "pause", "resume", "shutdown", "SHUTDOWN wait_for_servers", "pause app"])
async def test_anyone_may_look_and_only_admins_may_touch(enter: Enter, instance: Instance, sql: str) -> None:
    session = await enter("ann")
    assert types(await session.query("show pools")) == "TDCZ"
    assert sqlstate(await session.query(sql)) == "42501"
    assert sqlstate(await ask(session, wire.parse(sql), wire.bind(), wire.execute())) == "42501"
    assert not instance.door.draining and not instance.stopped.is_set() and not instance.pools.paused


async def test_shutdown_is_answered_before_it_happens(enter: Enter, instance: Instance) -> None:
    session = await enter()
    assert types(await session.query("shutdown")) == "CZ"
    assert instance.stopped.is_set()


class _Held:
    """In place of `Instance.pause`: a pause that waits for a server which does not become free."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()

    async def __call__(self, database: str = "") -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()


@pytest.fixture
def held(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> _Held:
    held = _Held()
    monkeypatch.setattr(instance, "pause", held)
    return held


@pytest.mark.parametrize("pipelined", [b"", wire.query("resume"), TERMINATE])
async def test_a_client_that_leaves_abandons_its_command(
    enter: Enter, instance: Instance, held: _Held, pipelined: bytes
) -> None:
    session = await enter()
    await session.send(wire.query("pause"), pipelined)
    await held.begun.wait()
    await session.close()
    await asyncio.wait_for(held.ended.wait(), 10)
    await wait_until(lambda: not len(instance.clients) and not len(instance.clients.consoles))
    assert types(await (await enter()).query("show version")) == "TDCZ"


async def test_what_is_sent_during_a_command_waits_for_its_turn(enter: Enter, instance: Instance) -> None:
    session = await enter()
    await session.send(wire.query("show version"), wire.query("show state"), wire.query("reconnect"))
    assert types(await session.read_until("Z")) == "TDCZ"
    assert types(await session.read_until("Z")) == "TDDDCZ"
    assert types(await session.read_until("Z")) == "CZ"


# --- bounds -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        frame("?"),
        frame("F"),
        frame("Q", b"no end"),
        frame("B", b"\0\0\0\1"),
        frame("D", b"Xname\0"),
        frame("Q", length=3),
        frame("Q", length=1 << 30),
    ],
)
async def test_a_broken_protocol_ends_the_session_with_08p01(enter: Enter, instance: Instance, message: bytes) -> None:
    session = await enter()
    await session.send(message)
    (last,) = await session.read_frames_to_end()
    assert (error_fields(last)["S"], error_fields(last)["C"]) == ("FATAL", "08P01")
    await session.close()
    await wait_until(lambda: not len(instance.clients))


async def test_the_largest_query_is_answered(enter: Enter) -> None:
    session = await enter()
    longest = "show version;" + " " * (console.MAX_MESSAGE_BYTES - len("show version;") - 1)
    assert types(await session.query(longest)) == "TDCZ"


async def test_a_client_that_does_not_read_is_waited_for(enter: Enter, instance: Instance) -> None:
    session = await enter()
    await session.send(wire.query("show config;" * 400))
    (link,) = instance.clients
    await wait_until(lambda: link.unsent_count > console.MAX_UNSENT_BYTES)
    assert link.unsent_count < console.MAX_UNSENT_BYTES + 100_000
    assert dict(show_lists(instance))["used_clients"] == 1
    frames = await session.read_until("Z")
    assert types(frames).count("C") == 400


async def test_many_rows_are_all_sent(enter: Enter, instance: Instance) -> None:
    for number in range(3 * console.BATCH_ROWS + 7):
        instance.pools.pool("other", f"user{number}")
    session = await enter()
    assert len(rows(await session.query("show pools"))) == 3 * console.BATCH_ROWS + 8


async def test_our_own_bug_ends_one_session_with_an_incident(
    enter: Enter, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, other = await enter(), await enter()
    monkeypatch.setattr(instance, "reload", lambda: 1 / 0)
    await session.send_query("reload")
    (last,) = await session.read_frames_to_end()
    assert error_fields(last)["C"] == "XX000" and "incident" in error_fields(last)["M"]
    assert types(await other.query("show version")) == "TDCZ"
