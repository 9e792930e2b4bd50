"""What a client says at random in one go: a statement, the same again with other values, several in one query, a
transaction with savepoints, errors and cursors.

A cursor is asked for some of its rows only where their order is total, and goes back only if it is a SCROLL cursor:
whether another can depends on its plan.
"""

from __future__ import annotations

import random
from dataclasses import replace

from tests.differential.spread.queries import Query
from tests.differential.spread.saying import Parameter, Statement, finished
from tests.differential.spread.schema import SHARDED, Schema
from tests.differential.spread.writes import Writes

_STEPS = (
    "FETCH 2 FROM c", "FETCH FROM c", "FETCH FORWARD 3 FROM c", "MOVE 1 FROM c", "FETCH ALL FROM c", "MOVE ALL FROM c",
)  # fmt: skip
_SCROLLS = (
    "FETCH BACKWARD 2 FROM c", "FETCH PRIOR FROM c", "FETCH FIRST FROM c", "FETCH LAST FROM c",
    "FETCH 0 FROM c", "FETCH ABSOLUTE 2 FROM c", "FETCH ABSOLUTE -2 FROM c", "FETCH RELATIVE -1 FROM c",
    "MOVE BACKWARD ALL FROM c",
)  # fmt: skip


class Units:
    """Makes lists of statements: one alone, or what belongs together."""

    def __init__(self, rng: random.Random, schema: Schema) -> None:
        self.rng = rng
        self.schema = schema
        self.writes = Writes(rng, schema)
        self.queries = self.writes.queries

    def unit(self) -> list[Statement]:
        chance = self.rng.random()
        if chance < 0.64:
            return [self.queries.statement()]
        if chance < 0.72:
            return self._again()
        if chance < 0.75:
            return [self._copied_out()]
        if chance < 0.88:
            return [self.writes.statement()]
        if chance < 0.91:
            return [self._several()]
        return self._transaction()

    # --- several times --------------------------------------------------------------------------------------------

    def _again(self) -> list[Statement]:
        """The same with other values, where it has any: all as parameters, or all in the text."""
        rng = self.rng
        said = self.queries.statement() if rng.random() < 0.7 else self.writes.statement()
        units = [said]
        for _ in range(rng.randint(1, 3) if said.parameters else 0):
            units.append(replace(said, parameters=tuple(map(self._other, said.parameters or ()))))
        return units if rng.random() < 0.5 else [one.with_literals() for one in units]

    def _other(self, parameter: Parameter) -> Parameter:
        """Another value of the same type, said in the same way; rarely NULL."""
        kind = parameter.kind
        if kind is None or self.rng.random() < 0.3:
            return parameter
        value = None if self.rng.random() < 0.1 else self.rng.choice(kind.values)
        return replace(parameter, value=kind.said(value, parameter.format), literal=f"({kind.literal(value)})")

    # --- by other ways --------------------------------------------------------------------------------------------

    def _plain(self) -> Query:
        """One without parameters."""
        self.queries.expressions.parameters = None
        return self.queries.fresh()

    def _copied_out(self) -> Statement:
        """COPY TO, whose rows are texts: no sums whose last digit depends on their order."""
        while True:
            query = self._plain()
            if all(kind.family not in ("float", "rounded", "unordered") for _, kind in query.columns):
                form = self.rng.choice(["text", "csv", "csv, HEADER", "binary"])
                return Statement(f"COPY ({query.sql}) TO STDOUT (FORMAT {form})", None, query.order and None)

    def _several(self) -> Statement:
        """Several statements in one query, which are one transaction."""
        rng = self.rng
        said = []
        for _ in range(rng.randint(2, 3)):
            one = self.writes.statement() if rng.random() < 0.4 else self.queries.statement()
            if one.data is None:
                said.append(one.with_literals())
        return Statement("; ".join(one.sql for one in said), is_write=any(one.is_write for one in said))

    # --- transactions ---------------------------------------------------------------------------------------------

    def _transaction(self) -> list[Statement]:
        rng = self.rng
        made = [Statement(rng.choice(["BEGIN", "BEGIN", "START TRANSACTION ISOLATION LEVEL REPEATABLE READ"]))]
        points = 0
        for _ in range(rng.randint(1, 5)):
            chance = rng.random()
            if chance < 0.12:
                points += 1
                made.append(Statement(f"SAVEPOINT p{points}"))
            elif chance < 0.22 and points:
                made.append(Statement(f"{rng.choice(['ROLLBACK TO', 'RELEASE'])} p{points}"))
                points -= "RELEASE" in made[-1].sql
            elif chance < 0.27:
                any_table = rng.choice(self.schema.named(SHARDED)).name
                made.append(
                    Statement(rng.choice(["SELECT 1/0", "SELECT 'x'::int", f"SELECT k::bool FROM {any_table}"]))
                )
            elif chance < 0.37:
                made += self._cursor()
            else:
                made.append(self.writes.statement() if rng.random() < 0.6 else self.queries.statement())
        return [*made, Statement(rng.choice(["COMMIT", "COMMIT", "COMMIT", "ROLLBACK"]))]

    def _cursor(self) -> list[Statement]:
        rng, query = self.rng, self._plain()
        if query.order != ():
            steps = ["FETCH ALL FROM c"]
            scroll = ""
        else:
            scroll = rng.choice(["", "NO SCROLL", "SCROLL"])
            steps = rng.choices(_STEPS + (_SCROLLS if scroll == "SCROLL" else ()), k=rng.randint(1, 5))
        declared = finished(f"DECLARE c {scroll} CURSOR FOR {query.sql}", None, None)
        fetched = [Statement(step, None, query.order) for step in steps]
        return [declared, *fetched, Statement("CLOSE c")]
