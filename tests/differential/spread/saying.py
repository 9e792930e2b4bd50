"""A statement and the ways to say it: simple or extended, named or not, rows at once or in portions, text or binary."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from tests.differential.spread.columns import Type
from tests.integration.wire import FLUSH, SYNC, Frame, Wire, bind, close, describe, execute, frame, parse

WAYS = 12  # of the extended protocol
PORTION = 3


@dataclass(frozen=True)
class Parameter:
    """As it is sent: the type that is declared for it (0: none), its format and its bytes, and how SQL writes it."""

    oid: int
    format: int
    value: bytes | None
    literal: str
    kind: Type | None = None  # of which it has a value


@dataclass(frozen=True)
class Statement:
    """``parameters`` is None for the simple protocol.

    ``order`` says what is known of the rows' order: None nothing, () that it is total, else by which columns (from 0)
    it is, in this sequence.
    """

    sql: str
    parameters: tuple[Parameter, ...] | None = None
    order: tuple[int, ...] | None = None
    is_write: bool = False
    data: bytes | None = None  # of COPY FROM STDIN

    def with_literals(self) -> Statement:
        """The same in the simple protocol."""
        sql = self.sql
        for number, parameter in reversed(list(enumerate(self.parameters or (), 1))):
            sql = sql.replace(f"${number}", parameter.literal)
        return replace(self, sql=sql, parameters=None)

    def __str__(self) -> str:
        values = [parameter.value for parameter in self.parameters or ()]
        if self.data is not None:
            return f"{self.sql}  -- {self.data!r}"
        return self.sql if self.parameters is None else f"{self.sql}  -- extended, {values}"


def finished(sql: str, parameters: list[Parameter] | None, order: tuple[int, ...] | None) -> Statement:
    """A statement that was made; parameters that its text does not have in the end are left out."""
    if parameters is None:
        return Statement(sql, None, order)
    used = sorted({int(number) for number in re.findall(r"\$(\d+)", sql)})
    new = {old: number for number, old in enumerate(used, 1)}
    text = re.sub(r"\$(\d+)", lambda found: f"${new[int(found[1])]}", sql)
    return Statement(text, tuple(parameters[number - 1] for number in used), order)


async def ask(wire: Wire, statement: Statement, way: int) -> list[Frame]:
    """The frames of the answer."""
    parameters = statement.parameters
    if parameters is None:
        return await _simple(wire, statement)
    name = "named" if way % 2 else ""
    parsed = parse(statement.sql, name, [one.oid for one in parameters])
    values, formats = [one.value for one in parameters], [one.format for one in parameters]
    bound = bind(name, values, result_formats=[way // 2 % 2], formats=formats)
    forget = close("S", name) + SYNC if name else b""
    units = 2 if forget else 1
    if way < 4:
        await wire.send(parsed + bound + describe("P") + execute() + SYNC + forget)
        return await _read(wire, units)
    if way < 8:
        await wire.send(parsed + describe("S", name) + SYNC)
        first = await wire.read_until("Z")
        if any(one.type == "E" for one in first):
            return first
        await wire.send(bound + describe("P") + execute() + SYNC + forget)
        return first + await _read(wire, units)
    return await _in_portions(wire, parsed + bound + describe("P"), forget, units)


async def _simple(wire: Wire, statement: Statement) -> list[Frame]:
    if statement.data is None:
        return await wire.query(statement.sql)
    await wire.send_query(statement.sql)
    frames = await wire.read_until("GZ")
    if frames[-1].type == "G":
        await wire.send(frame("d", statement.data) + frame("c"))
        frames += await wire.read_until("Z")
    return frames


async def _in_portions(wire: Wire, begin: bytes, forget: bytes, units: int) -> list[Frame]:
    frames: list[Frame] = []
    await wire.send(begin + execute(max_rows=PORTION) + FLUSH)
    while True:
        frames += await wire.read_until("CEIs")
        if frames[-1].type != "s":
            break
        await wire.send(execute(max_rows=PORTION) + FLUSH)
    await wire.send(SYNC + forget)
    return frames + await _read(wire, units)


async def _read(wire: Wire, units: int) -> list[Frame]:
    frames: list[Frame] = []
    for _ in range(units):
        frames += await wire.read_until("Z")
    return frames
