"""RELOAD, PAUSE, RESUME, SHUTDOWN: what an operator does to the running proxy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from trunkline.admin.commands import Request, action
from trunkline.errors import AdminSyntaxError
from trunkline.proxy.instance import Drain


@action("RELOAD")
async def reload(request: Request) -> None:
    request.instance.reload()


@action("PAUSE", argument="[db]")
async def pause(request: Request) -> None:
    """Answers when every server is closed. If the client leaves before, what is paused stays so, as in PgBouncer."""
    await request.instance.pause(request.argument)


@action("RESUME", argument="[db]")
async def resume(request: Request) -> None:
    await request.instance.resume(request.argument)


@action("SHUTDOWN", argument="[WAIT_FOR_CLIENTS|WAIT_FOR_SERVERS]")
async def shutdown(request: Request) -> Callable[[], None]:
    """At once, or after a drain; the answer comes first in any case."""
    if not request.argument:
        return request.instance.stop
    return partial(request.instance.drain, _drain(request.argument))


def _drain(word: str) -> Drain:
    try:
        return Drain(word.upper())
    except ValueError:
        raise AdminSyntaxError(f"invalid argument '{word}' of SHUTDOWN, use SHOW HELP;") from None
