"""What is known of code behind names, and when a server is asked about it."""

from __future__ import annotations

from tests.unit.pool.test_probe import row
from tests.unit.relay import READY, Relay, error, relay
from trunkline.pool.code_watch import PERIOD_S, CodeWatch
from trunkline.protocol.messages import command_complete, message
from trunkline.routing.text.lexer import sight


def data(*rows: tuple[bytes | None, ...]) -> bytes:
    return b"".join(message(b"D", row(*values)) for values in rows) + command_complete("SELECT 1") + READY


SETS = (b"function", b"1", b"sets", b"plpgsql", b"BEGIN SET app.x = 1; END")


def look(made: Relay, *answers: bytes) -> CodeWatch:
    """One look at a server that answers so."""
    server, far = made.server()
    made.pool.look_at_code(server)
    for said in answers:
        made.turn()
        assert b"pg_catalog" in far.bytes()
        far.send(said)
    made.turn()
    assert far.bytes() == b""
    assert server.place is made.pool.idle
    return made.pool.code


async def test_a_look_learns_the_doubtful_names() -> None:
    async with relay() as made:
        code = look(made, data((b"f1",)), data(SETS))
        assert code.known and code.found.words == {b"sets"}
        assert sight(made.pool.words, b"SELECT sets()") == {"doubtful"}
        assert b"app.x" in made.pool.sessions.names


async def test_what_has_not_changed_is_not_asked_again() -> None:
    async with relay() as made:
        code = look(made, data((b"f1",)), data(SETS))
        assert look(made, data((b"f1",))) is code
        look(made, data((b"f2",)), data())
        assert code.found.words == frozenset()
        assert sight(made.pool.words, b"SELECT sets()") == frozenset()


async def test_an_answer_that_does_not_come_is_asked_for_again() -> None:
    async with relay() as made:
        code = look(made, data((b"f1",)), error("42501") + READY)
        assert code.known and code.fingerprint is None
        look(made, data((b"f1",)), data(SETS))
        assert code.found.words == {b"sets"}


async def test_it_is_due_again_after_a_while() -> None:
    async with relay() as made:
        code = look(made, data((b"f1",)), data())
        assert not code.is_due(code.looked_at + PERIOD_S / 2)
        assert code.is_due(code.looked_at + PERIOD_S)


async def test_all_pools_of_a_database_know_the_same() -> None:
    async with relay() as made:
        other = made.pools.pool("app", "other")
        look(made, data((b"f1",)), data(SETS))
        assert sight(other.words, b"SELECT sets()") == {"doubtful"}
        assert sight(made.pools.pool("app", "third").words, b"SELECT sets()") == {"doubtful"}


async def test_an_answer_of_another_shape_teaches_nothing_and_harms_nobody() -> None:
    async with relay() as made:
        code = look(made, data((b"f1",)), data((b"one column",)))
        assert code.known and code.fingerprint is None
        assert code.found.words == frozenset()
