"""RELOAD, PAUSE, SUSPEND, RESUME, SHUTDOWN: what an operator does to the whole of the running proxy.

Words of errors are PgBouncer's, for scripts look for them; SQLSTATEs say the truth, where PgBouncer has 08P01 for all,
which makes drivers throw the connection away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from trunkline.admin.commands import Request, action
from trunkline.admin.result import ConsoleError
from trunkline.config.settings import RESERVED_DATABASES
from trunkline.errors import AdminSyntaxError, UnknownDatabase
from trunkline.proxy.instance import Drain, Instance

NOT_NOW = "55000"  # object_not_in_prerequisite_state


@action("RELOAD")
async def reload(request: Request) -> None:
    """A file that cannot be used is refused by the process that was asked, before any other one reads it."""
    await request.instance.reload()
    await pass_on(request, "RELOAD")


@action("PAUSE", argument="[db]", everywhere=True)
async def pause(request: Request) -> None:
    """Answers when every server is closed. If the client leaves before, what is paused stays so, as in PgBouncer."""
    check_going_on(request.instance)
    await request.instance.pause(database_of(request, "pause"))


@action("SUSPEND", everywhere=True)
async def suspend(request: Request) -> None:
    """Answers when everything that was on its way is sent. If the last console leaves, it is undone."""
    instance = request.instance
    check_going_on(instance)
    if instance.pools.paused:
        raise ConsoleError(NOT_NOW, "cannot suspend with paused databases")
    await instance.suspension.begin(passed_on=request.passed_on)


@action("RESUME", argument="[db]", everywhere=True)
async def resume(request: Request) -> None:
    instance, name = request.instance, request.argument
    if instance.door.draining:
        raise ConsoleError(NOT_NOW, "pooler is shutting down")
    left = any(pool.stopped for pool in instance.pools if name in ("", pool.database, pool.family))
    if not (name or left or is_stopped(instance) or instance.pools.paused):
        raise ConsoleError(NOT_NOW, "pooler is not paused/suspended")
    if name in RESERVED_DATABASES or (name and instance.config.database(name) is None):
        raise UnknownDatabase(f"no such database: {name}")
    if name and not left and instance.pools.paused.isdisjoint((name, "")):
        raise ConsoleError(NOT_NOW, f"database {name} is not paused")
    await instance.resume(name)


async def pass_on(request: Request, name: str) -> None:
    """Have all other processes of this instance do it too."""
    if request.instance.siblings is not None and not request.passed_on:
        await request.instance.siblings.ask("act", name=name, argument=request.argument)


async def undo_stop(instance: Instance) -> None:
    """What was paused or suspended as a whole goes on."""
    if is_stopped(instance):
        others = instance.siblings.ask("resume", database="") if instance.siblings is not None else _nobody()
        await asyncio.gather(instance.resume(), others)


async def _nobody() -> list[Any]:
    return []


def check_going_on(instance: Instance) -> None:
    """ConsoleError if everything is paused or suspended already."""
    if is_stopped(instance):
        raise ConsoleError(NOT_NOW, "already suspended/paused")


def is_stopped(instance: Instance) -> bool:
    """Paused or suspended as a whole."""
    return instance.suspension.active or "" in instance.pools.paused


def database_of(request: Request, verb: str) -> str:
    """The database that was named, or nothing for all; the console itself is none of them."""
    if request.argument in RESERVED_DATABASES:
        raise ConsoleError(NOT_NOW, f"cannot {verb} admin db: {request.argument}")
    return request.argument


@action("SHUTDOWN", argument="[WAIT_FOR_CLIENTS|WAIT_FOR_SERVERS]")
async def shutdown(request: Request) -> Callable[[], None] | None:
    """At once, or after a drain, which goes on if there is one; the answer comes first in any case."""
    siblings = request.instance.siblings
    if not request.argument:
        return request.instance.stop if siblings is None else partial(siblings.shut_down, None)
    mode = _drain(request.argument)
    if siblings is not None:
        return partial(siblings.shut_down, mode)
    return None if request.instance.door.draining else partial(request.instance.drain, mode)


def _drain(word: str) -> Drain:
    try:
        return Drain(word.upper())
    except ValueError:
        raise AdminSyntaxError(f"invalid command 'SHUTDOWN {word}', use SHOW HELP;") from None
