"""What two servers are asked before one takes the other's place, with servers that say what they are told to."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.pool.test_probe import row
from trunkline.errors import ServerLost, ServerRefused, SwitchOutcomeUnknown, SwitchRefused, TrunklineError
from trunkline.pool import switchover
from trunkline.pool.control import Row
from trunkline.pool.switchover import Kind, Switchover


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switchover, "POLL_S", 0.0)
    monkeypatch.setattr(switchover, "STILL_S", 0.0)


def seen(*, recovers: bool, started: int, system: int = 7, timeline: int = 1) -> list[bytes]:
    file = None if recovers else b"%08X0000000000000001" % timeline
    said = (b"t" if recovers else b"f", b"%d" % system, b"%d" % started, file, b"%d" % timeline, b"0")
    return [row(*said, *[None] * 6)]


class Server:
    """Its answers by question: one for each time it is asked, the last one again and again."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {getattr(switchover, name): list(answer) for name, answer in answers.items()}
        self.asked: list[bytes] = []

    def _next(self, sql: bytes) -> Any:
        self.asked.append(sql)
        answers = self.answers[sql]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, TrunklineError):
            raise answer
        return answer

    async def rows(self, sql: bytes, patience_s: float = 0) -> list[Row]:
        return list(self._next(sql))

    async def bodies(self, sql: bytes, patience_s: float = 0) -> list[bytes]:
        return list(self._next(sql))


def between(source: Server, target: Server) -> Switchover:
    return Switchover(source, target, lambda: 0.0)  # type: ignore[arg-type]


PRIMARY = {"QUERY": [seen(recovers=False, started=1)]}
REPLICA = {"QUERY": [seen(recovers=True, started=2)], "MAY_PROMOTE": [[]]}
ELSEWHERE = [seen(recovers=False, started=2, system=8)]
SUBSCRIBER = {"QUERY": ELSEWHERE, "SUBSCRIPTIONS": [[("slot", "sub", "0")]], "SUBSCRIBED": [[("sub", "public.a")]]}
PUBLISHER = {
    **PRIMARY,
    "SLOTS": [[("slot", "0/100"), ("other", "0/0")]],
    "PREPARED": [[("0",)]],
    "TABLES": [[("public.a",)]],
}


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ({"QUERY": [seen(recovers=True, started=1)]}, REPLICA, "the present primary is in recovery"),
        (PRIMARY, PRIMARY, "is the present primary already"),
        (PRIMARY, {"QUERY": [seen(recovers=False, started=2)]}, "writes for itself"),
        (PRIMARY, {"QUERY": [seen(recovers=True, started=2, timeline=2)]}, "does not follow the primary"),
        (PRIMARY, {"QUERY": [seen(recovers=True, started=2, system=8)]}, "a replica of another cluster"),
        (PRIMARY, {**REPLICA, "MAY_PROMOTE": [[("ann",)]]}, 'user "ann" may not promote'),
        (PUBLISHER, {**SUBSCRIBER, "SUBSCRIPTIONS": [[("third", "sub", "0")]]}, "has nothing of the primary"),
        (PUBLISHER, {**SUBSCRIBER, "SUBSCRIPTIONS": [[("slot", "sub", "2")]]}, "tables of subscription sub are still"),
        ({**PUBLISHER, "PREPARED": [[("1",)]]}, SUBSCRIBER, "prepared transactions"),
    ],
)
async def test_what_can_never_take_over_is_refused(source: Any, target: Any, words: str) -> None:
    with pytest.raises(SwitchRefused, match=words):
        await between(Server(**source), Server(**target)).examine()


async def test_what_the_target_is_to_the_source_is_found_out() -> None:
    replica, subscriber = (
        between(Server(**PRIMARY), Server(**REPLICA)),
        between(Server(**PUBLISHER), Server(**SUBSCRIBER)),
    )
    for one, kind, notices in ((replica, Kind.REPLICA, 0), (subscriber, Kind.SUBSCRIBER, 1)):
        await one.examine()
        assert (one.kind, len(one.notices)) == (kind, notices)


async def test_tables_that_the_target_does_not_get_are_told() -> None:
    tables = [("public.a",), *((f"public.t{n}",) for n in range(7))]
    one = between(Server(**{**PUBLISHER, "TABLES": [tables]}), Server(**SUBSCRIBER))
    await one.examine()
    assert one.notices[1].endswith("tables: public.t0, public.t1, public.t2, public.t3, public.t4 and 2 more")


def at(position: str, unflushed: int = 0, writers: int = 0) -> list[Row]:
    return [(position, str(unflushed), "8192", str(writers))]


async def test_a_replica_is_waited_for_until_everything_is_flushed_and_nobody_writes() -> None:
    positions = [at("0/100", 40), at("0/100", 0, 1), at("0/128"), at("0/150"), at("0/150")]
    replayed = [[("0/100",)], [("0/128",)], [("0/128",)], [("0/150",)]]
    source, target = Server(POSITION=positions), Server(REPLAYED=replayed)
    await between(source, target).until_level()
    assert (len(source.asked), len(target.asked)) == (5, 4)


@pytest.mark.parametrize(
    ("position", "unflushed", "is_level"),
    [("0/2000", 24, True), ("0/1000000", 40, True), ("0/2000", 48, False), ("0/2008", 24, False), ("0/2008", -8, True)],
)
async def test_the_header_of_a_page_that_has_not_begun_is_not_waited_for(
    position: str, unflushed: int, is_level: bool
) -> None:
    source, target = Server(POSITION=[at(position, unflushed), at("0/3000000")]), Server(REPLAYED=[[("0/3000000",)]])
    await between(source, target).until_level()
    assert len(target.asked) == (2 if is_level else 1)


async def test_a_target_that_follows_no_more_is_given_up() -> None:
    with pytest.raises(SwitchRefused, match="does not follow"):
        await between(Server(POSITION=[at("0/100")]), Server(REPLAYED=[[]])).until_level()
    source = Server(**{**PUBLISHER, "SLOTS": [[("slot", "0/50")], []], "POSITION": [at("0/100")]})
    one = between(source, Server(**SUBSCRIBER))
    await one.examine()
    with pytest.raises(SwitchRefused, match="does not follow"):
        await one.until_level()


async def test_every_slot_of_a_subscriber_has_to_be_there() -> None:
    slots = [[("slot", at_), ("other", "0/0")] for at_ in ("0/0", "0/80", "0/100")]
    source = Server(**{**PUBLISHER, "SLOTS": slots, "POSITION": [at("0/100")]})
    one = between(source, Server(**SUBSCRIBER))
    await one.examine()
    await one.until_level()
    assert source.asked.count(switchover.SLOTS) == 3


# --- the promotion ----------------------------------------------------------------------------------------------------

NEW_PRIMARY = seen(recovers=False, started=2, timeline=2)


async def promote(target: Server, again: Server | None = None) -> None:
    async def reopen() -> Any:
        if again is None:
            raise ServerLost("gone")
        return again

    await between(Server(), target).promote(reopen)


async def test_a_promotion_is_believed_when_the_server_shows_it() -> None:
    await promote(Server(PROMOTE=[[("t",)]], QUERY=[NEW_PRIMARY]))
    await promote(Server(PROMOTE=[ServerLost("connection lost")]), Server(QUERY=[NEW_PRIMARY]))


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ([("f",)], SwitchOutcomeUnknown),
        (ServerRefused("57P01", "terminated"), SwitchOutcomeUnknown),
        (ServerRefused("42501", "permission denied"), SwitchRefused),
        (ServerLost("connection lost"), ServerLost),
    ],
)
async def test_a_promotion_that_is_not_seen_is_none(answer: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        await promote(Server(PROMOTE=[answer], QUERY=[seen(recovers=True, started=2)]))
