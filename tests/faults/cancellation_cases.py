"""Scenarios that together suspend Trunkline at every point of its code, and the reviewed list of what they leave out.

A scenario is played once for each place at which it is suspended, with harm done there. So it goes on as far as it can:
``Ended`` is the end of a client's connection, which any of them may meet.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from tests.faults.cancellation_stage import Ended, Stage
from tests.faults.scripted_server import AUTH_OK, GREETING, Peer, ScriptedServer, error
from tests.integration.waiting import wait_until
from tests.integration.wire import (
    SYNC,
    Wire,
    bind,
    error_fields,
    execute,
    frame,
    parse,
    query,
    rows,
    startup_packet,
    unverified_context,
)
from trunkline.pool.topology import Member, State

Scenario = Callable[[Stage], Awaitable[None]]

SLOW_ROUNDS = 10
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"


async def sleeping(stage: Stage) -> None:
    """Until the server works for somebody, or nobody will ever make it."""

    async def sleeps() -> bool:
        found = await stage.postgres.fetch("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
        return bool(found) or not any(pool.active for pool in stage.instance.pools)

    await wait_until(sleeps)


# --- clients and servers ------------------------------------------------------------------------------------------


async def log_in_and_ask(stage: Stage) -> None:
    """The startup packet in two pieces, the password too, so that each is waited for."""
    async with await stage.connect() as wire:
        packet = startup_packet({"user": "postgres", "database": "app", "application_name": "pieces"})
        await wire.send(packet[:6])
        await asyncio.sleep(0.02)
        await wire.send(packet[6:])
        await stage.authenticate(wire)
        await stage.expect_own_answer(wire)


async def piece_of_a_password(stage: Stage) -> None:
    async with await stage.connect() as wire:
        await wire.send_startup({"user": "postgres", "database": "app"})
        await wire.read_frame()
        await wire.send(frame("p", b"SCRAM-SHA-256\0", length=60))
        await asyncio.sleep(0.02)
        wire.abort()


async def find_a_server_by_name(stage: Stage) -> None:
    """And look it up again, when that is due."""
    names = stage.instance.names
    async with stage.client("named") as wire:
        await stage.expect_own_answer(wire)
        names.tick(stage.instance.pools.now + stage.instance.config.settings.dns_max_ttl)
        await wait_until(lambda: not len(names.tasks), what="it has been looked up again")


async def reach_a_server_by_its_socket_file(stage: Stage) -> None:
    async with stage.client("local") as wire:
        await stage.expect_own_answer(wire)


async def ask_on_connecting(stage: Stage) -> None:
    async with stage.client("asking") as wire:
        await stage.expect_own_answer(wire)


async def wait_in_line_for_a_profile(stage: Stage) -> None:
    """Two clients with settings that nobody had before, while the only server is taken."""
    async with stage.client() as first:
        await stage.ask(first, query("BEGIN"))
        newcomers = [asyncio.ensure_future(newcomer(stage, style)) for style in ("German", "SQL")]
        await wait_until(lambda: any(len(pool.waiting) == 2 for pool in stage.instance.pools) or newcomers[0].done())
        await stage.ask(first, query("COMMIT"))
        await asyncio.gather(*newcomers)


async def newcomer(stage: Stage, style: str) -> None:
    with suppress(Ended):
        async with stage.client(DateStyle=style) as wire:
            await stage.expect_own_answer(wire)


async def listen(stage: Stage) -> None:
    """Two clients listen at once, so that one of them waits for the other's shared connection."""
    async with stage.client() as first, stage.client("asking") as second:
        await asyncio.gather(*(stage.ask(wire, query("LISTEN news")) for wire in (first, second)))
        await stage.ask(second, query("UNLISTEN *"))
        await stage.expect_own_answer(first)


async def log_in_over_tls(stage: Stage) -> None:
    async with await stage.connect() as wire:
        assert await wire.request_tls() == b"S"
        await wire.send_startup({"user": "postgres", "database": "app"})
        await stage.authenticate(wire)
        await stage.expect_own_answer(wire)


async def log_in_over_direct_tls(stage: Stage) -> None:
    async with await Wire.connect(stage.port, tls=unverified_context()) as wire:
        await wire.send_startup({"user": "postgres", "database": "app"})
        await stage.authenticate(wire)
        await stage.expect_own_answer(wire)


async def reach_a_server_over_tls(stage: Stage) -> None:
    async with stage.client("sealed") as wire:
        await stage.expect_own_answer(wire)


async def keep_a_server(stage: Stage) -> None:
    """Session pooling: a server is leased at the login."""
    async with stage.client("kept", DateStyle="German") as wire:
        await stage.expect_own_answer(wire)


async def have_a_server_of_ones_own(stage: Stage) -> None:
    """A setting that PostgreSQL takes from a startup packet only."""
    async with stage.client(options="-c ignore_system_indexes=on") as wire:
        await stage.expect_own_answer(wire)


async def have_no_server(stage: Stage) -> None:
    async with stage.client("scripted"):
        raise AssertionError("nobody listens there")


async def reach_a_server_in_small_steps(stage: Stage) -> None:
    """One that wants TLS after all, says no to it, and tells of itself piece by piece."""

    async def script(peer: Peer) -> None:
        await peer.startup()
        if peer.number == 0:
            await peer.send(error(S="FATAL", C="28000", M="no pg_hba.conf entry: no encryption"))
            return
        await peer.send(AUTH_OK)
        await asyncio.sleep(0.02)
        await peer.send(GREETING[len(AUTH_OK) :])
        await peer.serve()

    async with ScriptedServer(stage.scripted_port, script), stage.client("scripted") as wire:
        await stage.ask(wire, query("SELECT 1"))


async def log_in_to_shards(stage: Stage) -> None:
    """Two at once: one reads the catalog, and the other waits for that. Then DDL has it read again."""
    await asyncio.gather(newcomer_to_shards(stage), newcomer_to_shards(stage))
    async with stage.client("shop") as wire:
        await stage.ask(wire, query("ALTER TABLE stage_notes SET (fillfactor = 90)"))

        async def is_answered() -> bool:
            return bool(rows(await stage.ask(wire, query("SELECT 1"))))

        await wait_until(is_answered, what="the catalog has been read")
        await wait_until(lambda: not stage.instance.pools.tasks)


async def newcomer_to_shards(stage: Stage) -> None:
    with suppress(Ended):
        async with stage.client("shop") as wire:
            await stage.expect_own_answer(wire)


async def watch_replicas(stage: Stage) -> None:
    """Until each check has had its turn, and after a pause another, and the one that was harmed too."""
    await stage.reload(health_check_interval=0.2)
    replicas = stage.instance.replicas
    (watch,) = replicas
    count = len(watch.topology.members)

    def all_looked_at() -> bool:
        members = watch.topology.members.values()
        unseen = sum(member.state is State.UNSEEN and member.last is None for member in members)
        return unseen <= count - len(replicas.tasks)

    def at(member: Member) -> float:
        return member.last.at if member.last is not None else 0.0

    def all_looked_again() -> bool:
        again = sum(at(member) > before[name] for name, member in watch.topology.members.items())
        return again >= len(replicas.tasks)

    await wait_until(all_looked_at)
    before = {name: at(member) for name, member in watch.topology.members.items()}
    await wait_until(all_looked_again)
    await stage.postgres.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'trunkline health check'"
    )
    await wait_until(lambda: watch.topology.primary is not None or len(replicas.tasks) < count)


async def read_what_was_written(stage: Stage) -> None:
    """There is no replica that has it: after a while the primary answers."""
    await stage.reload(health_check_interval=0.2)
    replicas = stage.instance.replicas
    (watch,) = replicas
    tasks = len(replicas.tasks)
    # A login waits for the primary, or does not, by chance: it is waited for here.
    await wait_until(lambda: watch.topology.primary is not None or len(replicas.tasks) < tasks)
    async with stage.client("watched") as wire:
        for value in (1, 2):
            await stage.ask(wire, query(f"SELECT set_config('app.value', '{value}', true)"))
            await stage.ask(wire, query("SELECT 1"))
        await stage.expect_own_answer(wire)


async def scrape(stage: Stage) -> None:
    """Two at once, one of them in pieces; neither goes before it has been told to."""

    async def get(*pieces: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", stage.metrics_port)
        try:
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0.02)
            await reader.read()
            await asyncio.sleep(0.02)
        finally:
            writer.transport.abort()

    await asyncio.gather(get(b"GET /met", b"rics HTTP/1.1\r\nHost: a\r\n\r\n"), get(SCRAPE))
    await asyncio.gather(get(SCRAPE), get(SCRAPE))


async def replicate(stage: Stage) -> None:
    async with stage.client(replication="database") as wire:
        await stage.ask(wire, query("IDENTIFY_SYSTEM"))


# --- cancel requests ----------------------------------------------------------------------------------------------


async def cancel(stage: Stage) -> None:
    """Whatever becomes of the request: its client goes on, and nobody else ever sees 57014."""
    async with stage.client() as wire:
        await wire.send(query("SELECT pg_sleep(0.5)"))
        await sleeping(stage)
        with suppress(AssertionError):  # whose login fails is told so, and a cancel request is one
            await Wire.cancel(stage.port, wire.backend_pid, wire.cancel_key)
        answered = await stage.ask(wire)
        assert [error_fields(item)["C"] for item in answered if item.type == "E"] in ([], ["57014"])
        await stage.expect_own_answer(wire)


async def vanish(stage: Stage) -> None:
    await vanish_from(stage)


async def vanish_from_ones_own_server(stage: Stage) -> None:
    await vanish_from(stage, options="-c ignore_system_indexes=on")


async def vanish_from(stage: Stage, **parameters: str) -> None:
    async with stage.client(**parameters) as wire:
        await wire.send(query("SELECT pg_sleep(0.5)"))
        await sleeping(stage)
        wire.abort()
        await wait_until(lambda: not any(pool.active for pool in stage.instance.pools))


# --- operation ----------------------------------------------------------------------------------------------------


async def look_at_the_console(stage: Stage) -> None:
    async with stage.client("trunkline") as wire:
        await stage.ask(wire, query("SHOW CONFIG"))
        await stage.ask(wire, parse("SHOW CONFIG") + bind() + execute() + SYNC)


async def read_the_console_slowly(stage: Stage) -> None:
    """More rows than the sockets' buffers hold, made as small as can be."""
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(("127.0.0.1", stage.port))
    async with Wire(*await asyncio.open_connection(sock=slow, limit=4096)) as wire:
        await wire.send_startup({"user": "postgres", "database": "trunkline"})
        await stage.authenticate(wire)
        shown, refused = query("SHOW CONFIG"), query("NONSENSE " + "x" * 500)
        extended = parse("SHOW CONFIG") + bind() + execute() + SYNC
        wire.writer.write((shown * 10 + extended * 10 + refused * 40) * SLOW_ROUNDS)
        await wait_until(lambda: stage.is_held_up() or not stage.instance.clients.consoles)
        for _ in range(60 * SLOW_ROUNDS):
            await stage.ask(wire)


async def pause_by_the_console(stage: Stage) -> None:
    """Given up by a cancel, and seen through, over both protocols. Whoever gave it up has paused all the same."""
    async with resumed(stage), stage.client() as wire, stage.client("trunkline") as console:
        await stage.ask(wire, query("BEGIN"))
        await console.send(query("PAUSE app"))
        await wait_until(lambda: stage.instance.pools.paused)
        await Wire.cancel(stage.port, console.backend_pid, console.cancel_key)
        await stage.ask(console)
        await stage.instance.resume("app")
        await console.send(parse("PAUSE app") + bind() + execute() + SYNC)
        await wait_until(lambda: stage.instance.pools.paused)
        await stage.ask(wire, query("COMMIT"))
        await stage.ask(console)


async def leave_a_pause(stage: Stage) -> None:
    async with resumed(stage), stage.client() as wire:
        await stage.ask(wire, query("BEGIN"))
        async with stage.client("trunkline") as console:
            await console.send(query("PAUSE app"))
            await wait_until(lambda: stage.instance.pools.paused)
        await wait_until(lambda: not stage.instance.clients.consoles)
        await stage.ask(wire, query("COMMIT"))


async def pause_by_signal(stage: Stage) -> None:
    async with resumed(stage), stage.client() as wire:
        await stage.ask(wire, query("BEGIN"))
        os.kill(os.getpid(), signal.SIGUSR1)
        await wait_until(lambda: stage.instance.pools.paused)
        await asyncio.sleep(0.02)
        await stage.ask(wire, query("COMMIT"))


@asynccontextmanager
async def resumed(stage: Stage) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await stage.instance.resume()


async def drain(stage: Stage) -> None:
    """Ends the process when its client has left; the second signal ends it in any case."""
    async with stage.client() as wire:
        await stage.ask(wire, query("BEGIN"))
        os.kill(os.getpid(), signal.SIGTERM)
        await wait_until(lambda: stage.instance.door.draining)
        await asyncio.sleep(0.02)
        with suppress(Ended):
            await stage.ask(wire, query("COMMIT"))
    os.kill(os.getpid(), signal.SIGTERM)


async def stop_while_all_is_under_way(stage: Stage) -> None:
    """A client at work, one at the door, and for that one a server being opened."""

    async def silent(peer: Peer) -> None:
        await peer.closed()

    async def knock() -> None:
        with suppress(Ended):
            async with stage.client("scripted"):
                raise AssertionError("the server has not answered")

    async with ScriptedServer(stage.scripted_port, silent) as server, stage.client() as wire:
        knocking = asyncio.ensure_future(knock())
        await wire.send(query("SELECT pg_sleep(0.2)"))
        await sleeping(stage)
        await wait_until(lambda: server.accepted or knocking.done())
        stage.instance.stop()
        await wire.read_to_end()
        await knocking


async def stop_while_a_client_listens(stage: Stage) -> None:
    """And half a request for metrics has come."""
    async with stage.client() as wire:
        await stage.ask(wire, query("LISTEN news"))
        _, scraper = await asyncio.open_connection("127.0.0.1", stage.metrics_port)
        scraper.write(SCRAPE[:5])
        await asyncio.sleep(0.02)
        stage.instance.stop()
        await wire.read_to_end()
        await asyncio.wait([stage.serving])
        scraper.transport.abort()


# --- the tables ---------------------------------------------------------------------------------------------------

SCENARIOS: dict[str, Scenario] = {
    function.__name__: function
    for function in (
        log_in_and_ask,
        listen,
        log_in_over_tls,
        log_in_over_direct_tls,
        piece_of_a_password,
        find_a_server_by_name,
        reach_a_server_by_its_socket_file,
        ask_on_connecting,
        wait_in_line_for_a_profile,
        reach_a_server_over_tls,
        reach_a_server_in_small_steps,
        keep_a_server,
        have_a_server_of_ones_own,
        have_no_server,
        log_in_to_shards,
        watch_replicas,
        read_what_was_written,
        scrape,
        replicate,
        cancel,
        vanish,
        vanish_from_ones_own_server,
        look_at_the_console,
        read_the_console_slowly,
        pause_by_the_console,
        leave_a_pause,
        pause_by_signal,
        drain,
        stop_while_all_is_under_way,
        stop_while_a_client_listens,
    )
}

SETTINGS: dict[str, dict[str, Any]] = {
    "reach_a_server_in_small_steps": {"server_tls_sslmode": "allow", "session_state": "pgbouncer"},
    "read_the_console_slowly": {"tcp_socket_buffer": 4096},
}

# Points that nothing is ever suspended at, and why; each was looked at.
EITHER_WAY: dict[str, str] = {
    "pool/listening.py Listeners._pass_mark: await mark.joined.wait()": (
        "two connections hear of one NOTIFY: reached if the client's own is the first"
    ),
    "pool/catalog_watch.py CatalogWatch._ask: await pool.until_primary()": (
        "reached by who logs in before the primary is known, without shards: before them the placement waits for it"
    ),
}
PLAYED_ELSEWHERE: dict[str, str] = {  # by how their names begin
    "pool/directory_": "directories are played in tests/integration/test_directories.py",
    "pool/home_link.py": "by these connections",
    "pool/placement_lock.py": "locks that are lost and given up are in tests/integration/execution/spread there",
    "pool/catalog_watch.py CatalogWatch._follow": "and so is who waits for them",
    "pool/catalog_watch.py CatalogWatch._read_once: await self._follow": "and so is who waits for them",
    "admin/switch.py": "switches are played, and given up at each stage, in tests/integration/test_switch.py",
    "proxy/switching.py": "and so is who carries them out",
    "pool/switchover.py": "and who asks the servers",
    "pool/control.py": "by these connections",
    "pool/catalog_watch.py CatalogWatch.read_now": "who declares tables is in tests/integration/execution/spread there",
    "pool/catalog_watch.py CatalogWatch._read_once: await self._ask": "and so is what has been declared",
    "pool/catalog_watch.py CatalogWatch._read_home: async with self._one": "and so is who reads beside them",
    "pool/patroni.py": "Patroni, with its faults, is played in tests/integration/test_patroni.py",
    "pool/rest.py": "and so is who asks it",
    "pool/auth_": "auth_query, its faults too, is played in tests/integration/test_auth_query.py",
    "proxy/authentication.py Authentication._secret": "and so is who waits for it",
    "proxy/authentication.py Authentication._exchange: await self._secret()": "and so is who waits for it",
    "proxy/authentication.py Authentication._ask_elsewhere": "LDAP and PAM are played in tests/unit/net",
    "proxy/authentication.py Authentication.run: await self._ask_elsewhere": "and so is who waits for them",
    "net/ldap.py": "and so is who asks them",
    "net/pam.py": "and so is who asks them",
    "proxy/authentication.py Authentication._rule": "members of roles are looked up in tests/integration/test_hba.py",
    "proxy/authentication.py Authentication.run: await self._rule": "and so is who waits for them",
    "proxy/authentication.py Authentication._stands_for": "and those that a map names",
    "proxy/authentication.py Authentication._exchange: await self._stands_for": "and so is who waits for them",
    "admin/select.py": "a SELECT changes nothing, and is played in tests/integration/test_console_select.py",
    "admin/operate.py": "WAIT_CLOSE is left while it waits in tests/integration/test_console_commands.py",
    "proxy/operation.py": "and so is who waits there",
    "proxy/suspension.py": "SUSPEND is played in tests/integration/test_console_commands.py",
    "admin/control.py suspend": "and so is its command",
    "admin/control.py resume": "RESUME at a switchover is played in tests/integration/test_failover.py",
    "admin/console.py _Session.carry_out: await self.instance.resume()": "and so is a cancelled PAUSE",
    "proxy/instance.py Instance.resume": "and who waits for the roles of servers",
    "pool/replica_watch.py ReplicaWatch.look_anew": "and so is this",
    "pool/health_check.py HealthCheck.look_anew": "and so is this",
    "pool/replica_watch.py ReplicaWatch.until_replayed": "reads behind writes are in test_replica_routing.py there",
    "pool/following.py Following.until_primary": "the loss of a primary is played in test_failover.py there",
    "pool/own.py open_own: await pool.until_primary()": "and so is who waits for the next",
    "proxy/replication.py Replication.__call__: await self._target": "and so is who waits for the next",
    "proxy/replication.py Replication._target": "and so is who waits for the next",
    "proxy/several.py": "what concerns several shards is harmed in tests/faults/test_several_shards.py",
    "proxy/outbox.py": "and so is a client that does not read what it is told",
    "proxy/portals.py": "and so are its portals",
    "proxy/copy_data.py": "and so is the data of its COPY",
    "execution/spread/": "and its commits are killed at every point in tests/faults/test_transfers.py",
    "pool/errands.py": "and so is who asks for them",
    "workers/": "workers are killed, and upgrades given up, in tests/integration/test_workers.py and test_upgrade.py",
    "app.py supervise": "and so is who starts them",
    "app.py serve: await handover.follow": "and so is the successor of a program",
    "proxy/instance.py Instance._retired": "and its predecessor",
    "proxy/instance.py Instance.reload": "a RELOAD reads in a thread, whose failures are in tests/integration there",
    "proxy/instance.py Instance._tell": "and so is what it says in the log",
    "admin/control.py reload": "and so is its command",
    "app.py _reload": "and so is its signal",
    "admin/commands.py": "what is asked of other workers is played in tests/integration/test_workers.py",
    "admin/console.py _Session.carry_out: await undo_stop": "and so is what takes it back",
    "admin/control.py pass_on": "and so is what all of them do",
    "admin/control.py undo_stop": "and so is what takes it back",
    "admin/setting.py": "and so is SET",
    "admin/show_workers.py": "and so is their list",
    "admin/show_transactions.py": "and RESOLVE in tests/integration/test_two_phase.py",
    "metrics/endpoint.py Endpoint._metrics: await self._subject.source": "and so are their metrics",
    "pool/own.py open_own: await pool.pools.budget": "and so are their limits",
    "proxy/clients.py Clients.admit_among_all": "and so are those of clients",
    "proxy/login.py _Login._enter: await door.clients.admit": "and so is who waits for them",
    "proxy/login.py _Login.run: await self.door.clients.admit": "and so is who waits for them",
    "proxy/cancels.py": "and so are cancel requests that come to another worker",
    "proxy/instance.py Instance.cancel_here": "and so is who has them",
    "proxy/peering.py": "cancel requests for peers, alive and dead, are passed on in tests/integration/test_peers.py",
    "proxy/instance.py Instance._drained: await asyncio.sleep(LINGER_S)": "shared ports are drained there, too",
}
AT_START = (
    "app.py _metrics: await Endpoint.open",  # before the first client: who harms it ends the process, and no more
    "execution/spread/recovery.py",  # which goes on with the next round
)
REVIEWED: dict[str, str] = {
    "pool/listening.py Listeners._pass_mark: await mark.own.wait()": (
        "PostgreSQL tells a session of its own notification before ReadyForQuery (postgres.c, ProcessNotifyInterrupt)"
    ),
    "metrics/endpoint.py Endpoint._serve: await writer.drain()": (
        "the answer of a scenario fits into the buffers of a socket; tests/integration/test_metrics.py has larger ones"
    ),
    "net/sockets.py connect: await _connect_one(socket.AF_UNIX, name, settings)": (
        "a socket file is connected to at once, or not at all (unix(7): EAGAIN, never EINPROGRESS)"
    ),
}
