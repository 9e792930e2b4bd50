"""What a session holds in transaction pooling is what it would hold at PostgreSQL itself, and nobody else sees it.

[1c session state] [row 64]
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.transcript import errors, session, shape, transact
from tests.integration.waiting import wait_until
from tests.integration.wire import SYNC, Frame, Wire, bind, error_fields, execute, parse, rows

ONE = {"default_pool_size": 1}
# A client's next unit lands on another server than its last one.
ROTATING = {"default_pool_size": 3, "min_pool_size": 3, "server_round_robin": True}


@pytest.fixture(params=[ONE, ROTATING], ids=["one server", "rotating"])
async def proxy(request: pytest.FixtureRequest, postgres: Postgres) -> AsyncIterator[Proxy]:
    async with Proxy({"pool_mode": "transaction", **request.param}, databases={"postgres": postgres}) as started:
        yield started


async def value(wire: Wire, sql: str) -> bytes | None:
    [[only]] = rows(await wire.query(sql))
    return only


@pytest.mark.parametrize(
    ("statement", "shown", "expected"),
    [
        ("SET work_mem = '7MB'", "SHOW work_mem", b"7MB"),
        ("SET statement_timeout = 12345", "SHOW statement_timeout", b"12345ms"),
        ("SELECT set_config('work_mem', '8MB', false)", "SHOW work_mem", b"8MB"),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SHOW transaction_read_only", b"on"),
        ("SET app.tenant = '42'", "SHOW app.tenant", b"42"),
        (
            "DO $$ BEGIN PERFORM set_config('app.hidden', 'x', false); SET work_mem = '9MB'; END $$",
            "SELECT current_setting('app.hidden') || current_setting('work_mem')",
            b"x9MB",
        ),
        ("SET search_path = pg_catalog", "SHOW search_path", b"pg_catalog"),
        ("BEGIN; SET work_mem = '5MB'; COMMIT", "SHOW work_mem", b"5MB"),
        ("BEGIN; SET work_mem = '5MB'; ROLLBACK", "SHOW work_mem", b"4MB"),
        ("SET LOCAL work_mem = '5MB'", "SHOW work_mem", b"4MB"),
    ],
)
async def test_a_setting_follows_its_client_and_nobody_else(
    proxy: Proxy, statement: str, shown: str, expected: bytes
) -> None:
    async with session(proxy) as one, session(proxy) as other:
        default = values(await other.query(shown))
        await one.query(statement)
        for _ in range(4):
            assert await value(one, shown) == expected
            assert values(await other.query(shown)) in (default, [[b""]], [[b"4MB"]])  # a name once used stays, empty


def values(frames: list[Frame]) -> list[list[bytes | None]]:
    return rows(frames)


@pytest.mark.parametrize(
    ("begin", "use", "end"),
    [
        ("CREATE TEMP TABLE mine (n int)", "SELECT count(*) FROM mine", "DROP TABLE mine"),
        ("SELECT 1 AS n INTO TEMP mine", "SELECT n FROM mine", "DISCARD TEMP"),
        ("SELECT pg_advisory_lock(77)", "SELECT 1", "SELECT pg_advisory_unlock(77)"),
        ("SELECT pg_try_advisory_lock_shared(77)", "SELECT 1", "SELECT pg_advisory_unlock_all()"),
        ("BEGIN; DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT 1; COMMIT", "FETCH ABSOLUTE 1 FROM c", "CLOSE c"),
        ("PREPARE mine AS SELECT 1", "EXECUTE mine", "DEALLOCATE mine"),
        ("DO $$ BEGIN CREATE TEMP TABLE mine (n int); END $$", "SELECT count(*) FROM mine", "DISCARD ALL"),
    ],
)
async def test_a_client_keeps_its_server_as_long_as_it_has_state_there(
    proxy: Proxy, begin: str, use: str, end: str
) -> None:
    async with session(proxy) as one:
        await one.query(begin)
        [pin] = await wait_until(lambda: pins(proxy))
        assert pin["database"] == "postgres"
        for _ in range(4):
            frames = await one.query(use)
            assert "E" not in shape(frames), frames
        await one.query(end)
        await wait_until(lambda: nobody_is_pinned(proxy))
        async with session(proxy) as other:
            for _ in range(3):
                assert await value(other, AUDIT) == b"0 0 0 0"


AUDIT = """SELECT concat_ws(' ', (SELECT count(*) FROM pg_prepared_statements WHERE name !~ '^trunkline'),
  (SELECT count(*) FROM pg_cursors), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),
  (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()))"""


async def pins(proxy: Proxy) -> list[dict[str, Any]]:
    return await proxy.admin("SHOW PINS")


async def nobody_is_pinned(proxy: Proxy) -> bool:
    return not await pins(proxy)


async def test_a_pinned_client_is_told_once(proxy: Proxy) -> None:
    async with session(proxy) as one:
        frames = await one.query("CREATE TEMP TABLE a (n int)")
        frames += await one.query("CREATE TEMP TABLE b (n int)")
        frames += await one.query("SELECT pg_advisory_lock(1)")
        notices = [error_fields(frame) for frame in frames if frame.type == "N"]
        assert [(fields["C"], fields["M"]) for fields in notices] == [
            ("01000", "this client keeps its server connection: temporary tables")
        ]


async def test_what_a_pinned_client_leaves_behind_is_cleared(proxy: Proxy) -> None:
    for statement in (
        "CREATE TEMP TABLE a (n int)",
        "SELECT pg_advisory_lock(1)",
        "PREPARE a AS SELECT 1",
        "SET work_mem = '9MB'",
    ):
        async with session(proxy) as one:
            await one.query(statement)
    async with session(proxy) as other:
        for _ in range(6):
            assert await value(other, AUDIT) == b"0 0 0 0"
            assert await value(other, "SHOW work_mem") == b"4MB"


async def test_a_server_whose_state_nothing_resets_is_closed(postgres: Postgres) -> None:
    async with Proxy(ONE, databases={"postgres": postgres}) as proxy:
        async with session(proxy) as one:
            await one.query("SELECT setseed(0.5)")
            before = await value(one, "SELECT pg_backend_pid()")
        async with session(proxy) as other:
            assert await value(other, "SELECT pg_backend_pid()") != before


async def test_a_role_follows_its_client(proxy: Proxy, postgres: Postgres) -> None:
    await postgres.fetch("DROP ROLE IF EXISTS follower")
    await postgres.fetch("CREATE ROLE follower")
    async with session(proxy) as one, session(proxy) as other:
        await one.query("SET ROLE follower")
        for _ in range(4):
            assert await value(one, "SELECT current_user") == b"follower"
            assert await value(other, "SELECT current_user") == b"postgres"
        await one.query("RESET ROLE")
        assert await value(one, "SELECT current_user") == b"postgres"


async def test_reset_goes_back_to_what_the_startup_packet_said(proxy: Proxy) -> None:
    options = {"TimeZone": "Asia/Tokyo", "options": "-c work_mem=3MB", "DateStyle": "SQL, DMY"}
    async with session(proxy, **options) as one, session(proxy) as other:
        for reset in (
            "RESET ALL",
            "DISCARD ALL",
            "RESET TimeZone; RESET work_mem; RESET DateStyle",
            "SET TimeZone TO DEFAULT",
        ):
            await one.query("SET TimeZone = 'Europe/Berlin'")
            await one.query("SET work_mem = '9MB'; SET DateStyle = 'German'" if "TO DEFAULT" not in reset else "")
            await one.query(reset)
            await other.query("SELECT 1")
            for _ in range(3):
                assert await value(one, "SHOW TimeZone") == b"Asia/Tokyo"
                assert await value(one, "SHOW work_mem") == b"3MB"
                assert await value(one, "SHOW DateStyle") == b"SQL, DMY"


async def test_a_reset_goes_there_in_session_pooling_too(postgres: Postgres) -> None:
    settings = {"pool_mode": "session"}
    async with (
        Proxy(settings, databases={"postgres": postgres}) as proxy,
        session(proxy, TimeZone="Asia/Tokyo") as one,
    ):
        await one.query("SET TimeZone = 'Europe/Berlin'")
        for reset in ("RESET TimeZone", "DISCARD ALL", "SET TimeZone TO DEFAULT"):
            await one.query(reset)
            assert await value(one, "SHOW TimeZone") == b"Asia/Tokyo"


async def test_sql_sees_statements_prepared_by_the_protocol_and_the_reverse(proxy: Proxy) -> None:
    async with session(proxy) as one:
        await transact(one, parse("SELECT 1", "by_protocol"), SYNC)
        assert await value(one, "EXECUTE by_protocol") == b"1"
        await one.query("PREPARE by_sql AS SELECT 2")
        frames = await transact(one, bind("by_sql"), execute(), SYNC)
        assert rows(frames) == [[b"2"]]
        frames = await transact(one, parse("SELECT 3", "by_sql"), SYNC)
        assert errors(frames) == ["42P05"]
        await one.query("DEALLOCATE by_protocol")
        frames = await transact(one, bind("by_protocol"), SYNC)
        assert errors(frames) == ["26000"]
        await one.query("DEALLOCATE ALL")
        await wait_until(lambda: nobody_is_pinned(proxy))
        frames = await transact(one, parse("SELECT 4", "by_sql"), bind("by_sql"), execute(), SYNC)
        assert rows(frames) == [[b"4"]]


async def test_nobody_can_put_another_statement_under_a_name_of_ours(postgres: Postgres) -> None:
    async with Proxy(ONE, databases={"postgres": postgres}) as proxy, session(proxy) as victim:
        await transact(victim, parse("SELECT 'mine'", "s"), SYNC)
        async with session(proxy) as attacker:
            names = values(await attacker.query("SELECT name FROM pg_prepared_statements"))
            [[name]] = names
            assert name is not None
            for hostile in (
                f"DEALLOCATE {name.decode()}; PREPARE {name.decode()} AS SELECT 'theirs'",
                f"DO $$ BEGIN EXECUTE 'DEALLOCATE {name.decode()}'; END $$",
                f"DEALLOCATE {name.decode()}",
            ):
                await attacker.query(hostile)
        for _ in range(2):
            frames = await transact(victim, bind("s"), execute(), SYNC)
            assert rows(frames) == [[b"mine"]], frames


async def test_equal_texts_that_mean_different_things_are_different_statements(
    proxy: Proxy, postgres: Postgres
) -> None:
    for schema in ("one", "two"):
        await postgres.fetch(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        await postgres.fetch(f"CREATE SCHEMA {schema}")
    await postgres.fetch("CREATE TABLE one.t AS SELECT 1 AS n")
    await postgres.fetch("CREATE TABLE two.t AS SELECT 'x'::text AS a, 'y'::text AS b")
    async with session(proxy) as one, session(proxy) as two:
        await one.query("SET search_path = one")
        await two.query("SET search_path = two")
        for wire in (one, two):
            await transact(wire, parse("SELECT * FROM t", "s"), SYNC)
        for _ in range(3):
            assert rows(await transact(one, bind("s"), execute(), SYNC)) == [[b"1"]]
            assert rows(await transact(two, bind("s"), execute(), SYNC)) == [[b"x", b"y"]]


async def test_a_statement_keeps_the_meaning_that_it_was_prepared_with(postgres: Postgres) -> None:
    async with (
        Proxy(ROTATING, databases={"postgres": postgres}) as proxy,
        session(proxy) as one,
        session(proxy) as other,
    ):
        day = "SELECT extract(month FROM '01/02/2020'::date)"
        for wire in (one, other):
            await transact(wire, parse(day, "s"), SYNC)
        await one.query("SET DateStyle = 'SQL, DMY'")
        for _ in range(4):
            assert rows(await transact(one, bind("s"), execute(), SYNC)) == [[b"1"]]
            assert rows(await transact(other, bind("s"), execute(), SYNC)) == [[b"1"]]
        await transact(one, parse(day, "new"), SYNC)
        for _ in range(4):
            assert rows(await transact(one, bind("new"), execute(), SYNC)) == [[b"2"]]
            assert rows(await transact(other, bind("s"), execute(), SYNC)) == [[b"1"]]


async def test_a_statement_looks_where_the_search_path_says_now(proxy: Proxy, postgres: Postgres) -> None:
    for number, schema in enumerate(("here", "there")):
        await postgres.fetch(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        await postgres.fetch(f"CREATE SCHEMA {schema}")
        await postgres.fetch(f"CREATE TABLE {schema}.where_am_i AS SELECT {number} AS n")
    async with session(proxy) as one, session(proxy) as other:
        await one.query("SET search_path = here")
        await other.query("SET search_path = here")
        for wire in (one, other):
            await transact(wire, parse("SELECT n FROM where_am_i", "s"), SYNC)
        await one.query("SET search_path = there")
        for _ in range(5):
            assert rows(await transact(one, bind("s"), execute(), SYNC)) == [[b"1"]]
            assert rows(await transact(other, bind("s"), execute(), SYNC)) == [[b"0"]]


async def test_lastval_is_never_another_clients(postgres: Postgres) -> None:
    await postgres.fetch("DROP SEQUENCE IF EXISTS counter")
    await postgres.fetch("CREATE SEQUENCE counter START 100")
    async with Proxy(ONE, databases={"postgres": postgres}) as proxy:
        async with session(proxy) as one:
            await one.query("SELECT nextval('counter')")
        async with session(proxy) as other:
            assert errors(await other.query("SELECT lastval()")) == ["55000"]
            await other.query("SELECT nextval('counter')")
            assert await value(other, "SELECT lastval()") == b"101"


async def test_pgbouncers_own_way_can_be_chosen(postgres: Postgres) -> None:
    settings = {**ONE, "session_state": "pgbouncer"}
    async with (
        Proxy(settings, databases={"postgres": postgres}, audited=False) as proxy,
        session(proxy) as one,
        session(proxy) as other,
    ):
        await one.query("SET work_mem = '7MB'")
        assert await value(other, "SHOW work_mem") == b"7MB"
        assert not await pins(proxy)


HIDING = """
CREATE SCHEMA hiding;
CREATE FUNCTION hiding.quiet(t text) RETURNS text LANGUAGE sql AS 'SELECT upper(t)';
CREATE FUNCTION hiding.sets() RETURNS void LANGUAGE plpgsql AS $$ BEGIN SET work_mem = '7MB'; END $$;
CREATE FUNCTION hiding.calls() RETURNS int LANGUAGE sql AS 'SELECT hiding.sets(); SELECT 1';
CREATE FUNCTION hiding.locks() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN PERFORM pg_advisory_lock(5); RETURN NEW; END $$;
CREATE FUNCTION hiding.dynamic(t text) RETURNS void LANGUAGE plpgsql AS
  $$ BEGIN EXECUTE format('SET app.hidden = %L', t); END $$;
CREATE TABLE hiding.triggered (n int);
CREATE TRIGGER locks BEFORE INSERT ON hiding.triggered FOR EACH ROW EXECUTE FUNCTION hiding.locks();
CREATE VIEW hiding.seen AS SELECT hiding.calls() AS n;
CREATE TABLE hiding.defaulted (a int, n int DEFAULT hiding.calls());
CREATE TABLE hiding.parent (n int) PARTITION BY RANGE (n);
CREATE TABLE hiding.child PARTITION OF hiding.parent FOR VALUES FROM (0) TO (10);
CREATE TRIGGER locks BEFORE INSERT ON hiding.child FOR EACH ROW EXECUTE FUNCTION hiding.locks();
"""


@pytest.mark.every_postgres
@pytest.mark.parametrize(
    ("statement", "shown", "expected", "pinned"),
    [
        ("SELECT hiding.sets()", "SHOW work_mem", b"7MB", False),
        ("SELECT hiding.calls()", "SHOW work_mem", b"7MB", False),
        ("SELECT * FROM hiding.seen", "SHOW work_mem", b"7MB", False),
        ("INSERT INTO hiding.defaulted VALUES (1)", "SHOW work_mem", b"7MB", False),
        ("SELECT hiding.dynamic('x')", "SELECT current_setting('app.hidden', true)", b"x", False),
        ("INSERT INTO hiding.triggered VALUES (1)", "SELECT 1", b"1", True),
        ("INSERT INTO hiding.parent VALUES (1)", "SELECT 1", b"1", True),
        ("SELECT hiding.quiet('a')", "SHOW work_mem", b"4MB", False),
    ],
)
async def test_what_code_behind_a_name_does_is_found_out(
    own_postgres: Postgres, statement: str, shown: str, expected: bytes, pinned: bool
) -> None:
    await own_postgres.fetch("DROP SCHEMA IF EXISTS hiding CASCADE")
    await own_postgres.fetch(HIDING)
    async with Proxy(ROTATING, databases={"postgres": own_postgres}) as proxy, session(proxy) as one:
        assert "E" not in shape(await one.query(statement))
        for _ in range(4):
            assert await value(one, shown) == expected
        assert bool(await pins(proxy)) == pinned
        async with session(proxy) as other:
            for _ in range(3):
                assert await value(other, "SHOW work_mem") == b"4MB"


async def test_code_that_is_made_through_the_proxy_is_known_at_once(postgres: Postgres) -> None:
    async with Proxy(ROTATING, databases={"postgres": postgres}) as proxy, session(proxy) as one:
        await one.query("DROP FUNCTION IF EXISTS made_now; CREATE FUNCTION made_now() RETURNS void LANGUAGE plpgsql AS"
                        " $$ BEGIN SET work_mem = '6MB'; END $$")  # fmt: skip
        await one.query("SELECT 1")  # behind the look at what is new
        async with session(proxy) as other:
            await other.query("SELECT made_now()")
            for _ in range(4):
                assert await value(other, "SHOW work_mem") == b"6MB"
                assert await value(one, "SHOW work_mem") == b"4MB"
