"""SUSPEND without traffic: what stands still, and when it goes on."""

from __future__ import annotations

import asyncio
import socket

from tests.unit.admin.conftest import CONFIG
from trunkline.admin.console import serve_console
from trunkline.proxy.client import ClientLink
from trunkline.proxy.identity import Identity, Peer
from trunkline.proxy.instance import Instance


async def test_pools_give_out_no_server_and_close_none() -> None:
    instance = Instance(lambda: CONFIG, CONFIG, serve_console)
    pool = instance.pools.pool("app", "a")
    await instance.suspension.begin()
    assert (pool.paused, pool.stopped, instance.suspension.active) == (True, False, True)
    pool.resume()
    assert pool.paused, "another reason to go on is none"
    instance.suspension.end()
    assert not pool.paused
    instance.suspension.end()
    await instance.close()


async def test_it_ends_when_no_console_is_there() -> None:
    instance = Instance(lambda: CONFIG, CONFIG, serve_console)
    await instance.suspension.begin()
    instance.suspension.tick()
    assert not instance.suspension.active
    await instance.close()


async def test_a_client_that_does_not_take_what_is_sent_is_waited_for() -> None:
    instance = Instance(lambda: CONFIG, CONFIG, serve_console)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    link = ClientLink(instance.engine)
    link.session = Identity(instance.clients, Peer(None, None))
    instance.clients.register(link, link.session, "client", 4)
    link.attach(ours.detach())
    while not link.unsent_count:
        link.write(b"x" * 65536)
    begun = asyncio.ensure_future(instance.suspension.begin())
    await asyncio.sleep(0)
    assert link.suspended and not begun.done()
    theirs.setblocking(False)
    loop = asyncio.get_running_loop()
    while link.unsent_count:
        await loop.sock_recv(theirs, 1 << 20)
    await begun
    instance.suspension.end()
    assert not link.suspended
    theirs.close()
    await instance.close()


async def test_who_will_not_wait_for_it_undoes_it() -> None:
    instance = Instance(lambda: CONFIG, CONFIG, serve_console)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    link = ClientLink(instance.engine)
    link.session = Identity(instance.clients, Peer(None, None))
    instance.clients.register(link, link.session, "client", 4)
    link.attach(ours.detach())
    while not link.unsent_count:
        link.write(b"x" * 65536)
    begun = asyncio.ensure_future(instance.suspension.begin())
    await asyncio.sleep(0)
    begun.cancel()
    await asyncio.wait([begun])
    assert not instance.suspension.active and not link.suspended
    theirs.close()
    await instance.close()
