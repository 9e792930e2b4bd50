"""Real streaming replicas that only Patroni's REST API knows of; the API is a stub that says what Patroni would."""

from __future__ import annotations

from typing import Any

from tests.integration.postgres import Farm
from tests.integration.proxy import HOST, Proxy
from tests.integration.replicas import SETTINGS, UP, Replicated, follow, found, shown
from tests.integration.waiting import wait_until
from tests.unit.pool.rest_stub import RestStub, http, member

PRIMARY, REPLICA = ("primary", UP), ("replica", UP)


def database(made: Replicated, stub: RestStub, **more: Any) -> dict[str, Any]:
    """The settings name the primary and Patroni alone."""
    primary = f"postgres://{HOST}:{made.primary.port}/postgres"
    return {"primary": primary, "patroni": stub.url, "health_check_user": "postgres", "reads": "replica", **more}


async def readers(proxy: Proxy) -> dict[str, int]:
    """The ports of the replicas that answer reads, by the names of their parts."""
    before = await counts(proxy)
    for _ in range(8):
        assert await proxy.fetch("SELECT 1", database="app") == [(1,)]
    asked = {name for name, count in (await counts(proxy)).items() if count > before.get(name, 0)}
    rows = await proxy.admin("SHOW SERVERS")
    return {row["database"]: row["port"] for row in rows if row["database"] in asked and row["database"] != "app"}


async def counts(proxy: Proxy) -> dict[str, int]:
    return {row["database"]: int(row["total_query_count"]) for row in await proxy.admin("SHOW STATS")}


async def test_members_are_found_read_from_and_left_alone_as_patroni_says(farm: Farm) -> None:
    async with Replicated(farm, 2) as made, RestStub() as stub:
        primary, first, second = made.servers
        leader = member("pg1", primary.port, "leader", "running")
        stub.tell(leader, member("pg2", first.port), member("pg3", second.port, state="running"))
        async with Proxy(SETTINGS, databases={"app": database(made, stub)}) as proxy:
            await wait_until(lambda: "Patroni lists pg3" in proxy.log)
            await found(proxy, {primary: PRIMARY, first: REPLICA, second: REPLICA})
            assert await readers(proxy) == {"app/replica1": first.port, "app/replica2": second.port}

            tagged = member("pg2", first.port, tags={"noloadbalance": True})
            stub.tell(leader, tagged, member("pg3", second.port, state="crashed"))
            await wait_until(lambda: proxy.log.count("is not to be read from, by what Patroni says") == 2)
            assert await readers(proxy) == {}

            for said in (http(b'{"members": []}'), http(b"<html>"), b"", None):
                stub.said = said
                asked = len(stub.requests)
                await wait_until(lambda asked=asked: len(stub.requests) > asked)
            assert len(await shown(proxy)) == 3
            await found(proxy, {primary: PRIMARY, first: REPLICA, second: REPLICA})
            assert proxy.log.count("Patroni cannot be asked") == 1
            stub.tell(leader, member("pg3", second.port), member("pg2", first.port, tags={"noloadbalance": True}))
            await wait_until(lambda: "may be read from" in proxy.log)
            assert await readers(proxy) == {"app/replica2": second.port}
            assert "Traceback" not in proxy.log


async def test_a_failover_goes_to_a_member_that_the_settings_do_not_name(farm: Farm) -> None:
    async with Replicated(farm, 2) as made, RestStub() as stub:
        primary, first, second = made.servers
        stub.tell(*(member(f"pg{number}", server.port) for number, server in enumerate(made.servers)))
        await primary.fetch("CREATE TABLE written (n int8)")
        await primary.wait_for_replicas(2)
        async with Proxy(SETTINGS, databases={"app": database(made, stub, reads="primary")}) as proxy:
            await found(proxy, {primary: PRIMARY, first: REPLICA, second: REPLICA})
            connection = await proxy.connect("app")
            async with connection:
                await connection.execute("INSERT INTO written VALUES (1)")
                await primary.wait_for_replicas(2)
                await primary.stop("immediate")
                await first.promote()
                follow(second, first)
                stub.tell(member("pg1", first.port, "leader", "running"), member("pg2", second.port))

                async def written() -> bool:
                    cursor = await connection.execute("INSERT INTO written VALUES (2)")
                    return cursor.rowcount == 1

                await wait_until(written)
            assert await first.fetch("SELECT count(DISTINCT n) FROM written") == [(2,)]
            await found(proxy, {first: PRIMARY, primary: ("primary", "unreachable")})
