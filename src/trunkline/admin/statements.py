"""Prepared statements and portals of one console session, with PostgreSQL's rules and errors for their names. Pure.

The unnamed ones are replaced silently, named ones only after Close or DEALLOCATE; portals end with their transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from trunkline.admin.columns import Columns
from trunkline.admin.commands import COMMANDS, Command, find
from trunkline.admin.grammar import Statement, split
from trunkline.admin.result import ConsoleError, Row, Value, check_formats
from trunkline.admin.select import read_select
from trunkline.admin.types import parameter
from trunkline.errors import AdminSyntaxError
from trunkline.protocol.messages import format_of

MAX_STATEMENTS: Final = 1000
MAX_PORTALS: Final = 50


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement with its command, or with None for the empty query."""

    command: Command | None = None
    rest: tuple[str, ...] = ()
    types: tuple[int, ...] = ()  # of its parameters

    @property
    def columns(self) -> Columns | None:
        return self.command.columns if self.command is not None else None


@dataclass(slots=True)
class Portal:
    """A prepared statement in execution; `rows` yields what is left to send, once it has run."""

    prepared: Prepared
    formats: tuple[int, ...] = ()
    parameters: tuple[Value, ...] = ()
    tag: str = ""
    rows: Iterator[Row] | None = None
    afterwards: Callable[[], None] | None = None


def prepare(statement: Statement, declared: Sequence[int] = ()) -> Prepared:
    """AdminSyntaxError if there is no such command. PgBouncer takes SELECT for SHOW where that is all."""
    words = statement.words
    if statement.keywords(1) == ("SELECT",) and statement.keywords(len(words)) not in COMMANDS:
        shown = COMMANDS.get(("SHOW", words[1].upper())) if len(words) == 2 else None
        if shown is not None:
            return Prepared(shown)
        command, types = read_select(statement.text, declared)
        return Prepared(command, (), types)
    return Prepared(*find(statement))


@dataclass(slots=True)
class Names:
    """What one session has prepared and bound."""

    statements: dict[bytes, Prepared] = field(default_factory=dict)
    portals: dict[bytes, Portal] = field(default_factory=dict)

    def parse(self, name: bytes, sql: str, types: Sequence[int] = ()) -> None:
        statements = split(sql)
        if len(statements) > 1:
            raise AdminSyntaxError("cannot insert multiple commands into a prepared statement")
        prepared = prepare(statements[0], types) if statements else Prepared()
        if name and name in self.statements:
            raise ConsoleError("42P05", f'prepared statement "{_shown(name)}" already exists')
        if len(self.statements) >= MAX_STATEMENTS:
            raise ConsoleError("54000", f"no more than {MAX_STATEMENTS} prepared statements in a console session")
        self.statements[name] = prepared

    def bind(
        self,
        portal: bytes,
        name: bytes,
        parameters: tuple[bytes | None, ...],
        formats: tuple[int, ...],
        parameter_formats: tuple[int, ...] = (),
    ) -> None:
        prepared = self.statement(name)
        values = _values(parameters, prepared.types, parameter_formats)
        if prepared.columns is not None:
            check_formats(formats, prepared.columns)
        if portal and portal in self.portals:
            raise ConsoleError("42P03", f'cursor "{_shown(portal)}" already exists')
        if len(self.portals) >= MAX_PORTALS:
            raise ConsoleError("54000", f"no more than {MAX_PORTALS} portals in a console session")
        self.portals[portal] = Portal(prepared, formats, values)

    def statement(self, name: bytes) -> Prepared:
        if name not in self.statements:
            which = f'prepared statement "{_shown(name)}"' if name else "unnamed prepared statement"
            raise ConsoleError("26000", f"{which} does not exist")
        return self.statements[name]

    def portal(self, name: bytes) -> Portal:
        if name not in self.portals:
            raise ConsoleError("34000", f'portal "{_shown(name)}" does not exist')
        return self.portals[name]

    def close(self, kind: bytes, name: bytes) -> None:
        """Close of a statement (S) or portal (P); it is no error if there is none."""
        if kind == b"S":
            self.statements.pop(name, None)
        else:
            self.portals.pop(name, None)

    def after(self, tag: str, rest: tuple[str, ...]) -> None:
        """What a command that has run means for the names."""
        if tag in ("DEALLOCATE ALL", "DISCARD ALL"):
            self.statements.clear()
        elif tag == "DEALLOCATE" and rest:
            self.statements.pop(rest[-1].encode(), None)


def _shown(name: bytes) -> str:
    return name.decode(errors="replace")


def _values(
    parameters: tuple[bytes | None, ...], types: tuple[int, ...], formats: tuple[int, ...]
) -> tuple[Value, ...]:
    """Bind's parameters; their formats are as those of results: none, one for all, or one for each."""
    given, wanted = len(parameters), len(types)
    if given != wanted:
        raise ConsoleError("08P01", f"bind message supplies {given} parameters, but the statement takes {wanted}")
    if len(formats) > 1 and len(formats) != given:
        raise ConsoleError("08P01", f"bind message has {len(formats)} parameter formats but {given} parameters")
    pairs = enumerate(zip(parameters, types, strict=True))
    return tuple(parameter(data, oid, format_of(formats, index)) for index, (data, oid) in pairs)
