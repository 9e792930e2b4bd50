"""Peers: whichever of them gets a cancel request, the query of the client it is for is stopped."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import HOST, USER, Proxy
from tests.integration.transcript import errors, session
from tests.integration.waiting import wait_until
from tests.integration.wire import PROTOCOL_3_2, Wire, rows
from trunkline.demo.serving import Trunkline
from trunkline.protocol.peer_key import HOPS, hops_of, peer_of, with_hops

SLEEP = "SELECT pg_sleep(61)"


def at(port: int, **settings: Any) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": port, **settings}


class Fleet:
    """Proxies by their numbers, each of which knows the others."""

    def __init__(self, start: ProxyFactory, postgres: Postgres) -> None:
        self._start = start
        self.postgres = postgres
        self.members: dict[int, Proxy] = {}

    async def add(self, number: int, **settings: Any) -> Proxy:
        settings = {"peer_id": number, **settings}
        self.members[number] = await self._start(settings, databases={"postgres": self.postgres})
        return self.members[number]

    async def introduce(self, number: int, peers: Mapping[int, Mapping[str, Any]], **settings: Any) -> None:
        """Who is behind which number, as this one has it from now on."""
        named = {str(one): dict(peer) for one, peer in peers.items()}
        self.members[number].write_config({"peer_id": number, "peers": named, **settings}, {"postgres": self.postgres})
        said = await self.members[number].reload()
        assert "refused" not in said, said

    async def is_canceled(self, owner: Proxy, asked: int) -> None:
        """A query at one proxy is stopped by a request at another port."""
        async with session(owner) as client:
            await self.stops(client, asked)

    async def stops(self, client: Wire, asked: int) -> None:
        query = asyncio.ensure_future(client.query(SLEEP))
        running = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query = %s"
        await wait_until(lambda: self.postgres.fetch(running, SLEEP))
        await Wire.cancel(asked, client.backend_pid, client.cancel_key)
        assert errors(await query) == ["57014"]


@pytest.fixture
def fleet(start_proxy: ProxyFactory, postgres: Postgres) -> Fleet:
    return Fleet(start_proxy, postgres)


async def test_a_cancel_reaches_its_client_by_way_of_a_peer(fleet: Fleet) -> None:
    one, two = await fleet.add(1), await fleet.add(2)
    await fleet.introduce(1, {1: at(one.port), 2: at(two.port)})
    await fleet.introduce(2, {1: at(one.port), 2: at(two.port)})
    for owner, asked in ((one, two), (two, one), (one, one)):
        await fleet.is_canceled(owner, asked.port)
    async with await Wire.connect(one.port) as modern:
        await modern.login(USER, PASSWORD, version=PROTOCOL_3_2)
        assert len(modern.cancel_key) == 4, "a PgBouncer among the peers would not take a longer one"
        await fleet.stops(modern, two.port)
    shown = [(row["peer_id"], row["host"], row["port"], row["pool_size"]) for row in await one.admin("SHOW PEERS")]
    assert shown == [(1, "127.0.0.1", one.port, 20), (2, "127.0.0.1", two.port, 20)]
    assert await two.admin("SELECT peer_id, sv_login FROM peer_pools") == [{"peer_id": 1, "sv_login": 0}]
    assert await one.admin("SELECT items FROM lists WHERE list = 'peers'") == [{"items": 2}]


async def test_a_request_goes_by_way_of_several_but_not_in_circles(fleet: Fleet) -> None:
    one, two, three = [await fleet.add(number) for number in (1, 2, 3)]
    await fleet.introduce(3, {1: at(two.port)})
    await fleet.introduce(2, {1: at(one.port), 9: at(three.port)})
    await fleet.introduce(3, {1: at(two.port), 9: at(two.port)})
    await fleet.is_canceled(one, three.port)
    lost = with_hops(b"abcd", HOPS)
    async with session(one) as client:
        nobody = client.backend_pid & 0x7F0000FF | 9 << 16
        assert peer_of(nobody) == 9 and hops_of(lost) == HOPS
        await Wire.cancel(two.port, nobody, lost)  # comes back when its hops are used up
    for proxy, count in ((two, 2), (three, 1)):
        assert proxy.log.count("cancel request for peer") == 0
        assert await proxy.admin("SELECT peer_id FROM peer_pools WHERE peer_id = 9") == [{"peer_id": 9}], count


async def test_a_peer_of_several_workers_has_its_requests_stopped_at_the_right_one(fleet: Fleet) -> None:
    one, two = await fleet.add(1, workers=2), await fleet.add(2, workers=2)
    await fleet.introduce(2, {1: at(one.port)}, workers=2)
    async with session(one) as first, session(one) as second:
        for client in (first, second) * 2:
            await fleet.stops(client, two.port)
    pools = await two.admin("SHOW PEER_POOLS")
    assert [row["peer_id"] for row in pools] == [1], "one row, of all workers"


async def test_in_session_pooling_too(fleet: Fleet) -> None:
    one, two = await fleet.add(1, pool_mode="session"), await fleet.add(2)
    await fleet.introduce(2, {1: at(one.port)})
    async with session(one) as client:
        assert peer_of(client.backend_pid) == 1
        await fleet.stops(client, two.port)


async def test_a_console_s_command_is_stopped_by_way_of_a_peer(fleet: Fleet) -> None:
    one, two = await fleet.add(1), await fleet.add(2)
    await fleet.introduce(2, {1: at(one.port)})
    async with session(one) as holder:
        await holder.query("BEGIN")
        async with session(one, database="pgbouncer") as console:
            pausing = asyncio.ensure_future(console.query("PAUSE"))
            await wait_until(lambda: one.admin("SELECT 1 FROM state WHERE key = 'paused' AND value = 'yes'"))
            await Wire.cancel(two.port, console.backend_pid, console.cancel_key)
            await pausing
        assert rows(await holder.query("SELECT 1")) == [[b"1"]]


# --- a rolling restart: two programs on one port ----------------------------------------------------------------


class Member(Trunkline):
    """One whose log has PgBouncer's words."""

    @property
    def is_ready(self) -> bool:
        return "process up" in self.log_since_start


class Pair:
    """Two that share a port, from PgBouncer's file, and reach each other by their Unix sockets."""

    def __init__(self, server: int, directory: Path) -> None:
        with socket.create_server((HOST, 0)) as free:
            self.port = free.getsockname()[1]
        self.members = [self._member(number, server, directory) for number in (1, 2)]

    def _member(self, number: int, server: int, directory: Path) -> Member:
        own = directory / str(number)
        own.mkdir()
        (own / "users.txt").write_text(f'"{USER}" "{PASSWORD}"\n')
        (own / "pgbouncer.ini").write_text(
            f"[databases]\npostgres = host={HOST} port={server}\n[peers]\n1 = host={directory}/1 port={self.port}\n"
            f"2 = host={directory}/2 port={self.port}\n[pgbouncer]\nlisten_addr = {HOST}\nlisten_port = {self.port}\n"
            f"so_reuseport = 1\nunix_socket_dir = {own}\npeer_id = {number}\npool_mode = transaction\n"
            f"auth_type = scram-sha-256\nauth_file = {own}/users.txt\n"
        )
        return Member(own / "pgbouncer.ini", own / "log")

    async def client(self) -> Wire:
        client = await Wire.connect(self.port)
        await client.login(USER, PASSWORD, database="postgres")
        return client

    async def come_and_go(self, stop: asyncio.Event) -> int:
        """How often; any failure is the test's."""
        count = 0
        while not stop.is_set():
            async with await self.client() as client:
                assert errors(await client.query("SELECT 1")) == []
            count += 1
        return count


async def test_row_94_a_rolling_restart_of_two_on_one_port_keeps_cancels_working(
    start_proxy: ProxyFactory, postgres: Postgres, tmp_path: Path
) -> None:
    """Each in turn waits for its clients, while the other takes those who come; nobody is turned away."""
    pair, fleet = Pair(postgres.port, tmp_path), Fleet(start_proxy, postgres)
    stop = asyncio.Event()
    try:
        for member in pair.members:
            await member.start()
        crowd = [asyncio.create_task(pair.come_and_go(stop)) for _ in range(4)]
        for member in pair.members:
            member.send_signal(signal.SIGTERM)
            assert await member.wait(10) == 0
            await member.start()
            for _ in range(6):  # the kernel chooses who gets the client, and who the request
                async with await pair.client() as client:
                    await fleet.stops(client, pair.port)
        stop.set()
        assert all(await asyncio.gather(*crowd))
    finally:
        stop.set()
        for member in pair.members:
            await member.stop()


# --- beside PgBouncer itself ------------------------------------------------------------------------------------


def peers_are_known() -> bool:
    """PgBouncer has them since 1.19."""
    program = shutil.which("pgbouncer")
    if program is None:
        return False
    told = subprocess.run([program, "--version"], check=False, capture_output=True, text=True).stdout.split()
    return tuple(map(int, told[1].split(".")[:2])) >= (1, 19)


@pytest.mark.skipif(not peers_are_known(), reason="needs PgBouncer 1.19 or later")
async def test_a_fleet_may_be_mixed(fleet: Fleet, postgres: Postgres, tmp_path: Path) -> None:
    ours = await fleet.add(1)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "users.txt").write_text(f'"{USER}" "{PASSWORD}"\n')
    (tmp_path / "pgbouncer.ini").write_text(
        f"[databases]\npostgres = host=127.0.0.1 port={postgres.port}\n[peers]\n1 = host=127.0.0.1 port={ours.port}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = scram-sha-256\n"
        f"auth_file = users.txt\npeer_id = 2\npool_mode = transaction\nlogfile = {tmp_path}/log\n"
    )
    tmp_path.chmod(0o777)
    as_nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    command = [*as_nobody, "pgbouncer", "-q", "pgbouncer.ini"]
    theirs = await asyncio.create_subprocess_exec(*command, cwd=tmp_path)
    try:
        await fleet.introduce(1, {2: at(port)})
        await wait_until(lambda: answers(port))
        async with session(ours) as client:
            await fleet.stops(client, port)
        async with await Wire.connect(port) as client:
            await client.login(USER, PASSWORD, database="postgres")
            assert peer_of(client.backend_pid) == 2
            await fleet.stops(client, ours.port)
    finally:
        theirs.kill()
        await theirs.wait()


async def answers(port: int) -> bool:
    try:
        connecting = psycopg.AsyncConnection.connect(
            host="127.0.0.1", port=port, user=USER, password=PASSWORD, dbname="postgres"
        )
        await (await connecting).close()
    except psycopg.OperationalError:
        return False
    return True
