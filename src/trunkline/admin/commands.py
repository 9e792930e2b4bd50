"""The table of console commands. Adding one is a function with a decorator in the file of its family.

    @show("POOLS", columns.POOLS)
    def show_pools(instance: Instance) -> Iterator[Row]: ...

    @action("PAUSE", argument="[db]")
    async def pause(request: Request) -> None: ...

A command is found by its first words, the longest match first. SHOW is for admin_users and stats_users; an action is
for admin_users alone, and that is decided here, not in the commands, at each of them: a reload may change it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from trunkline.admin.columns import Columns
from trunkline.admin.grammar import Statement
from trunkline.admin.merging import OWN, merged
from trunkline.admin.result import Row, Value
from trunkline.config.diagnostics import redact
from trunkline.errors import AdminNotAllowed, AdminSyntaxError
from trunkline.proxy.identity import Identity
from trunkline.proxy.instance import Instance


@dataclass(frozen=True, slots=True)
class Request:
    """One command on its way: who asks whom for what."""

    instance: Instance
    identity: Identity
    argument: str = ""
    words: tuple[str, ...] = ()
    parameters: tuple[Value, ...] = ()
    passed_on: bool = False  # by another process of this instance, which was asked


@dataclass(slots=True)
class Answer:
    """What a command came to."""

    rows: Iterable[Row] = ()
    notices: tuple[str, ...] = ()
    detail: str | None = None  # of the notices
    tag: str = ""  # if it is not the command's
    afterwards: Callable[[], None] | None = None  # once the client has its answer


@dataclass(frozen=True, slots=True)
class Command:
    """One row of the table."""

    words: tuple[str, ...]
    run: Callable[[Request], Awaitable[Answer]]
    tag: str
    columns: Columns | None = None
    argument: str | None = ""  # as SHOW HELP writes it; "" is none, None is anything at all
    admin: bool = False
    shown_as: str = ""  # in SHOW HELP, if its words and its argument do not say it
    listed: bool = True  # in SHOW HELP; not what drivers say by themselves
    leaves: bytes = b""  # the transaction status afterwards, where it changes

    @property
    def usage(self) -> str:
        return self.shown_as or " ".join((*self.words, self.argument or "")).strip()


COMMANDS: dict[tuple[str, ...], Command] = {}
_LONGEST = 4  # words of a command
_SHOWN = 200  # characters of a statement in an error


def register(command: Command) -> None:
    COMMANDS[command.words] = command


RowsOf: TypeAlias = Callable[[Instance], Iterable[Row]]
RowsOfAll: TypeAlias = Callable[[list[Any]], Iterable[Row]]
Act: TypeAlias = Callable[[Request], Awaitable[Answer | Callable[[], None] | None]]


TOLD: dict[str, Callable[[Instance], Any]] = {}
"""By the name of a relation: what a process tells another one that shows it; rows, where nothing else is said."""

ACTS: dict[str, Act] = {}
"""What one process does when another one was asked, by the name of the command."""


def show(name: str, columns: Columns, *, admin: bool = False) -> Callable[[RowsOf], RowsOf]:
    """Register SHOW `name`, which reads the instance and yields rows."""

    def add(rows_of: RowsOf) -> RowsOf:
        async def run(request: Request) -> Answer:
            instance = request.instance
            if name in OWN or instance.siblings is None:
                return Answer(rows_of(instance))
            others = await instance.siblings.ask("show", name=name)
            return Answer(merged(name, columns, [list(rows_of(instance)), *others]))

        register(Command(("SHOW", name), run, "SHOW", columns, admin=admin))
        TOLD[name] = lambda instance: list(rows_of(instance))
        return rows_of

    return add


def show_sum(name: str, columns: Columns, told: Callable[[Instance], Any]) -> Callable[[RowsOfAll], RowsOf]:
    """Register SHOW `name` where rows cannot be made one: they are made of what all processes have `told`."""

    def add(rows_of: RowsOfAll) -> RowsOf:
        async def run(request: Request) -> Answer:
            siblings = request.instance.siblings
            others = await siblings.ask("show", name=name) if siblings is not None else []
            return Answer(rows_of([told(request.instance), *others]))

        register(Command(("SHOW", name), run, "SHOW", columns))
        TOLD[name] = told
        return lambda instance: rows_of([told(instance)])

    return add


def action(name: str, *, argument: str = "", everywhere: bool = False) -> Callable[[Act], Act]:
    """Register a command that changes something; its tag is its name. `everywhere`: other processes do it too."""

    def add(act: Act) -> Act:
        async def run(request: Request) -> Answer:
            siblings = request.instance.siblings
            if siblings is not None and everywhere:
                others = siblings.ask("act", name=name, argument=request.argument)
                done, _ = await asyncio.gather(act(request), others)
            else:
                done = await act(request)
            return done if isinstance(done, Answer) else Answer(afterwards=done)

        register(Command(tuple(name.split()), run, name, argument=argument, admin=True))
        ACTS[name] = act
        return act

    return add


def find(statement: Statement) -> tuple[Command, tuple[str, ...]]:
    """The command of a statement and the words behind it; AdminSyntaxError if there is none."""
    for count in range(min(_LONGEST, len(statement.words)), 0, -1):
        command = COMMANDS.get(statement.keywords(count))
        if command is not None and _fits(command, len(statement.words) - count):
            return command, statement.words[count:]
    raise AdminSyntaxError(f"invalid command '{redact(statement.text)[:_SHOWN]}', use SHOW HELP;")


def _fits(command: Command, given: int) -> bool:
    return command.argument is None or given <= len(command.argument.split())


def check_rights(command: Command, request: Request) -> None:
    """AdminNotAllowed unless the user may run it, whatever kind of login was asked for."""
    settings, identity = request.instance.config.settings, request.identity
    if identity.may_administer(settings):
        return
    if command.admin:
        raise AdminNotAllowed("admin access needed", hint="It is for admin_users.")
    if not settings.may_read_console(identity.user):
        raise AdminNotAllowed("not allowed", hint="The console is for admin_users and stats_users.")


async def run(command: Command, rest: tuple[str, ...], request: Request) -> Answer:
    """Carry out a command that `find` has found."""
    check_rights(command, request)
    argument = rest[0] if rest else ""
    return await command.run(replace(request, argument=argument, words=rest))
