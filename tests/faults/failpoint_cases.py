"""The table of failpoints: how the process is brought to each of them, and who feels an error that is raised there.

A scenario arms its point and has the process pass it, while bystanders are at work; for many, their work is enough. It
asserts what its own client must see in any case, and notes in ``stage.endings`` how that client's connection ended.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psycopg

from tests.faults.failpoint_build import Faulty
from tests.integration.postgres import Postgres
from tests.integration.waiting import wait_until
from tests.integration.wire import Frame, Wire, error_fields, query, rows
from trunkline.demo.free_port import free_port

SOURCE = Path(__file__).parents[2] / "src" / "trunkline"
POINT = re.compile(r'\bfailpoint\(b?"(\w+)"\)')

# Pools: the bystanders'; of a scenario's own client, in transaction and in session mode; one without a server.
BUSY, SIDE, SESSION, NOWHERE = "busy", "side", "session", "nowhere"


def points_in_code() -> list[str]:
    """Every failpoint, as often as it stands in the code; the module that has them only speaks of them."""
    files = [path for path in SOURCE.rglob("*") if path.suffix in (".py", ".pyx") and path.stem != "failpoints"]
    return [name for path in sorted(files) for name in POINT.findall(path.read_text())]


def faulty_proxy(postgres: Postgres) -> Faulty:
    """Not started: a proxy of the build with failpoints, with the pools that the scenarios use."""
    real = f"postgres://127.0.0.1:{postgres.port}/postgres"
    databases = {
        BUSY: {"primary": real, "pool_size": 2},
        SIDE: {"primary": real, "pool_size": 1},
        SESSION: {"primary": real, "pool_size": 1, "pool_mode": "session"},
        NOWHERE: {"host": "127.0.0.1", "port": free_port()},
    }
    settings = {"pool_mode": "transaction", "server_login_retry": 1, "query_wait_timeout": 8}
    return Faulty(settings, databases=databases)


class Stage:
    """What a scenario plays on."""

    def __init__(self, faulty: Faulty, postgres: Postgres, point: str, action: str) -> None:
        self.faulty = faulty
        self.proxy = faulty.proxy
        self.postgres = postgres
        self.point = point
        self.action = action
        self.endings: list[list[str]] = []

    def arm(self) -> None:
        self.faulty.arm(f"{self.point}={self.action}")

    async def acted(self) -> None:
        await self.faulty.logs(f"failpoint {self.point}:")

    @asynccontextmanager
    async def client(self, database: str = SIDE, **parameters: str) -> AsyncIterator[Wire]:
        """A client that is logged in before anything is armed."""
        async with await Wire.connect(self.proxy.port) as wire:
            await wire.login("postgres", self.proxy.users["postgres"], database=database, **parameters)
            yield wire

    async def log_in(self, database: str = SIDE, **parameters: str) -> None:
        """Log in with whatever comes of it; who gets in gets an answer."""
        async with await Wire.connect(self.proxy.port) as wire:
            try:
                await wire.send_startup({"user": "postgres", "database": database, **parameters})
                frames = await wire.login_with("postgres", self.proxy.users["postgres"])
                if frames[-1].type == "E":
                    self.endings.append([error_fields(frames[-1])["C"]])
                elif "replication" not in parameters:
                    await self.ask(wire)
            except (asyncio.IncompleteReadError, ConnectionError):
                self.endings.append([])

    async def ask(self, wire: Wire) -> None:
        """One query: its own answer, or the end of the connection."""
        nonce = secrets.token_hex(8)
        try:
            frames = await self.read(wire, query(f"SELECT '{nonce}'"))
        except (asyncio.IncompleteReadError, ConnectionError):
            self.endings.append([])
            return
        if frames[-1].type == "Z":
            assert rows(frames) == [[nonce.encode()]], frames
        else:
            self.endings.append([error_fields(frames[-1])["C"]])

    async def read(self, wire: Wire, *messages: bytes) -> list[Frame]:
        """What is answered, up to ReadyForQuery or a last word."""
        await wire.send(*messages)
        frames: list[Frame] = []
        while not frames or (frames[-1].type != "Z" and not _is_fatal(frames[-1])):
            frames.append(await wire.read_frame())
        return frames

    async def admin(self, command: str) -> None:
        """A console command; an error of it is the console client's end."""
        try:
            await self.proxy.admin(command)
        except psycopg.Error as error:
            self.endings.append([error.sqlstate] if error.sqlstate else [])

    async def sleeping(self) -> None:
        """Until the server works for the scenario's client."""

        async def sleeps() -> bool:
            return bool(await self.postgres.fetch("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))

        await wait_until(sleeps, what="the query has begun")


def _is_fatal(message: Frame) -> bool:
    return message.type == "E" and error_fields(message)["S"] == "FATAL"


# --- scenarios ----------------------------------------------------------------------------------------------------


async def work(stage: Stage) -> None:
    stage.arm()
    await stage.acted()


async def newcomer(stage: Stage) -> None:
    stage.arm()
    await stage.log_in()
    await stage.acted()


async def newcomer_with_settings(stage: Stage) -> None:
    stage.arm()
    await stage.log_in(application_name=secrets.token_hex(4), DateStyle="German")
    await stage.acted()


async def newcomer_without_a_server(stage: Stage) -> None:
    stage.arm()
    await stage.log_in(NOWHERE)
    await stage.acted()
    assert stage.endings


async def replication(stage: Stage) -> None:
    stage.arm()
    await stage.log_in(replication="database")
    await stage.acted()


async def new_server(stage: Stage) -> None:
    """Nobody notices when a server could not be opened, for another is."""
    async with stage.client() as wire:
        await stage.proxy.admin(f"PAUSE {SIDE}")
        await stage.proxy.admin(f"RESUME {SIDE}")
        stage.arm()
        await stage.ask(wire)
        await stage.acted()


async def end_of_session(stage: Stage) -> None:
    async with stage.client(SESSION) as wire:
        await stage.ask(wire)
        stage.arm()
    await stage.acted()


async def waiter_goes_on(stage: Stage) -> None:
    """The requests of who had to wait are consumed when it is granted a server."""
    async with stage.client() as first, stage.client() as second:
        await stage.read(first, query("BEGIN"))
        await second.send(query("SELECT 1"))
        stage.arm()
        await stage.read(first, query("COMMIT"))
        await stage.acted()


async def tick(stage: Stage) -> None:
    """The clock goes on: what has failed once is done the next time."""
    await work(stage)
    await work(stage)


async def goodbye(stage: Stage) -> None:
    async with stage.client():
        stage.arm()
    await stage.acted()


async def violation(stage: Stage) -> None:
    async with stage.client() as wire:
        stage.arm()
        await wire.send(b"!\0\0\0\4")
        stage.endings.append([error_fields(item)["C"] for item in await wire.read_frames_to_end()])
        await stage.acted()


async def loss_of_server(stage: Stage) -> None:
    async with stage.client() as wire:
        frames = await stage.read(wire, query("BEGIN; SELECT pg_backend_pid()"))
        pid = int(rows(frames)[0][0] or 0)
        stage.arm()
        await stage.postgres.fetch("SELECT pg_terminate_backend(%s)", pid)
        await stage.acted()
        with suppress(EOFError, ConnectionError):
            await stage.read(wire, query("SELECT 1"))
            await stage.read(wire, query("ROLLBACK"))
        await stage.ask(wire)


async def cancel(stage: Stage) -> None:
    """Whether the cancel comes through or is lost, its client goes on with its own answers."""
    async with stage.client() as wire:
        before = rows(await wire.query("SELECT pg_backend_pid()"))
        await wire.send(query("SELECT pg_sleep(1)"))
        await stage.sleeping()
        stage.arm()
        await wire.cancel(stage.proxy.port, wire.backend_pid, wire.cancel_key)
        answered = await wire.read_until("Z")
        assert [error_fields(item)["C"] for item in answered if item.type == "E"] in ([], ["57014"])
        await stage.acted()
        after = rows(await wire.query("SELECT pg_backend_pid()"))
        assert stage.action == "sleep" or after != before, (
            "a signal may be on its way: this server is nobody's any more"
        )


async def vanished(stage: Stage, **parameters: str) -> None:
    """A client that breaks off in the middle of a query: what runs is cancelled, its server brought back or closed."""
    async with stage.client(**parameters) as wire:
        await wire.send(query("SELECT pg_sleep(1)"))
        await stage.sleeping()
        stage.arm()
        wire.abort()
        await stage.acted()


async def vanished_from_its_own_server(stage: Stage) -> None:
    """One that nobody else can have, for it was opened with a setting that comes with the startup packet only."""
    await vanished(stage, options="-c ignore_system_indexes=on")


async def pause(stage: Stage) -> None:
    stage.arm()
    await stage.admin(f"PAUSE {SIDE}")
    await stage.proxy.admin(f"RESUME {SIDE}")
    await stage.acted()


async def resume(stage: Stage) -> None:
    await stage.proxy.admin(f"PAUSE {SIDE}")
    stage.arm()
    await stage.admin(f"RESUME {SIDE}")
    await stage.acted()
    with suppress(psycopg.Error):  # "not paused": it failed behind what it is for
        await stage.proxy.admin(f"RESUME {SIDE}")


async def console(stage: Stage) -> None:
    stage.arm()
    await stage.admin("SHOW POOLS")
    await stage.acted()


async def reload(stage: Stage) -> None:
    stage.arm()
    stage.proxy.send_signal(signal.SIGHUP)
    await stage.acted()
    stage.proxy.send_signal(signal.SIGHUP)
    await stage.faulty.logs("reloaded")


async def drain(stage: Stage) -> None:
    """A drain that fails at its beginning does not hang: the second signal ends the process, as it always does."""
    stage.arm()
    stage.proxy.send_signal(signal.SIGTERM)
    await stage.acted()
    stage.proxy.send_signal(signal.SIGTERM)
    assert await stage.proxy.wait() == 0


# --- the table ----------------------------------------------------------------------------------------------------

Scenario = Callable[[Stage], Awaitable[None]]

INTERNAL, LOST, LOST_AT_COMMIT, CUT, REFUSED = ["XX000"], ["08006"], ["08007"], [], ["08001"]
NOBODY: list[list[str]] = []


class Case(NamedTuple):
    """``ends``: how the one connection that an error concerns may end; ``coroutine``: CancelledError can come here."""

    scenario: Scenario
    ends: list[list[str]]
    coroutine: bool = False


VICTIM = [INTERNAL, CUT, LOST, LOST_AT_COMMIT]

CASES: dict[str, Case] = {
    # a request, from the client to the server
    "query_owed": Case(work, VICTIM),
    "after_parse_forwarded": Case(work, VICTIM),
    "parse_injected": Case(work, VICTIM),
    "copy_ended": Case(work, VICTIM),
    "before_send": Case(work, VICTIM),
    # a lease
    "lined_up": Case(work, VICTIM),
    "lease_given": Case(work, VICTIM),
    "hand_over": Case(work, VICTIM),
    "kept_taken": Case(waiter_goes_on, VICTIM),
    "params_applied": Case(work, VICTIM),
    "params_answered": Case(work, VICTIM),
    # a reply, and the end of the lease
    "before_rfq_relay": Case(work, VICTIM),
    "undoing": Case(work, VICTIM),
    "release_enter": Case(work, VICTIM),
    "release_proved": Case(work, VICTIM),
    "taken_back": Case(end_of_session, NOBODY),
    "own_query_asked": Case(end_of_session, NOBODY),
    "own_query_done": Case(end_of_session, NOBODY),
    "abandon": Case(vanished, NOBODY),
    "drained": Case(vanished, NOBODY),
    "server_lost": Case(loss_of_server, [CUT, INTERNAL]),
    # a new server
    "server_dialled": Case(new_server, NOBODY, coroutine=True),
    "server_logged_in": Case(new_server, NOBODY, coroutine=True),
    "server_opened": Case(new_server, NOBODY),
    "open_failed": Case(newcomer_without_a_server, [REFUSED]),
    "waiter_refused": Case(newcomer_without_a_server, [REFUSED, INTERNAL]),
    # a cancel request
    "cancel_decided": Case(cancel, NOBODY),
    "cancel_opened": Case(cancel, NOBODY, coroutine=True),
    "cancel_sent": Case(cancel, NOBODY, coroutine=True),
    "cancel_over": Case(cancel, NOBODY),
    "blind_cancel_sent": Case(vanished_from_its_own_server, NOBODY, coroutine=True),
    # a client comes and goes
    "client_accepted": Case(newcomer, [CUT]),
    "login_accepted": Case(newcomer, [INTERNAL, CUT], coroutine=True),
    "profile_judged": Case(newcomer_with_settings, [INTERNAL, CUT], coroutine=True),
    "client_registered": Case(newcomer, [INTERNAL, CUT], coroutine=True),
    "greeting_sent": Case(newcomer, [INTERNAL, CUT], coroutine=True),
    "replication_opened": Case(replication, [INTERNAL, CUT], coroutine=True),
    "client_ending": Case(violation, [INTERNAL]),
    "client_left": Case(goodbye, NOBODY),
    # operation
    "pool_tick": Case(tick, NOBODY),
    "pool_paused": Case(pause, [INTERNAL]),
    "pool_resumed": Case(resume, [INTERNAL]),
    "console_answers": Case(console, [INTERNAL, CUT], coroutine=True),
    "reload_swapped": Case(reload, NOBODY),
    "drain_begin": Case(drain, NOBODY),
}

ENDS_THE_PROCESS = ("drain_begin",)
