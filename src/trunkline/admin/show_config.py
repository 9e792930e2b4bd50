"""SHOW HELP, VERSION, CONFIG, STATE: what this is and how it is set."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.admin import columns
from trunkline.admin.commands import COMMANDS, Answer, Command, Request, register, show
from trunkline.admin.probes import VERSION_LINE
from trunkline.admin.result import Row
from trunkline.config.table import show_rows
from trunkline.proxy.instance import Instance


async def _help(request: Request) -> Answer:
    """The list as a notice: PgBouncer's way, so that psql shows it and monitors get no rows."""
    usages = sorted(command.usage for command in COMMANDS.values() if command.listed)
    return Answer(notices=("Console usage",), detail="\n\t" + "\n\t".join(usages))


register(Command(("SHOW", "HELP"), _help, "SHOW"))


@show("VERSION", columns.VERSION)
def show_version(instance: Instance) -> Iterator[Row]:
    yield (VERSION_LINE,)


@show("CONFIG", columns.CONFIG)
def show_config(instance: Instance) -> Iterator[Row]:
    yield from show_rows(instance.config.settings)


@show("STATE", columns.STATE)
def show_state(instance: Instance) -> Iterator[Row]:
    suspended = instance.suspension.active
    paused = "" in instance.pools.paused and not suspended
    for key, value in (("active", not (paused or suspended)), ("paused", paused), ("suspended", suspended)):
        yield key, "yes" if value else "no"
