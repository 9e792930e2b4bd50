"""SQL cursors over several shards: DECLARE as a program, and what FETCH, MOVE and CLOSE ask of one. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading.clauses import tokenize
from trunkline.routing.spreading.gathering import Gather
from trunkline.routing.spreading.merge import Merging
from trunkline.routing.spreading.request import Concatenation, Request
from trunkline.routing.spreading.wrapped import Wrapped, inner_of, planned
from trunkline.routing.sql import Node, walk

ALL = 2**63 - 1  # rows: FETCH ALL (parsenodes.h, FETCH_ALL)
_BINARY, _SCROLL, _HOLD = 1, 2, 32  # CURSOR_OPT_... (parsenodes.h)


@dataclass(frozen=True, slots=True)
class Declared(Wrapped):
    """A cursor of this name."""

    name: str
    scrolls: bool
    holds: bool


def plan(request: Request, program_of: Callable[[Request], Any]) -> Declared | Refusal:
    """How a cursor is declared."""
    options = request.node.get("options", 0)
    if options & _BINARY:
        return Refusal("A BINARY cursor is not declared over several shards.", "Fetch in binary over the protocol.")
    tokens = tokenize(request.sql)
    end = tokens[-1].end
    inner = inner_of(request, ((after.start, end) for one, after in pairwise(tokens) if one.text == b"for"))
    if inner is None:
        return Refusal("The text of the cursor's query is not understood.", "Ask the query by itself.")
    if any(name == "lockingClause" for name, _ in walk(inner.node)):
        return Refusal("A cursor over several shards does not lock rows.", "Lock them in a SELECT of their own.")
    program = program_of(inner)
    if isinstance(program, Refusal):
        return program
    if not isinstance(program, (Concatenation, Merging, Gather)):
        return Refusal("Its query does not only read.", "Run it by itself.")
    return Declared(planned(inner), program, request.node["portalname"], bool(options & _SCROLL), bool(options & _HOLD))


def current_of(request: Request | None) -> str:
    """The cursor of whose row a statement is; empty: of none."""
    where = request.node.get("whereClause", {}) if request is not None else {}
    return str(where["CurrentOfExpr"]["cursor_name"]) if "CurrentOfExpr" in where else ""


@dataclass(frozen=True, slots=True)
class Fetch:
    """FETCH or MOVE: `direction` is forward, backward, absolute or relative."""

    name: str
    direction: str
    count: int
    moves: bool

    @classmethod
    def of(cls, node: Node) -> Fetch:
        """From a FetchStmt. Counts that go back are turned into counts that go forward, and the other way round."""
        direction, count = node["direction"].removeprefix("FETCH_").lower(), node.get("howMany", 0)
        if direction in _TURNED and count < 0:
            direction, count = _TURNED[direction], -count
        return cls(node["portalname"], direction, count, bool(node.get("ismove")))


_TURNED = {"forward": "backward", "backward": "forward"}


@dataclass(frozen=True, slots=True)
class Steps:
    """Of a cursor that only goes forward: pass over so many rows, and give so many."""

    skipped: int
    given: int


def forward(fetch: Fetch, position: int, *, at_end: bool) -> Steps | None:
    """What a FETCH is for a cursor that has given `position` rows; None: it would have to go back (portalcmds.c)."""
    place = position + 1 if at_end else position
    if fetch.direction == "forward" and fetch.count:
        return Steps(0, fetch.count)
    if fetch.direction == "relative" and fetch.count > 0:
        return Steps(fetch.count - 1, 1)
    if fetch.direction == "absolute" and fetch.count > place:
        return Steps(fetch.count - place - 1, 1)
    if fetch.count == 0 and (place == 0 or (at_end and fetch.direction != "absolute")):
        return Steps(0, 0)  # it is on no row, so there is nothing to say again
    return None


def anywhere(fetch: Fetch, position: int, size: int) -> tuple[int, range]:
    """The same of a cursor with `size` rows that goes both ways: where it is then, and the rows that it gives.

    Rows are numbered from 1; a cursor is on one of them, before the first (0) or behind the last (size + 1).
    """
    count = fetch.count
    if fetch.direction == "forward" and count:
        end = min(position + count, size + 1)
        return end, range(position + 1, min(end, size) + 1)
    if fetch.direction == "backward" and count:
        end = max(position - count, 0)
        return end, range(position - 1, max(end, 1) - 1, -1)
    if fetch.direction == "absolute":
        target = count if count >= 0 else size + 1 + count
    else:
        target = position + (count if fetch.direction == "relative" else 0)
    target = min(max(target, 0), size + 1)
    return target, range(target, target + 1) if 1 <= target <= size else range(0)
