"""Calls that are asked at once: whose columns agree, and when they are answered."""

from __future__ import annotations

from functools import partial

from tests.unit.execution.spread.test_scatter import BEGUN, DESCRIBED
from tests.unit.relay import READY, Relay, error, relay
from trunkline.execution.spread.asked import Asked
from trunkline.execution.spread.at_once import Shape, UnderWay, servers_of
from trunkline.execution.spread.coordination import Coordinations
from trunkline.execution.spread.gate import Gate, Side, Ticket
from trunkline.execution.spread.participants import Participants
from trunkline.execution.spread.scatter import Scatter
from trunkline.protocol.messages import command_complete, data_row, row_description
from trunkline.routing.spreading.request import Concatenation
from trunkline.shard_errors import TransactionInDoubt

COLUMNS = row_description([("id", 20)])
SQL = b"SELECT id FROM t"


def shape() -> Shape:
    assert DESCRIBED.fields is not None
    return Shape(Concatenation(SQL), DESCRIBED, DESCRIBED.row_description(), DESCRIBED.fields)


def under_way(made: Relay, gate: Gate | None = None) -> UnderWay:
    coordination = Coordinations(made.pools).of("app")
    coordination.gate = gate or coordination.gate
    participants = Participants([made.pool] * 2, made.engine, None, coordination)
    everyone = servers_of(participants, 0b11)
    assert everyone is not None
    made_of = UnderWay(shape(), participants, everyone, partial(Scatter, Asked(None, DESCRIBED), SQL, everyone))
    made_of.enter(0b11)
    return made_of


def test_columns_of_a_shard_agree_or_not() -> None:
    made = shape()
    for _ in range(2):
        assert made.agrees(COLUMNS[5:])
        assert not made.agrees(row_description([("id", 23)])[5:])
        assert not made.agrees(None)


async def test_it_is_answered_when_the_last_shard_has_answered_and_leaves_the_gate_when_all_are_bound() -> None:
    async with relay() as made:
        fars = [made.server()[1] for _ in range(2)]
        asked = under_way(made)
        gate = asked.participants.coordination.gate
        heard: list[str] = []
        asked.await_answers(lambda: heard.append("more"), lambda: heard.append("answer"))
        assert len(gate.inside) == 1
        fars[0].send(BEGUN, COLUMNS, data_row([b"1"]), command_complete("SELECT 1"), READY)
        made.turn()
        assert not asked.note_more()
        assert (len(gate.inside), asked.is_answered) == (1, False)
        fars[1].send(BEGUN)
        made.turn()
        assert not asked.note_more()
        assert (len(gate.inside), asked.is_answered) == (0, False)
        fars[1].send(COLUMNS, data_row([b"2"]), command_complete("SELECT 1"), READY)
        made.turn()
        assert asked.is_answered
        assert "answer" in heard
        found = asked.answer()
        assert found is not None
        assert sorted([found[0][:12], found[0][12:]]) == [data_row([b"1"]), data_row([b"2"])]
        assert found[1] == b"SELECT 2"
        asked.hand_over()
        asked.participants.release()


async def test_groups_that_are_looked_at_one_by_one_are_for_a_session_when_there_are_many() -> None:
    for count, at_once in ((10, True), (3000, False)):
        async with relay() as made:
            fars = [made.server()[1] for _ in range(2)]
            asked = under_way(made)
            asked.shape.finishes = True
            asked.await_answers(lambda: None, lambda: None)
            for far in fars:
                far.send(BEGUN, COLUMNS, *[data_row([b"1"])] * count, command_complete(f"SELECT {count}"), READY)
                made.turn()
            assert (asked.answer() is not None) == at_once
            asked.hand_over()
            asked.participants.release()


async def test_an_error_is_for_somebody_who_looks_at_it() -> None:
    async with relay() as made:
        fars = [made.server()[1] for _ in range(2)]
        asked = under_way(made)
        asked.await_answers(lambda: None, lambda: None)
        fars[0].send(BEGUN, COLUMNS, command_complete("SELECT 0"), READY)
        fars[1].send(BEGUN, COLUMNS, error("22012", "division by zero"), READY)
        made.turn()
        assert asked.is_answered
        assert asked.answer() is None
        asked.hand_over()
        asked.participants.release()


async def test_with_a_commit_in_the_way_it_is_asked_when_that_has_left_the_gate() -> None:
    async with relay() as made:
        fars = [made.server()[1] for _ in range(2)]
        gate = Coordinations(made.pools).of("app").gate
        commit = Ticket(Side.COMMIT, 0b11)
        gate.admit(commit)
        asked = under_way(made, gate)
        asked.await_answers(lambda: None, lambda: None)
        assert (asked.is_asked, asked.note_more()) == (False, False)
        assert [far.bytes() for far in fars] == [b"", b""]
        gate.leave(commit)
        assert asked.turn is not None
        assert asked.turn.done()
        asked.ask()
        assert all(SQL in far.bytes() for far in fars)
        asked.participants.release()
        assert gate.inside == ()


async def test_who_has_been_in_line_for_too_long_is_not_let_in() -> None:
    async with relay() as made:
        for _ in range(2):
            made.server()
        gate = Coordinations(made.pools).of("app").gate
        gate.admit(Ticket(Side.COMMIT, 0b11))
        asked = under_way(made, gate)
        asked.give_up()
        assert asked.turn is not None
        assert isinstance(asked.turn.exception(), TransactionInDoubt)
        asked.participants.release()
        assert gate.line == ()


async def test_without_an_idle_server_it_is_in_line_and_goes_on_from_there() -> None:
    async with relay() as made:
        _, far = made.server()
        participants = Participants([made.pool] * 2, made.engine, None, Coordinations(made.pools).of("app"))
        assert servers_of(participants, 0b11) is None
        assert len(made.pool.waiting) == 1
        assert participants.coordination.gate.inside == ()
        participants.release()
        assert len(made.pool.waiting) == 0
        assert far.bytes() == b""
