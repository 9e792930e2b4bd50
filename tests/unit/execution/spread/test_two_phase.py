"""Two-phase commit: what is said to whom in which order, and what the client hears, whatever goes wrong."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from trunkline.errors import CommitOutcomeUnknown, ServerLost, ServerRefused, TrunklineError
from trunkline.execution.spread import two_phase
from trunkline.execution.spread.gate import Gate, Ticket
from trunkline.execution.spread.modes import TransactionMode
from trunkline.execution.spread.names import Life, Name
from trunkline.execution.spread.two_phase import TABLE, Commit, State
from trunkline.shard_errors import CommitFailed, PartlyCommitted, SecondShardRefused

LOST = ServerLost("gone")
REFUSED = ServerRefused("23505", "duplicate key")
CANCELED = ServerRefused("57014", "canceling statement due to user request")
ENDED = ServerRefused("57P01", "terminating connection")
INSERT, PREPARE, ROLLBACK = "INSERT", "PREPARE TRANSACTION", "ROLLBACK"


class Pool:
    def __init__(self, shard: int) -> None:
        self.database = f"shop/s{shard}"


class Party:
    """A server that does as it is told, but for what `fails` says of a statement, by its last words."""

    def __init__(self, said: list[str], shard: int, *, wrote: bool, fails: Mapping[str, TrunklineError]) -> None:
        self.said, self.shard, self.wrote = said, shard, wrote
        self.fails = dict(fails)
        self.pool: Any = Pool(shard)
        self.status = "T"

    async def ask(self, sql: bytes) -> Sequence[tuple[bytes | None, ...]]:
        text = sql.decode()
        kind = next(
            one for one in ("assigned", INSERT, PREPARE, f"{ROLLBACK} PREPARED", "COMMIT PREPARED", text) if one in text
        )
        if kind != "assigned":
            self.said.append(f"{self.shard} {kind}")
        await asyncio.sleep(0)
        if (error := self.fails.pop(kind, None)) is not None:
            self.status = "E" if error is REFUSED and kind != "COMMIT" else "I"
            raise error
        if kind not in ("assigned", INSERT):
            self.status = "I"
        return [(b"700" if self.wrote else None,)]


class Coordination:
    """What is beyond one commit, noted."""

    def __init__(self, said: list[str], outcome: str) -> None:
        self.said, self.outcome = said, outcome
        self.gate = Gate()
        self.life = Life("cafecafe", 1, itertools.count(1))
        self.active: set[Name] = set()
        self.handed: list[tuple[list[int], str, bool]] = []

    async def begin(self, commit: Commit, coordinator: Party, others: Sequence[Party]) -> Name:
        name = self.life.name("0" * 12, sum(1 << one.shard for one in (coordinator, *others)), coordinator.shard)
        self.active.add(name)
        return name

    def ended(self, name: Name) -> None:
        self.active.discard(name)

    def finished(self, name: Name, coordinator: Pool) -> None:
        self.said.append("forget")

    async def outcome_of(self, name: Name, coordinator: Pool, patience_s: float) -> str:
        return self.outcome

    def hand_over(self, name: Name, left: Mapping[int, Pool], outcome: str, ticket: Ticket) -> asyncio.Event:
        self.handed.append((sorted(left), outcome, ticket in self.gate.inside))
        self.gate.leave(ticket)
        return asyncio.Event()

    async def patience(self, over: asyncio.Event, limit_s: float) -> None:
        self.said.append("wait")


class Play:
    """One commit with three shards, of which the first two have written."""

    def __init__(
        self,
        fails: Mapping[tuple[int, str], TrunklineError] | None = None,
        wrote: Sequence[int] = (0, 1),
        outcome: str = "",
        mode: TransactionMode = TransactionMode.TWO_PHASE,
    ) -> None:
        self.said: list[str] = []
        fails = fails or {}
        self.parties = [
            Party(self.said, shard, wrote=shard in wrote, fails={k: e for (at, k), e in fails.items() if at == shard})
            for shard in range(3)
        ]
        self.coordination: Any = Coordination(self.said, outcome)
        self.commit = Commit(self.parties, self.coordination, mode=mode)

    async def run(self) -> TrunklineError | None:
        try:
            await self.commit.run()
        except TrunklineError as error:
            return error
        finally:
            assert self.commit.state is State.OVER
            assert not self.coordination.active
            assert not self.coordination.gate.inside
        return None


def test_the_table_leads_every_state_to_an_end() -> None:
    reached = {State.ASKED} | {after for after, _ in TABLE.values()}
    assert reached == set(State)
    assert {state for state, _ in TABLE} == set(State) - {State.OVER}


async def test_readers_go_before_the_only_writer_and_nothing_is_prepared() -> None:
    play = Play(wrote=[1])
    assert await play.run() is None
    assert play.said == ["0 COMMIT", "2 COMMIT", "1 COMMIT"]


async def test_a_reader_that_cannot_commit_undoes_the_writer() -> None:
    play = Play({(2, "COMMIT"): REFUSED}, wrote=[1])
    assert await play.run() is REFUSED
    assert play.said == ["0 COMMIT", "2 COMMIT", "1 ROLLBACK"]


async def test_the_only_writer_that_is_lost_in_its_commit_has_no_known_outcome() -> None:
    for error in (LOST, ENDED):
        assert isinstance(await Play({(1, "COMMIT"): error}, wrote=[1]).run(), CommitOutcomeUnknown)
    assert await Play({(1, "COMMIT"): REFUSED}, wrote=[1]).run() is REFUSED


async def test_the_decision_comes_when_all_are_prepared_and_the_others_follow_it() -> None:
    play = Play(wrote=[0, 1, 2])
    assert await play.run() is None
    prepared = [f"0 {INSERT}", f"1 {PREPARE}", f"2 {PREPARE}"]
    assert play.said == [*prepared, "0 COMMIT", "1 COMMIT PREPARED", "2 COMMIT PREPARED", "forget"]


async def test_a_reader_beside_two_writers_commits_in_the_first_phase() -> None:
    play = Play()
    assert await play.run() is None
    assert play.said[:3] == [f"0 {INSERT}", "2 COMMIT", f"1 {PREPARE}"]


@pytest.mark.parametrize(
    "at", [(0, "assigned"), (1, "assigned"), (2, "assigned"), (0, INSERT), (1, PREPARE), (2, "COMMIT")]
)
async def test_what_is_refused_before_the_decision_undoes_everything_in_the_servers_words(at: tuple[int, str]) -> None:
    play = Play({at: REFUSED})
    assert await play.run() is REFUSED
    assert not any("0 COMMIT" in one or "COMMIT PREPARED" in one for one in play.said)
    assert ("1 ROLLBACK PREPARED" in play.said) == (f"1 {PREPARE}" in play.said and at[0] != 1)


@pytest.mark.parametrize("at", [(1, "assigned"), (0, INSERT), (1, PREPARE)])
async def test_a_server_that_is_lost_before_the_decision_makes_it_worth_another_try(at: tuple[int, str]) -> None:
    play = Play({at: LOST})
    assert isinstance(await play.run(), CommitFailed)
    assert play.coordination.handed == ([([1], "rollback", False)] if at == (1, PREPARE) else [])


async def test_the_coordinators_refusal_to_commit_undoes_everything() -> None:
    play = Play({(0, "COMMIT"): REFUSED})
    assert await play.run() is REFUSED
    assert play.said[-1] == "1 ROLLBACK PREPARED"


@pytest.mark.parametrize("error", [LOST, ENDED])
async def test_a_coordinator_that_is_lost_in_its_commit_is_asked_what_it_has_decided(error: TrunklineError) -> None:
    play = Play({(0, "COMMIT"): error}, outcome="commit")
    assert await play.run() is None
    assert play.said[-2:] == ["1 COMMIT PREPARED", "forget"]
    play = Play({(0, "COMMIT"): error}, outcome="rollback")
    assert await play.run() is not None
    assert play.said[-1] == "1 ROLLBACK PREPARED"


async def test_without_its_word_the_outcome_is_unknown_and_recovery_keeps_the_gate() -> None:
    play = Play({(0, "COMMIT"): LOST})
    assert isinstance(await play.run(), CommitOutcomeUnknown)
    assert play.coordination.handed == [([1], "", True)]
    assert not any("PREPARED" in one for one in play.said)


async def test_after_the_decision_it_is_committed_whatever_is_lost() -> None:
    play = Play({(1, "COMMIT PREPARED"): LOST})
    assert await play.run() is None
    assert play.coordination.handed == [([1], "commit", True)]
    assert play.said[-1] == "wait"


@pytest.mark.parametrize(("silent", "error"), [(PREPARE, CommitFailed), ("COMMIT PREPARED", type(None))])
async def test_row_72_a_shard_that_does_not_answer_is_left_to_recovery(
    monkeypatch: pytest.MonkeyPatch, silent: str, error: type
) -> None:
    monkeypatch.setattr(two_phase, "FIRST_S", 0.01)
    monkeypatch.setattr(two_phase, "SECOND_S", 0.01)
    play = Play()
    ask = play.parties[1].ask

    async def swallows(sql: bytes) -> Sequence[tuple[bytes | None, ...]]:
        if sql.decode().startswith(silent):
            await asyncio.Event().wait()
        return await ask(sql)

    play.parties[1].ask = swallows  # type: ignore[method-assign]
    assert isinstance(await play.run(), error)
    assert [(left, outcome) for left, outcome, _ in play.coordination.handed] == [
        ([1], "rollback" if silent == PREPARE else "commit")
    ]


async def test_row_58_a_cancel_that_was_under_way_does_not_keep_the_rest_from_being_committed() -> None:
    play = Play({(1, "COMMIT PREPARED"): CANCELED})
    assert await play.run() is None
    assert play.said[-3:] == ["1 COMMIT PREPARED", "1 COMMIT PREPARED", "forget"]


async def test_an_error_of_ours_in_the_middle_leaves_the_rest_to_recovery() -> None:
    play = Play()

    async def broken(pool: Any, patience_s: float = 0) -> None:
        raise RuntimeError

    play.coordination.gate.enter = broken
    with pytest.raises(RuntimeError):
        await play.commit.run()
    assert play.coordination.handed == [([1], "", False)]
    assert not play.coordination.active


async def test_the_mode_single_undoes_what_has_written_to_two_shards() -> None:
    play = Play(mode=TransactionMode.SINGLE)
    assert isinstance(await play.run(), SecondShardRefused)
    assert all("ROLLBACK" in one for one in play.said)
    assert await Play(mode=TransactionMode.SINGLE, wrote=[1]).run() is None


async def test_the_mode_best_effort_prepares_nothing_and_says_what_came_of_it() -> None:
    mode = TransactionMode.BEST_EFFORT
    play = Play(mode=mode)
    assert await play.run() is None
    assert play.said == ["0 COMMIT", "1 COMMIT", "2 COMMIT"]
    error = await Play({(1, "COMMIT"): REFUSED}, mode=mode).run()
    assert isinstance(error, PartlyCommitted)
    assert error.detail == "It failed on shop/s1."
    everywhere = {(shard, "COMMIT"): REFUSED for shard in range(3)}
    assert await Play(everywhere, mode=mode).run() is REFUSED
