"""A cancel request that meets a COMMIT: row 58 of section 3b, for a commit on one server.

PostgreSQL stops a COMMIT as long as it still checks (deferred constraints), and then has rolled back; once it has
decided, the request comes too late. Either way the client is told what happened, as it is without Trunkline.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.faults.fault_proxy import Cancel, FaultProxy, Rule
from tests.faults.guard import expect_own_answers, log_in
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import Proxy
from tests.integration.transcript import errors, shape
from tests.integration.waiting import wait_until
from tests.integration.wire import Wire, rows

CHECKED_AT_COMMIT = """
CREATE TABLE checked (n int);
CREATE FUNCTION check_slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON checked DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (new.n > 0) EXECUTE FUNCTION check_slowly()
"""
CLEAN_UP = "DROP TABLE IF EXISTS checked; DROP FUNCTION IF EXISTS check_slowly()"


@pytest.fixture
async def checked(postgres: Postgres) -> AsyncIterator[None]:
    """A table whose rows above zero are looked at for a minute when they are committed."""
    for sql in (CLEAN_UP, CHECKED_AT_COMMIT):
        await postgres.fetch(sql)
    yield
    await postgres.fetch(CLEAN_UP)


@pytest.mark.parametrize("through", ["PostgreSQL itself", "Trunkline"])
async def test_row_58_a_commit_that_still_checks_is_stopped_and_rolled_back(
    proxy: Proxy, postgres: Postgres, checked: None, through: str
) -> None:
    port = proxy.port if through == "Trunkline" else postgres.port
    async with await Wire.connect(port) as wire:
        await wire.login("postgres", PASSWORD, database="one" if through == "Trunkline" else "postgres")
        await wire.query("BEGIN; INSERT INTO checked VALUES (1)")
        commit = asyncio.create_task(wire.query("COMMIT"))
        await wait_until(lambda: sleeps(postgres), what="the constraint is being checked")
        await Wire.cancel(port, wire.backend_pid, wire.cancel_key)
        frames = await commit
        assert (shape(frames), errors(frames), frames[-1].body) == ("EZ", ["57014"], b"I")
        assert rows(await wire.query("SELECT count(*) FROM checked")) == [[b"0"]]
        assert shape(await wire.query("SELECT 1")) == "TDCZ"


async def sleeps(postgres: Postgres) -> bool:
    found = await postgres.fetch("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    return bool(found[0][0])


@pytest.mark.parametrize("when", ["on its way there", "on its way back"])
async def test_row_58_a_cancel_on_either_side_of_a_commit_leaves_the_truth(
    proxy: Proxy, postgres: Postgres, checked: None, when: str
) -> None:
    """A request for the client's own query, sent before the server has seen COMMIT, and after it has answered."""
    async with FaultProxy("127.0.0.1", proxy.port) as faults:
        rule = Rule("fe", "Q", re="^COMMIT") if when == "on its way there" else Rule("be", "C", re="^COMMIT")
        for number in range(20):
            faults.clear()
            async with await Wire.connect(faults.port) as wire:
                await wire.login("postgres", PASSWORD, database="one")
                await wire.query(f"BEGIN; INSERT INTO checked VALUES ({-number})")
                fault = faults.add(rule, Cancel())
                frames = await wire.query("COMMIT")
                assert fault.done == 1
                async with await log_in(proxy) as next_one:
                    assert rows(await next_one.query(f"SELECT count(*) FROM checked WHERE n = {-number}")) == [[b"1"]]
                assert errors(frames) == [], "nothing ran that could be stopped"
        await expect_own_answers(proxy)
