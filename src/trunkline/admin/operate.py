"""KILL, KILL_CLIENT, DISABLE, ENABLE, RECONNECT, WAIT_CLOSE: what an operator does to databases and clients."""

from __future__ import annotations

from trunkline.admin.commands import Request, action
from trunkline.admin.control import NOT_NOW, check_going_on, database_of
from trunkline.admin.result import ConsoleError
from trunkline.errors import AdminSyntaxError
from trunkline.proxy.operation import Operation


@action("KILL", argument="[db]", everywhere=True)
async def kill(request: Request) -> None:
    """Clients hear 57P01 at once; those who come then wait until RESUME, as in PgBouncer."""
    check_going_on(request.instance)
    _of(request).kill(database_of(request, "kill"))


@action("KILL_CLIENT", argument="client_id")
async def kill_client(request: Request) -> None:
    if not request.argument.isdecimal():
        raise AdminSyntaxError("invalid client pointer supplied", hint="It takes an id of SHOW CLIENTS.")
    number, siblings = int(request.argument), request.instance.siblings
    found = _of(request).kill_client(number)
    if not found and siblings is not None:
        found = any(await siblings.ask("kill_client", number=number))
    if not found:
        raise ConsoleError("42704", "client not found")


@action("DISABLE", argument="db", everywhere=True)
async def disable(request: Request) -> None:
    _of(request).disable(_required(request, "disable"))


@action("ENABLE", argument="db", everywhere=True)
async def enable(request: Request) -> None:
    name = _required(request, "enable")
    _of(request).enable(name)
    settings = request.instance.config.database(name)
    if settings is not None and settings.disabled:
        raise ConsoleError(NOT_NOW, f'database "{name}" is disabled in the configuration')


@action("RECONNECT", argument="[db]", everywhere=True)
async def reconnect(request: Request) -> None:
    _of(request).reconnect(database_of(request, "reconnect"))


@action("WAIT_CLOSE", argument="[db]", everywhere=True)
async def wait_close(request: Request) -> None:
    await _of(request).wait_close(database_of(request, "wait in"))


def _required(request: Request, verb: str) -> str:
    if not request.argument:
        raise AdminSyntaxError("a database is required")
    return database_of(request, verb)


def _of(request: Request) -> Operation:
    return request.instance.operation
