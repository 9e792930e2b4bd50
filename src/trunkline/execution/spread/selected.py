"""INSERT ... SELECT through the proxy: the query is answered, and its rows go as arrays to where they belong.

Theory of operation. The shards are leased and in a transaction before the query is asked, so it sees what the block
has written. All its rows are here, within the budget of a gather, before any is inserted. An array has one column: in
binary form where that is the same on every shard, of enums and some arrays as texts, which do not depend on settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from trunkline.errors import StatementRefused
from trunkline.execution.refusals import refused
from trunkline.execution.spread.asked import Answer, Asked, Run
from trunkline.execution.spread.binding import REQUESTS, asked_of, bind
from trunkline.execution.spread.bringing import HEADER_BYTES, array_of, binary_array_of, in_their_encoding, shard_of
from trunkline.execution.spread.describing import described
from trunkline.execution.spread.description import FIRST_USER_OID, Field
from trunkline.execution.spread.gather_budget import Budget
from trunkline.execution.spread.gather_copy import SAME
from trunkline.execution.spread.own_types import anywhere
from trunkline.execution.spread.participant import Participant, values_of
from trunkline.execution.spread.participants import Participants
from trunkline.execution.spread.scatter import Scatter
from trunkline.execution.spread.studies import Study
from trunkline.execution.spread.write import (
    Done,
    Part,
    all_of,
    compare_copies,
    in_order,
    parameters_in,
    rows_in,
    time_of,
)
from trunkline.routing.keys.sharding import Kind
from trunkline.routing.plans.call import Call
from trunkline.routing.plans.plan import Refusal, Verdict
from trunkline.routing.spreading.moments import filled
from trunkline.routing.spreading.quoting import identifier
from trunkline.routing.spreading.writing_selected import Selected

_TEXT, _BINARY = 0, 1
_TEXTS = 1009  # the OID of text[]
_PLAINLY = frozenset(("_bool", "_int2", "_int4", "_int8", "_numeric", "_text", "_uuid", "_varchar"))
_TYPES = (
    "SELECT oid, typname, typarray, typtype, pg_catalog.format_type(oid, NULL),"
    " pg_catalog.format_type(NULLIF(typarray, 0), NULL) FROM pg_catalog.pg_type WHERE oid IN ({})"
)


@dataclass(frozen=True, slots=True)
class Carrier:
    """How a column of the query's is carried: its format, the array's declared type, and the casts around it."""

    format: int
    element: int
    array: int
    array_cast: str = ""
    cast: str = ""


async def selected(run: Run, program: Selected, asked: Asked, participants: Participants) -> Done:
    """Read by `run`, and insert."""
    await participants.begin()
    await participants.at_all(asked.mask or 1 << asked.home)
    anyone = next(iter(participants))
    in_their_encoding(anyone)
    types = anywhere(asked.described.parameters or asked.types)
    shown = await described(anyone, program.source.sql, types)
    fields = shown.fields or ()
    carriers = await _carriers(anyone, fields)
    inner = replace(asked, request=program.source, described=shown, types=types)
    inner.result_formats = tuple(carrier.format for carrier in carriers)
    rows = await _read(program, inner, participants, run)
    time = await time_of(participants) if program.asks_time else b""
    work = _Inserting(program, asked, fields, carriers, time)
    if program.kind is Kind.SHARDED:
        return await work.at_shards(rows, participants)
    mask = 1 << asked.home if program.kind is Kind.HOME else program.source.sharding.every
    return await work.everywhere(rows, await participants.at_all(mask))


# --- the query --------------------------------------------------------------------------------------------------------


async def _read(
    program: Selected, asked: Asked, participants: Participants, run: Run
) -> list[tuple[bytes | None, ...]]:
    settings = participants.pools[0].pools.config.settings
    budget = Budget(settings.gather_max_bytes, settings.gather_max_total_bytes)
    answer = await _answer(program, asked, participants, run)
    found: list[tuple[bytes | None, ...]] = []
    async for piece in answer.rows():
        budget.take(len(piece), "its query")
        found += [values_of(row[HEADER_BYTES:]) for row in rows_in(piece)]
    return found


async def _answer(program: Selected, asked: Asked, participants: Participants, run: Run) -> Answer:
    """Of one shard, or of several."""
    source = program.source
    bound = bind(asked.formats, asked.values, ())[HEADER_BYTES + 2 :] if asked.values else None
    call = Call(source.sql, bound, tuple(asked.types), True)
    study = Study(source.sql, source, program.ready, source.sharding.every)
    if source.plan.verdict is Verdict.ANYWHERE:
        return Scatter(asked, source.sql, [next(iter(participants))])
    mask = study.mask(call) if source.plan.verdict is Verdict.ROUTED else 1 << asked.home
    if not mask & (mask - 1):
        shard = mask.bit_length() - 1 if mask else asked.home
        return Scatter(asked, source.sql, [await participants.at(shard)])
    if program.program is None or isinstance(program.program, Refusal):
        raise refused(program.program or Refusal("Its query concerns several shards."))
    asked.mask, asked.masks, asked.call = mask, study.masks(call), call
    answer: Answer = await run(program.program, asked, participants)
    return answer


async def _carriers(one: Participant, fields: Sequence[Field]) -> list[Carrier]:
    oids = sorted({field.type for field in fields})
    rows = await one.ask(_TYPES.format(", ".join(map(str, oids))).encode()) if oids else []
    known = {int(row[0] or b"0"): carrier_of(row) for row in rows}
    found = [known.get(field.type) for field in fields]
    for field, carrier in zip(fields, found, strict=True):
        if carrier is None:
            name = field.name.decode(errors="replace")
            raise StatementRefused(f"{name} is of a type that is not carried from shard to shard", hint="Cast it.")
    return [carrier for carrier in found if carrier is not None]


def carrier_of(row: Sequence[bytes | None]) -> Carrier | None:
    oid, name, array, kind, cast, array_cast = ((value or b"").decode() for value in row)
    number = int(oid)
    if number < FIRST_USER_OID and name in SAME:
        return Carrier(_BINARY, number, int(array))
    if kind == "e":
        return Carrier(_TEXT, 0, 0, f"::{array_cast}")
    if name in _PLAINLY:
        return Carrier(_TEXT, 0, _TEXTS, "", f"::{cast}")
    return None


# --- inserting --------------------------------------------------------------------------------------------------------


class _Inserting:
    """The rows, and the INSERT of some of them."""

    def __init__(
        self, program: Selected, asked: Asked, fields: Sequence[Field], carriers: Sequence[Carrier], time: bytes
    ) -> None:
        self._program = program
        self._asked = asked
        self._fields = fields
        self._carriers = carriers
        types = anywhere(asked.described.parameters or asked.types)
        self._first = max(len(types), len(asked.values))
        arrays = tuple(carrier.array for carrier in carriers)
        self._types = (*types, *(0,) * (self._first - len(types)), *arrays)
        self._formats = (*asked.formats, *(carrier.format for carrier in carriers))
        self._text = self._said(time)

    async def at_shards(self, rows: Sequence[tuple[bytes | None, ...]], participants: Participants) -> Done:
        """Each row where its key says."""
        program, done = self._program, Done()
        assert program.function is not None
        oids = [self._fields[place].type for place in program.key if place < len(self._fields)]
        keys = ([row[place] for place in program.key] for row in rows)
        shards = [shard_of(program.function, program.nowhere, key, oids) for key in keys]
        mask = sum(1 << shard for shard in set(shards)) or 1 << self._asked.home
        parts = []
        for one in await participants.at_all(mask):
            places = [place for place, shard in enumerate(shards) if shard == one.shard]
            parts.append(Part(one, self._text, places))
            self._ask(one, [rows[place] for place in places])
        await (in_order(self._asked, parts, shards, done) if program.in_order else all_of(self._asked, parts, done))
        return done

    async def everywhere(self, rows: Sequence[tuple[bytes | None, ...]], people: Sequence[Participant]) -> Done:
        """All rows at each of them, the home shard first."""
        done = Done()
        for one in sorted(people, key=lambda one: one.shard != self._asked.home):
            copy = Done() if done.tags else done
            self._ask(one, rows)
            await all_of(self._asked, [Part(one, self._text)], copy)
            if copy is not done:
                compare_copies(one, copy, done)
                one.notices.clear()
        return done

    def _said(self, time: bytes) -> bytes:
        """The INSERT; its query gives the rows of the arrays."""
        program, count = self._program, len(self._carriers)
        literals = {place % count: text for place, text in program.literals.items()} if count else {}
        names = [*program.columns[:count], *(name for name, _ in program.added)]
        outputs = [
            literals.get(place, f"r.c{place}{carrier.cast}".encode()) for place, carrier in enumerate(self._carriers)
        ]
        outputs += [filled(default, time) for _, default in program.added]
        arrays = ", ".join(
            f"pg_catalog.unnest(${self._first + place + 1}{carrier.array_cast})"
            for place, carrier in enumerate(self._carriers)
        )
        columns = ", ".join(f"c{place}" for place in range(count))
        head = f"{program.into} ({', '.join(map(identifier, names))}){program.overriding} SELECT "
        source = f" FROM ROWS FROM ({arrays}) AS r ({columns}) "
        return head.encode() + b", ".join(outputs) + source.encode() + filled(program.tail, time)

    def _ask(self, one: Participant, rows: Sequence[tuple[bytes | None, ...]]) -> None:
        arrays = []
        for place, carrier in enumerate(self._carriers):
            column = [row[place] for row in rows]
            is_binary = carrier.format == _BINARY
            arrays.append(binary_array_of(column, carrier.element) if is_binary else array_of(column))
        frames = asked_of(
            self._text, self._types, self._formats, (*self._asked.values, *arrays), self._asked.result_formats,
            parameters_in(self._text),
        )  # fmt: skip
        one.request(frames, REQUESTS)
