"""Servers that cannot be reached, or not as before: rows 11, 12, 14, 30 and 31 of section 3a, on real servers.

(Rows 13, 15 and 20 need servers that lie; they stand in ``test_hostile_login``.)
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import trunkline
from tests.faults.fault_proxy import FaultProxy, Rule, Stall
from tests.faults.guard import expect_own_answers, log_in
from tests.faults.scripted_server import Peer, ScriptedServer, error
from tests.integration.certificates import Authority, Certificate
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import Proxy
from tests.integration.waiting import wait_until
from tests.integration.wire import Wire, error_fields, rows
from trunkline.demo.free_port import free_port


async def refused_query(wire: Wire, sql: str = "SELECT 1") -> dict[str, str]:
    """The error that a query ends with, whether the client is kept or not."""
    await wire.send_query(sql)
    frames = await wire.read_until("E")
    return error_fields(frames[-1])


# --- row 11 ---------------------------------------------------------------------------------------------------------

LOST = {"57P01", "57P02", "57P03", "08006", "08007"}


class Worker:
    """A client that goes on working, and comes back when it is lost; it takes no other errors than those of a loss."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.answered = 0
        self.errors: list[str] = []

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            async with await log_in(self.proxy, "app") as wire:
                try:
                    while not stop.is_set():
                        await self._ask(wire)
                except (asyncio.IncompleteReadError, ConnectionError):
                    assert self.errors, "it was closed without a word"

    async def _ask(self, wire: Wire) -> None:
        nonce = secrets.token_hex(8)
        await wire.send_query(f"SELECT '{nonce}' FROM pg_sleep(0.002)")
        frames = [await wire.read_frame()]
        while frames[-1].type != "Z":
            if frames[-1].type == "E":
                self.errors.append(error_fields(frames[-1])["C"])
                assert self.errors[-1] in LOST
            frames.append(await wire.read_frame())
        if rows(frames):
            assert rows(frames) == [[nonce.encode()]]
            self.answered += 1


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_row_11_a_restart_under_load_loses_what_runs_and_nothing_else(own_postgres, start_proxy, mode) -> None:
    """Who waits is served afterwards, and the server is not stormed meanwhile."""
    async with FaultProxy("127.0.0.1", own_postgres.port) as faults, asyncio.TaskGroup() as group:
        database = {"host": "127.0.0.1", "dbname": "postgres", "port": faults.port, "pool_size": 4}
        proxy = await start_proxy({"pool_mode": "transaction"}, databases={"app": database})
        workers, stop = [Worker(proxy) for _ in range(12)], asyncio.Event()
        for worker in workers:
            group.create_task(worker.run(stop))
        await wait_until(lambda: all(worker.answered for worker in workers))
        await own_postgres.stop(mode)
        before = faults.accepted
        async with await log_in(proxy, "app") as patient:
            await patient.send_query("SELECT 'after the restart'")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(patient.reader.read(1), 1.0)
            assert faults.accepted - before < 30, "one try at a time, with growing pauses"
            await own_postgres.start()
            assert rows(await patient.read_until("Z")) == [[b"after the restart"]]
        answered = [worker.answered for worker in workers]
        await wait_until(lambda: all(w.answered > n for w, n in zip(workers, answered, strict=True)))
        stop.set()
    assert any(worker.errors for worker in workers)


# --- rows 12 and 14 -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [2, 1000])
async def test_row_12_a_server_that_is_starting_is_waited_for_and_then_quoted(start_proxy: Any, times: int) -> None:
    """57P03 at connect: the client waits; when it lasts, it hears the server's own words."""

    async def script(peer: Peer) -> None:
        if peer.number < times:
            await peer.startup()
            await peer.send(error(S="FATAL", V="FATAL", C="57P03", M="the database system is starting up"))
            return
        await peer.log_in()
        await peer.serve()

    port = free_port()
    database = {"host": "127.0.0.1", "port": port}
    proxy = await start_proxy({"pool_mode": "transaction", "server_login_retry": 1}, databases={"app": database})
    async with ScriptedServer(port, script) as server, await Wire.connect(proxy.port) as wire:
        await wire.send_startup({"user": "postgres", "database": "app"})
        frames = await wire.login_with("postgres", proxy.users["postgres"])
        if times == 2:
            assert frames[-1].type == "Z"
            assert rows(await wire.query("at last")) == [[b"at last"]]
        else:
            fields = error_fields(frames[-1])
            assert (fields["C"], fields["M"]) == ("57P03", "the database system is starting up")
            assert server.accepted < 20, "with pauses in between"


async def test_row_14_a_password_that_was_changed_is_asked_for_slowly(postgres: Postgres, start_proxy: Any) -> None:
    """28P01 stands in the log, the client hears 08001, and a reload with the new password mends it."""
    await postgres.fetch("DROP ROLE IF EXISTS rotated")
    await postgres.create_role("rotated", "first")
    async with FaultProxy("127.0.0.1", postgres.port) as faults:

        def settings(password: str) -> dict[str, Any]:
            database = {
                "host": "127.0.0.1",
                "dbname": "postgres",
                "port": faults.port,
                "user": "rotated",
                "password": password,
            }
            return {"pool_mode": "transaction", "server_login_retry": 8, "databases": {"one": database}}

        proxy = await start_proxy(settings("first"))
        async with await log_in(proxy) as wire:
            assert rows(await wire.query("SELECT current_user")) == [[b"rotated"]]
            await postgres.fetch("ALTER ROLE rotated PASSWORD 'second'")
            await postgres.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotated'")
            await wait_until(lambda: not faults.live)
            before = faults.accepted
            assert (await refused_query(wire))["C"] == "08001"
        assert "28P01" in proxy.log
        for _ in range(50):
            async with await log_in(proxy) as impatient:
                assert (await refused_query(impatient))["C"] == "08001"
        assert faults.accepted - before <= 3, "a pause of a second and more between two tries"
        proxy.write_config(settings("second"))
        await proxy.reload()
        await wait_until(lambda: is_served(proxy), what="the new password is used")
        await expect_own_answers(proxy)
    await proxy.stop()
    await postgres.fetch("DROP ROLE rotated")


async def is_served(proxy: Proxy) -> bool:
    async with await log_in(proxy) as wire:
        await wire.send_query("SELECT 1")
        return (await wire.read_frame()).type == "T"


# --- row 30 ---------------------------------------------------------------------------------------------------------

RESOLVER = """
import json, os, socket, time

real = socket.getaddrinfo

def getaddrinfo(host, *arguments, **options):
    with open(os.environ["TEST_NAMES"]) as file:
        names = json.load(file)
    if host not in names:
        return real(host, *arguments, **options)
    answer = names[host]
    if answer == "hangs":
        time.sleep(1)
    if not answer.startswith("127."):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return real(answer, *arguments, **options)

socket.getaddrinfo = getaddrinfo
"""


@pytest.fixture
async def named(tmp_path: Path, start_proxy: Any, postgres: Postgres) -> Callable[..., Any]:
    """``await named({"db.test": "127.0.0.1"}, **settings)``: a proxy to the host db.test, and a way to change names."""
    (tmp_path / "sitecustomize.py").write_text(RESOLVER)
    names = tmp_path / "names.json"
    tree = str(Path(trunkline.__file__).parents[1])
    environ = {"PYTHONPATH": os.pathsep.join([str(tmp_path), tree]), "TEST_NAMES": str(names)}

    def call(host: str) -> None:
        names.write_text(json.dumps({"db.test": host}))

    async def start(host: str, port: int, **settings: Any) -> tuple[Proxy, Callable[[str], None]]:
        call(host)
        databases = {
            "one": {"host": "db.test", "dbname": "postgres", "port": port, "pool_size": 1},
            "other": {"host": "127.0.0.1", "dbname": "postgres", "port": postgres.port},
        }
        started = await start_proxy(
            {"pool_mode": "transaction", "server_login_retry": 0.5, **settings}, databases=databases, environ=environ
        )
        return started, call

    return start


async def test_row_30_new_connections_follow_the_name_and_old_ones_live_on(named: Any) -> None:
    """The same port at 127.0.0.1 and 127.0.0.2: whoever is asked says which."""
    port = free_port()
    async with namesakes(port) as asked:
        proxy, call = await named("127.0.0.1", port, server_lifetime=3600)
        async with await log_in(proxy) as wire:
            await wire.query("SELECT 1")
            call("127.0.0.2")
            await wire.query("SELECT 1")
            assert asked == {"127.0.0.1": 1}
            for command in ("PAUSE one", "RESUME one"):  # its servers are closed, and opened anew
                await proxy.admin(command)
            await wire.query("SELECT 1")
            assert asked == {"127.0.0.1": 1, "127.0.0.2": 1}


@asynccontextmanager
async def namesakes(port: int) -> AsyncIterator[dict[str, int]]:
    """Two servers with the same port at two addresses of the loopback; counts the connections of each."""
    asked: dict[str, int] = {}

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host = writer.get_extra_info("sockname")[0]
        asked[host] = asked.get(host, 0) + 1
        peer = Peer(reader, writer, 0)
        try:
            await peer.log_in()
            await peer.serve()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    servers = [await asyncio.start_server(on_connection, host, port) for host in ("127.0.0.1", "127.0.0.2")]
    try:
        yield asked
    finally:
        for server in servers:
            server.close()


async def test_row_30_a_name_that_is_gone_is_a_server_that_cannot_be_reached(named: Any, postgres: Postgres) -> None:
    proxy, call = await named("gone", postgres.port)
    async with await Wire.connect(proxy.port) as wire:
        await wire.send_startup({"user": "postgres", "database": "one"})
        frames = await wire.login_with("postgres", PASSWORD)
        fields = error_fields(frames[-1])
        assert fields["C"] == "08001"
        assert "db.test" not in str(fields), "the host stands in the log alone"
    assert "db.test" in proxy.log
    call("127.0.0.1")
    await wait_until(lambda: logs_in(proxy), what="the name is there again")


async def logs_in(proxy: Proxy) -> bool:
    async with await Wire.connect(proxy.port) as wire:
        await wire.send_startup({"user": "postgres", "database": "one"})
        return (await wire.login_with("postgres", PASSWORD))[-1].type == "Z"


async def test_row_30_a_resolver_that_hangs_holds_up_nobody_else(named: Any, postgres: Postgres) -> None:
    proxy, _ = await named("hangs", postgres.port, server_connect_timeout=30)
    async with await Wire.connect(proxy.port) as stuck:
        await stuck.send_startup({"user": "postgres", "database": "one"})
        login = asyncio.create_task(stuck.login_with("postgres", PASSWORD))
        for _ in range(50):
            await expect_own_answers(proxy, "other")
        assert not login.done(), "the resolver is still at it"
        assert error_fields((await login)[-1])["C"] == "08001"


# --- row 31 ---------------------------------------------------------------------------------------------------------


@pytest.fixture
async def showing(tls_postgres: Postgres, authority: Authority) -> AsyncIterator[Any]:
    """``await showing(certificate)``: the server uses it from now on; a good one is put back at the end."""

    async def show(certificate: Certificate) -> None:
        tls_postgres.write_file(Path("server.crt"), certificate.certificate)
        tls_postgres.write_file(Path("server.key"), certificate.key)
        tls_postgres.reload()
        wanted = ssl.PEM_cert_to_DER_cert(certificate.certificate.decode())
        await wait_until(lambda: is_shown(tls_postgres, wanted), what="the server shows its new certificate")

    await show(authority.issue("localhost"))
    yield show
    await show(authority.issue("localhost"))


async def is_shown(server: Postgres, wanted: bytes) -> bool:
    async with await Wire.connect(server.port) as wire:
        await wire.request_tls()
        return bool(wire.writer.get_extra_info("ssl_object").getpeercert(binary_form=True) == wanted)


@pytest.mark.parametrize("which", ["expired", "another authority"])
async def test_row_31_a_bad_certificate_stops_new_connections_and_not_old_ones(
    start_proxy, authority, tmp_path, tls_postgres, showing, which
) -> None:
    settings = {
        "pool_mode": "transaction",
        "server_tls_sslmode": "verify-full",
        "server_tls_ca_file": str(authority.write(tmp_path)),
        "server_login_retry": 0.3,
    }
    database = {"host": "localhost", "dbname": "postgres", "port": tls_postgres.port, "pool_size": 2}
    proxy = await start_proxy(settings, databases={"one": database})
    async with await log_in(proxy) as old, await log_in(proxy) as new:
        [[encrypted]] = rows(await old.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
        assert encrypted == b"t"
        signer = authority if which == "expired" else Authority("Somebody else")
        await showing(signer.issue("localhost", expired=which == "expired"))
        await old.query("BEGIN")
        await new.send_query("SELECT 1")  # needs a second server, and waits for one
        await wait_until(lambda: "TLS with" in proxy.log, what="the certificate is refused")
        assert rows(await old.query("SELECT 'lives on'")) == [[b"lives on"]]
        await old.query("COMMIT")
        assert rows(await new.read_until("Z")) == [[b"1"]], "served by the one server that there is"
        for command in ("PAUSE one", "RESUME one"):  # its servers are closed, and opened anew
            await proxy.admin(command)
        assert (await refused_query(new))["C"] == "08001"
    await showing(authority.issue("localhost"))
    await wait_until(lambda: logs_in(proxy), what="the good certificate is back")


# --- row 21 ---------------------------------------------------------------------------------------------------------


async def test_row_21_a_login_that_stalls_holds_up_its_own_pool_alone(postgres: Postgres, start_proxy: Any) -> None:
    async with FaultProxy("127.0.0.1", postgres.port) as faults:
        databases = {
            "one": {"host": "127.0.0.1", "dbname": "postgres", "port": faults.port},
            "other": {"host": "127.0.0.1", "dbname": "postgres", "port": postgres.port},
        }
        proxy = await start_proxy({"pool_mode": "transaction"}, databases=databases)
        faults.add(Rule("be", "R"), Stall(1500))
        stuck = asyncio.create_task(log_in(proxy))
        await faults.happened("stall")
        for _ in range(20):
            await expect_own_answers(proxy, "other")
        assert not stuck.done()
        await (await stuck).close()
        await proxy.stop()
